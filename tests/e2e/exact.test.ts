import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startBrowser } from '../src/browser.ts';
import { ROOT, WASM_DIR } from '../src/environment.ts';

/** The native crates compute and compare the same file in `crates/compute/tests/vectors.rs`. */
const EXPECTED = (
  JSON.parse(readFileSync(join(ROOT, 'tests/vectors/exact/exact-1.json'), 'utf8')) as { blake3: Record<string, string> }
).blake3;

interface Bindings {
  default(input: { module_or_path: BufferSource }): Promise<unknown>;
  run_exact_vectors(): string;
}

test('Node computes the exact vectors to the committed bits', async () => {
  const bindings = (await import(pathToFileURL(join(WASM_DIR, 'shoal_wasm.js')).href)) as Bindings;
  await bindings.default({ module_or_path: readFileSync(join(WASM_DIR, 'shoal_wasm_bg.wasm')) });
  assert.deepEqual(JSON.parse(bindings.run_exact_vectors()), EXPECTED);
});

test('Chromium computes the exact vectors to the committed bits, in a worker', async () => {
  const server = await serveBindings();
  const browser = await startBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const json = await page.evaluate(
      () =>
        new Promise<string>((resolve, reject) => {
          const worker = new Worker('/vectors.js', { type: 'module' });
          worker.onmessage = ({ data }: MessageEvent<string>) => resolve(data);
          worker.onerror = ({ message }) => reject(new Error(message));
        }),
    );
    assert.deepEqual(JSON.parse(json), EXPECTED);
  } finally {
    await browser.close();
    server.close();
  }
});

const SCRIPT = `
import init, { run_exact_vectors } from './shoal_wasm.js';
await init();
postMessage(run_exact_vectors());
`;

function serveBindings(): Promise<Server> {
  const server = createServer((request, response) => {
    const name = (request.url ?? '/').slice(1);
    const file = join(WASM_DIR, name);
    if (name === '') response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>vectors</title>');
    else if (name === 'vectors.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(SCRIPT);
    else if (/^[\w.]+$/.test(name) && existsSync(file)) {
      const type = name.endsWith('.wasm') ? 'application/wasm' : 'text/javascript';
      response.writeHead(200, { 'content-type': type }).end(readFileSync(file));
    } else response.writeHead(404).end();
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}
