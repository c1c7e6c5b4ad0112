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

/** For every engine, and for those with relaxed SIMD, where exact units must come out the same. */
const BINDINGS = ['shoal_wasm', 'shoal_wasm_relaxed'];

interface Bindings {
  default(input: { module_or_path: BufferSource }): Promise<unknown>;
  run_exact_vectors(): string;
}

test('Node computes the exact vectors to the committed bits', async () => {
  const bindings = (await import(pathToFileURL(join(WASM_DIR, 'shoal_wasm.js')).href)) as Bindings;
  await bindings.default({ module_or_path: readFileSync(join(WASM_DIR, 'shoal_wasm_bg.wasm')) });
  assert.deepEqual(JSON.parse(bindings.run_exact_vectors()), EXPECTED);
});

test('Chromium computes the exact vectors to the committed bits, in a worker, in both modules', async () => {
  const server = await serveBindings();
  const browser = await startBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    for (const bindings of BINDINGS) {
      const json = await page.evaluate(
        (script) =>
          new Promise<string>((resolve, reject) => {
            const worker = new Worker(script, { type: 'module' });
            worker.onmessage = ({ data }: MessageEvent<string>) => resolve(data);
            worker.onerror = ({ message }) => reject(new Error(message));
          }),
        `/${bindings}.worker.js`,
      );
      assert.deepEqual(JSON.parse(json), EXPECTED, bindings);
    }
  } finally {
    await browser.close();
    server.close();
  }
});

const script = (bindings: string): string => `
import init, { run_exact_vectors } from './${bindings}.js';
await init();
postMessage(run_exact_vectors());
`;

function serveBindings(): Promise<Server> {
  const server = createServer((request, response) => {
    const name = (request.url ?? '/').slice(1);
    const file = join(WASM_DIR, name);
    if (name === '') response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>vectors</title>');
    else if (name.endsWith('.worker.js'))
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(script(name.replace('.worker.js', '')));
    else if (/^[\w.]+$/.test(name) && existsSync(file)) {
      const type = name.endsWith('.wasm') ? 'application/wasm' : 'text/javascript';
      response.writeHead(200, { 'content-type': type }).end(readFileSync(file));
    } else response.writeHead(404).end();
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}
