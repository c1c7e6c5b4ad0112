import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { JoinInfo } from '../src/api.ts';
import { startBrowser, Tab } from '../src/browser.ts';
import { localhostCertificate } from '../src/certificate.ts';
import { digitsJob, EXACT_ONLY } from '../src/digits.ts';
import { freePort } from '../src/ports.ts';
import type { Program } from '../src/process.ts';
import { countedOnce, Swarm } from '../src/swarm.ts';
import { until } from '../src/wait.ts';

const TRAINING = { ...EXACT_ONLY, rounds: 2 };

test('a tab without UDP joins over WebSocket and computes a job to the end', async () => {
  await using swarm = await Swarm.start({ webRtc: false });
  const tab = await swarm.tab();
  assert.equal(await remembered(tab), 'websocket');
  const job = await swarm.api.submit(await digitsJob(swarm.api, TRAINING));
  const status = await swarm.finished(job);
  countedOnce(await swarm.api.receipts(job), status);
  assert.equal(status.workers[0]?.node, await tab.node());
  assert.deepEqual(tab.errors, []);
});

test('where both are open WebRTC wins', async () => {
  await using swarm = await Swarm.start();
  const tab = await swarm.tab();
  assert.equal(await remembered(tab), 'webrtc');
});

test('a page without WebRTC joins over WebSocket', async () => {
  await using swarm = await Swarm.start();
  const tab = await Tab.open(await swarm.browser(), swarm.relay.link);
  await tab.page.evaluate('delete globalThis.RTCPeerConnection');
  await tab.start();
  await tab.connected();
  assert.equal(await remembered(tab), 'websocket');
});

test('a tab joins over WebSocket with TLS, by the name of the certificate', async () => {
  const port = await freePort();
  using dir = temporaryFolder();
  const { cert, key } = localhostCertificate(dir.path);
  await using swarm = await Swarm.start({
    webRtc: false,
    ws: false,
    args: [
      ...['--wss-addr', `127.0.0.1:${port}`, '--tls-name', 'localhost'],
      ...['--tls-cert-file', cert, '--tls-key-file', key],
    ],
  });
  const announced = swarm.relay.join.addresses.filter((address) => address.includes('/ws'));
  assert.equal(announced.length, 1);
  assert.ok(announced[0]?.startsWith(`/dns/localhost/tcp/${port}/tls/ws/p2p/`), announced[0]);

  const careful = await swarm.browser();
  const refused = await Tab.open(careful, swarm.relay.link);
  await refused.start();
  await until('a tab refuses the certificate', 30_000, () => refused.state(), (state) => state === 'reconnecting');

  const trusting = await startBrowser(['--ignore-certificate-errors']);
  try {
    const tab = await Tab.join(trusting, swarm.relay.link);
    assert.equal(await remembered(tab), 'websocket');
  } finally {
    await trusting.close();
  }
});

test('where UDP is blocked the WebSocket wins, and the next start begins with it', async () => {
  await using swarm = await Swarm.start();
  const silence = await Silence.listen();
  try {
    const tab = await Tab.open(await swarm.browser(), swarm.relay.link);
    // Everything but UDP works: the announced port takes packets and answers none.
    const blocked = swarm.relay.join.addresses.map((address) =>
      address.includes('/webrtc-direct') ? address.replace(/\/udp\/\d+/, `/udp/${silence.port}`) : address,
    );
    const answer: JoinInfo = { ...swarm.relay.join, addresses: blocked };
    await tab.page.route('**/v1/join', (route) => route.fulfill({ json: answer }));
    await tab.start();
    await tab.connected();
    assert.equal(await remembered(tab), 'websocket');
    const first = silence.packets;
    assert.ok(first > 0, 'WebRTC was tried first');

    await tab.stop();
    await until('the page is idle', 10_000, () => tab.state(), (state) => state === 'idle');
    const before = silence.packets;
    await tab.start();
    await tab.connected();
    assert.equal(await remembered(tab), 'websocket');
    assert.equal(silence.packets, before, 'WebRTC was not tried');
  } finally {
    await silence.close();
  }
});

test('a native worker works over QUIC and over TCP', async () => {
  for (const [quic, tcp, carriers] of [
    // Who wins on a busy machine is nobody's promise.
    [true, true, ['quic', 'tcp']],
    [true, false, ['quic']],
    [false, true, ['tcp']],
  ] as const) {
    await using swarm = await Swarm.start({ webRtc: false, quic, tcp });
    const native = swarm.native({ args: ['--json'] });
    const job = await swarm.api.submit(await digitsJob(swarm.api, { ...TRAINING, rounds: 1 }));
    const status = await swarm.finished(job);
    countedOnce(await swarm.api.receipts(job), status);
    assert.ok(carriers.some((expected) => expected === carrier(native)), `over ${String(carrier(native))}`);
  }
});

/** A UDP port that counts what comes and says nothing. */
class Silence {
  packets = 0;
  readonly #socket = createSocket('udp4');

  private constructor() {
    this.#socket.on('message', () => {
      this.packets += 1;
    });
  }

  static async listen(): Promise<Silence> {
    const silence = new Silence();
    await new Promise<void>((resolve) => {
      silence.#socket.bind(0, '127.0.0.1', resolve);
    });
    return silence;
  }

  get port(): number {
    return this.#socket.address().port;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.close(resolve);
    });
  }
}

/** The transport that the page remembers: the one that carried its last connection. */
async function remembered(tab: Tab): Promise<unknown> {
  const stored = await until(
    'the page remembers its transport',
    10_000,
    () => tab.page.evaluate<string | null>('localStorage.getItem("shoal.transport")'),
    (text) => text !== null,
  );
  const [newest] = JSON.parse(stored ?? '[]') as { readonly transport: unknown }[];
  return newest?.transport;
}

/** What carried a native worker's connection, as its events say. */
function carrier(native: Program): unknown {
  const events = readFileSync(native.log, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { readonly type?: unknown; readonly transport?: unknown });
  return events.find(({ type }) => type === 'connected')?.transport;
}

function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'shoal-certificate-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}
