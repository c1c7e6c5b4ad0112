/**
 * Runs `webrtc_echo` on both sides: the relay as a process, the tab in headless Chromium with the page's side of the
 * bridge, the transport in a dedicated worker. Exits with 0 if everything was echoed.
 *
 * Usage: node webrtc_echo.mjs RELAY_PROGRAM WASM_BINDGEN_FOLDER [--proxy | --websocket]
 * `--proxy` pretends that the browser cannot transfer data channels; `--websocket` goes over WebSocket instead. CHROMIUM
 * names another browser.
 */
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [program, bindings, ...options] = process.argv.slice(2);
// The workspace's packages, or those of the folder this is run from.
const require = createRequire(join(process.cwd(), 'package.json'));
const { chromium } = require('playwright-core');
const { build } = require('esbuild');

const bridge = await build({
  entryPoints: [join(here, '../../../worker-js/src/webrtc/bridge.ts')],
  bundle: true,
  format: 'esm',
  write: false,
});
const noTransfer = options.includes('--proxy')
  ? `const post = MessagePort.prototype.postMessage;
     MessagePort.prototype.postMessage = function (message, transfer = []) {
       if (transfer.some((t) => t instanceof RTCDataChannel)) throw new DOMException('no', 'DataCloneError');
       post.call(this, message, transfer);
     };`
  : '';
const pages = {
  '/': `<!doctype html><script type="module">
    ${noTransfer}
    import { serveWebRtc } from '/bridge.js';
    window.run = (address) => new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      const stop = serveWebRtc(port1);
      const worker = new Worker('/worker.js', { type: 'module' });
      worker.onmessage = ({ data }) => { worker.terminate(); stop(); resolve(data); };
      worker.onerror = ({ message }) => resolve({ error: message });
      worker.postMessage({ port: port2, address }, [port2]);
    });
    window.ready = true;
  </script>`,
  '/bridge.js': bridge.outputFiles[0].text,
  '/worker.js': `import init, { run } from '/webrtc_echo.js';
    onmessage = async ({ data: { port, address } }) => {
      try {
        await init();
        postMessage({ text: await run(port, address) });
      } catch (error) {
        postMessage({ error: String(error) });
      }
    };`,
};
const types = { '.js': 'text/javascript', '.wasm': 'application/wasm', '': 'text/html' };
const server = createServer(({ url }, response) => {
  response.setHeader('content-type', types[extname(url)] ?? 'text/plain');
  if (url in pages) response.end(pages[url]);
  else createReadStream(join(bindings, normalize(url))).on('error', () => response.writeHead(404).end()).pipe(response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const relay = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] });
const lines = [];
const waiting = [];
createInterface(relay.stdout).on('line', (line) => {
  console.log('relay:', line);
  lines.push(line);
  for (const check of waiting) check();
});
/** The first line of the relay's that starts like this. */
const said = (start) =>
  new Promise((resolve) => {
    const check = () => {
      const line = lines.find((line) => line.startsWith(start));
      if (line !== undefined) resolve(line.slice(start.length));
    };
    waiting.push(check);
    check();
  });

const origin = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--headless=new',
    '--no-sandbox',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--allow-loopback-in-peer-connection',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
  ],
});
let failed = true;
try {
  const context = await browser.newContext();
  // Only for the test: browsers otherwise hide the loopback address from ICE.
  await context.grantPermissions(['microphone'], { origin });
  const page = await context.newPage();
  page.on('console', (message) => console.log('page:', message.text()));
  page.on('pageerror', (error) => console.log('page:', String(error)));
  await page.goto(origin);
  await page.waitForFunction('window.ready');
  const address = await said(options.includes('--websocket') ? 'websocket ' : 'webrtc ');
  const result = await page.evaluate((address) => window.run(address), address);
  console.log('tab:', result);
  const echoed = await said('echoed off the tab in ');
  await said('closed');
  failed = result.error !== undefined || !echoed.endsWith('Ok(())');
} finally {
  await browser.close();
  relay.kill();
  server.close();
}
process.exitCode = failed ? 1 : 0;
