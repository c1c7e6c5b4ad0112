import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAge, formatBytes, formatMillis } from '../src/lib/format.ts';
import { extend, KEPT, NO_HISTORY, socketOf, spark, SPARK, type History } from '../src/volunteer/connection-history.ts';

const look = (seconds: number, receivedBytes: number, sentBytes: number, ageMs = seconds * 1000) => ({
  atMs: seconds * 1000,
  ageMs,
  receivedBytes,
  sentBytes,
});

test('rates are differences of totals', () => {
  let history = extend(NO_HISTORY, look(1, 1000, 50));
  assert.deepEqual(history.rates, []);
  history = extend(history, look(3, 5000, 50));
  assert.deepEqual(history.rates, [{ down: 2000, up: 0 }]);
  assert.equal(extend(history, look(3, 6000, 50)), history, 'no time, no rate');
});

test('another connection begins anew, and the past is bounded', () => {
  let history: History = NO_HISTORY;
  for (let second = 0; second < 2 * KEPT; second += 1) history = extend(history, look(second, second * 10, 0));
  assert.equal(history.rates.length, KEPT);
  history = extend(history, look(500, 3, 3, 20));
  assert.deepEqual(history.rates, []);
});

test('a sparkline ends at the right edge and stays inside its box', () => {
  assert.deepEqual(spark([5], 10), { line: '', area: '' });
  const { line } = spark([0, 5, 10, 20], 10);
  const points = line.split(/[ML]/).slice(1).map((point) => point.split(' ').map(Number));
  assert.equal(points.at(-1)?.[0], SPARK.width);
  for (const [x = -1, y = -1] of points) {
    assert.ok(x >= 0 && x <= SPARK.width && y >= 0 && y <= SPARK.height, `${x} ${y}`);
  }
  assert.ok((points[0]?.[1] ?? 0) > (points[2]?.[1] ?? 0), 'more is higher');
  assert.ok(!spark([0, 0], 0).line.includes('NaN'));
});

test('a relay is where its address begins', () => {
  assert.equal(socketOf('/ip4/192.0.2.1/udp/7041/webrtc-direct/certhash/uEi/p2p/12D3'), '/ip4/192.0.2.1/udp/7041/webrtc-direct');
  assert.equal(socketOf('/dns/relay.example/tcp/443/tls/ws/p2p/12D3'), '/dns/relay.example/tcp/443/tls/ws');
});

test('bytes and times as people read them', () => {
  assert.deepEqual([0, 999, 1234, 5_600_000].map(formatBytes), ['0 B', '999 B', '1.23 kB', '5.60 MB']);
  assert.deepEqual([0, 0.42, 9.96, 38.2, 1234].map(formatMillis), ['< 1 ms', '0.4 ms', '10 ms', '38 ms', '1.2 s']);
  assert.deepEqual([900, 61_000, 7_500_000].map(formatAge), ['0 s', '1 min 1 s', '2 h 5 min']);
});
