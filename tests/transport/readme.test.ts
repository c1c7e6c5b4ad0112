/** The example of the README of `crates/transport`: shown there as it is here, and run as the README says. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT, TRANSPORT_DIR } from '../src/environment.ts';
import { Program } from '../src/process.ts';
import { chromiumPage } from '../src/transport/pages.ts';
import { example } from '../src/transport/peer.ts';
import { bundle, Site } from '../src/transport/site.ts';
import { until } from '../src/wait.ts';

const CRATE = join(ROOT, 'crates/transport');
const SOURCES = ['webrtc_echo.rs', 'webrtc_echo.html', 'webrtc_echo.worker.js'];
/** The relay only binds a socket; the page loads two megabytes and connects. */
const LIMIT_MS = 30_000;

const source = (name: string): string => readFileSync(join(CRATE, 'examples', name), 'utf8');

test('the README shows the example as it is', () => {
  const readme = readFileSync(join(CRATE, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/^```\w+\n(.*?)^```$/gms)].map(([, block]) => block);
  for (const name of SOURCES) {
    assert.ok(blocks.includes(source(name)), `README.md of crates/transport shows another ${name}; copy the file into it`);
  }
});

test('the example runs in Chromium', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-transport-'));
  const relay = new Program(example('webrtc_echo'), [], join(dir, 'log'));
  try {
    const address = await until('the relay prints its address', LIMIT_MS, () => relay.tail(), (tail) => tail !== '');
    await using site = await Site.serve({
      'index.html': source('webrtc_echo.html'),
      'webrtc_echo.worker.js': source('webrtc_echo.worker.js'),
      'bridge.js': await bundle(join(ROOT, 'worker-js/src/webrtc/bridge.ts')),
      'webrtc_echo.js': readFileSync(join(TRANSPORT_DIR, 'webrtc_echo.js')),
      'webrtc_echo_bg.wasm': readFileSync(join(TRANSPORT_DIR, 'webrtc_echo_bg.wasm')),
    });
    await using page = await chromiumPage(`${site.origin}/#${address}`);
    const shown = await until('the page shows an answer', LIMIT_MS, () => page.text('output'), (text) => text !== 'connecting…');
    assert.equal(shown, 'hello out of a worker');
  } finally {
    await relay.kill();
    rmSync(dir, { recursive: true, force: true });
  }
});
