import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionWatch, pathOf, type MeasuredPeer } from '../src/internal/connection-watch.ts';
import type { CoreConnection } from '../src/internal/core.ts';

const CORE: CoreConnection = {
  transport: 'webrtc',
  address: '/ip4/192.0.2.1/udp/7041/webrtc-direct',
  age_ms: 1500,
  received_bytes: 10,
  sent_bytes: 20,
  round_trip_ms: 3.5,
  downloads: [{ blob: 'ab', verified_bytes: 1, size_bytes: null }],
  uploads: 2,
};

const report = (...entries: readonly { readonly id: string; readonly [key: string]: unknown }[]): RTCStatsReport =>
  new Map(entries.map((entry) => [entry.id, entry]));

const PAIR = { id: 'P', type: 'candidate-pair', bytesReceived: 100, bytesSent: 200, currentRoundTripTime: 0.025 };

function peer(connectionState: RTCPeerConnectionState, stats: RTCStatsReport): MeasuredPeer {
  return { connectionState, getStats: () => Promise.resolve(stats) };
}

/** A watch whose core gives these answers. */
function watched(...answers: (CoreConnection | null)[]): ConnectionWatch {
  const watch: ConnectionWatch = new ConnectionWatch(() => watch.answered(answers.shift() ?? null));
  return watch;
}

test('over WebRTC the path is that of the newest connection that stands', async () => {
  const watch = watched(CORE);
  watch.add(peer('closed', report()));
  watch.add(peer('connected', report(PAIR, { id: 'T', type: 'transport', selectedCandidatePairId: 'P' })));
  watch.add(peer('connecting', report()));
  assert.deepEqual(await watch.stats(), {
    transport: 'webrtc',
    address: CORE.address,
    ageMs: 1500,
    receivedBytes: 10,
    sentBytes: 20,
    pingMs: 3.5,
    path: { roundTripMs: 25, receivedBytes: 100, sentBytes: 200 },
    downloads: [{ blob: 'ab', verifiedBytes: 1, sizeBytes: null }],
    uploads: 2,
  });
});

test('over WebSocket nothing is said of the path, whatever peer connections are left', async () => {
  const watch = watched({ ...CORE, transport: 'websocket', round_trip_ms: null });
  watch.add(peer('connected', report({ ...PAIR, nominated: true, state: 'succeeded' })));
  const stats = await watch.stats();
  assert.equal(stats?.path, null);
  assert.equal(stats.pingMs, null);
});

test('without a connection there are no figures, and an end answers who waits', async () => {
  assert.equal(await watched(null).stats(), null);
  const silent = new ConnectionWatch(() => undefined);
  const waiting = silent.stats();
  silent.end();
  assert.equal(await waiting, null);
  assert.equal(await silent.stats(), null);
});

test('the selected pair is found with and without a transport entry', () => {
  const other = { ...PAIR, id: 'Q', bytesSent: 7, nominated: true, state: 'succeeded' };
  assert.equal(pathOf(report(other, PAIR, { id: 'T', type: 'transport', selectedCandidatePairId: 'P' }))?.sentBytes, 200);
  assert.equal(pathOf(report(PAIR, other))?.sentBytes, 7);
  assert.equal(pathOf(report(PAIR)), null);
  const unmeasured = { id: 'P', type: 'candidate-pair', nominated: true, state: 'succeeded' };
  assert.deepEqual(pathOf(report(unmeasured)), { roundTripMs: null, receivedBytes: 0, sentBytes: 0 });
});
