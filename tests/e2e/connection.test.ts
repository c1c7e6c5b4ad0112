import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionRow } from '../src/api.ts';
import { Tab } from '../src/browser.ts';
import { digitsJob, EXACT_ONLY } from '../src/digits.ts';
import { Swarm } from '../src/swarm.ts';
import { until } from '../src/wait.ts';

const MILLIS = /^(?:< 1 ms|[\d.]+ m?s)$/;

/** What the panel shows and what the relay says, looked at one after the other. */
interface Both {
  readonly page: { readonly received: number; readonly sent: number };
  readonly row: ConnectionRow;
}

test('over WebRTC the panel and the relay tell the same of a tab that worked', async () => {
  await using swarm = await Swarm.start();
  const tab = await Tab.open(await swarm.browser(), swarm.relay.link);
  await tab.page.evaluate(`{
    globalThis.looks = 0;
    const getStats = RTCPeerConnection.prototype.getStats;
    RTCPeerConnection.prototype.getStats = function (...args) {
      globalThis.looks += 1;
      return getStats.apply(this, args);
    };
  }`);
  await tab.start();
  await tab.connected();
  await work(swarm);
  assert.equal(await tab.page.evaluate('globalThis.looks'), 0, 'while nobody looks, nothing is measured');

  await open(tab);
  assert.equal(await shown(tab, 'transport'), 'WebRTC');
  assert.match(await shown(tab, 'address'), /^\/ip4\/127\.0\.0\.1\/udp\/\d+\/webrtc-direct$/);
  const { row, page } = await agreed(swarm, tab);
  assert.equal(row.transport, 'webrtc');
  assert.equal(row.node, await tab.node());
  assert.ok(row.joined);
  assert.ok((row.path_round_trip_ms ?? 0) > 0, 'SCTP acknowledgements tell the path');
  assert.notEqual(row.retransmissions, undefined, 'SCTP tells what it sent again');
  assert.match(await shown(tab, 'round-trip'), MILLIS);
  assert.match(await shown(tab, 'ping'), MILLIS);
  const wire = await until('the wire is measured', 10_000, () => shown(tab, 'wire'), (text) => text !== '–');
  assert.match(wire, /^[\d.]+ [kM]B$/);
  assert.ok((await tab.page.evaluate<number>('globalThis.looks')) > 0);

  const metrics = await swarm.api.metrics();
  assert.match(metrics, /^shoal_relay_connections\{transport="webrtc"\} 1$/m);
  assert.match(metrics, /^shoal_relay_connections_opened_total\{transport="webrtc"\} 1$/m);
  assert.match(metrics, /^shoal_relay_connection_retransmissions_total\{transport="webrtc"\} \d+$/m);
  assert.match(metrics, /^shoal_relay_connection_round_trip_seconds_count\{transport="webrtc"\} [1-9]/m);
  const counted = /^shoal_relay_connection_bytes_total\{transport="webrtc",direction="out"\} (\d+)$/m.exec(metrics)?.[1];
  assert.ok(Number(counted) >= page.received, `${String(counted)} and ${page.received}`);
  assert.deepEqual(tab.errors, []);
});

test('over WebSocket the panel counts the same, and says what browsers do not tell', async () => {
  await using swarm = await Swarm.start({ webRtc: false });
  const tab = await swarm.tab();
  await work(swarm);
  await open(tab);
  assert.equal(await shown(tab, 'transport'), 'WebSocket');
  const { row } = await agreed(swarm, tab);
  assert.equal(row.transport, 'websocket');
  assert.equal(row.retransmissions, undefined, 'nobody asks the socket');
  await until('pings are shown', 30_000, () => shown(tab, 'round-trip'), (text) => MILLIS.test(text));
  assert.equal(await shown(tab, 'wire'), '–');
  assert.deepEqual(tab.errors, []);
});

async function work(swarm: Swarm): Promise<void> {
  const job = await swarm.api.submit(await digitsJob(swarm.api, { ...EXACT_ONLY, rounds: 1 }));
  await swarm.finished(job);
}

/** Unfolds the panel; it is folded until somebody does. */
async function open(tab: Tab): Promise<void> {
  const panel = tab.page.locator('details', { hasText: 'Connection details' });
  assert.equal(await panel.getAttribute('open'), null);
  await panel.locator('summary').click();
  await panel.locator('[data-value="transport"]').waitFor();
}

function shown(tab: Tab, name: string): Promise<string> {
  return tab.page.locator(`details [data-value="${name}"]`).innerText();
}

/** At rest every byte that one end sent is one that the other received; pings move both now and then. */
async function agreed(swarm: Swarm, tab: Tab): Promise<Both> {
  const bytes = async (name: string): Promise<number> =>
    Number(await tab.page.locator(`details [data-value="${name}"]`).getAttribute('data-bytes'));
  return until(
    'panel and relay agree',
    30_000,
    async () => {
      const page = { received: await bytes('received'), sent: await bytes('sent') };
      const [row, ...others] = await swarm.api.connections();
      if (row === undefined || others.length > 0) throw new Error(`${others.length + 1} connections`);
      return { page, row };
    },
    ({ page, row }) =>
      page.received > 10_000 && page.received === row.sent_bytes && page.sent > 1000 && page.sent === row.received_bytes,
  );
}
