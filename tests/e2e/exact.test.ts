import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ROOT, WASM_DIR } from '../src/environment.ts';
import { chromiumPage, findFirefox, firefoxPage, type TestPage } from '../src/transport/pages.ts';

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

test('Chromium computes the exact vectors to the committed bits, in a worker', () => inWorker((url) => chromiumPage(url)));

test('Firefox computes the exact vectors to the committed bits, in a worker', async (t) => {
  const firefox = findFirefox();
  if (firefox === null) return t.skip('no Firefox; `cargo xtask setup` says how to get it');
  await inWorker((url) => firefoxPage(firefox, url));
});

async function inWorker(open: (url: string) => Promise<TestPage>): Promise<void> {
  const server = await serveBindings();
  try {
    await using page = await open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    assert.deepEqual(JSON.parse((await page.call('vectors')) as string), EXPECTED);
  } finally {
    server.close();
  }
}

const PAGE = `<!doctype html><title>vectors</title><script>
globalThis.vectors = () =>
  new Promise((resolve, reject) => {
    const worker = new Worker('/vectors.js', { type: 'module' });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
</script>`;

const SCRIPT = `
import init, { run_exact_vectors } from './shoal_wasm.js';
await init();
postMessage(run_exact_vectors());
`;

function serveBindings(): Promise<Server> {
  const server = createServer((request, response) => {
    const name = (request.url ?? '/').slice(1);
    const file = join(WASM_DIR, name);
    if (name === '') response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    else if (name === 'vectors.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(SCRIPT);
    else if (/^[\w.]+$/.test(name) && existsSync(file)) {
      const type = name.endsWith('.wasm') ? 'application/wasm' : 'text/javascript';
      response.writeHead(200, { 'content-type': type }).end(readFileSync(file));
    } else response.writeHead(404).end();
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}
