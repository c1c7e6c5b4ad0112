import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chartOf, BOX } from '../src/jobs/chart.ts';
import { remember } from '../src/jobs/history.ts';
import { formatDiskSize, formatOps, formatPercent, formatTokens, shortId } from '../src/lib/format.ts';
import type { JobStatus } from '../src/lib/relay-api.ts';
import { DEFAULTS, parseSettings } from '../src/volunteer/settings.ts';
import { describeState } from '../src/volunteer/words.ts';

test('operations keep three digits at every size', () => {
  const cases: [number, string][] = [
    [0, '0'],
    [-5, '0'],
    [Number.NaN, '0'],
    [7, '7'],
    [999, '999'],
    [999.6, '1.00 k'],
    [1234, '1.23 k'],
    [12_345, '12.3 k'],
    [99_960, '100 k'],
    [123_456_789, '123 M'],
    [999_700_000, '1.00 G'],
    [5e12, '5.00 T'],
    [2e21, '2000000 P'],
  ];
  for (const [ops, text] of cases) assert.equal(formatOps(ops), text, String(ops));
});

test('room on a disk keeps three digits at most', () => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1 KiB'],
    [1536, '1.5 KiB'],
    [128 * 1024 * 1024, '128 MiB'],
    [2 ** 31, '2 GiB'],
    [12.34 * 1024 * 1024, '12.3 MiB'],
  ];
  for (const [bytes, text] of cases) assert.equal(formatDiskSize(bytes), text.replace(' ', '\u00a0'), String(bytes));
});

test('identifiers and shares', () => {
  assert.equal(shortId('0123456789abcdef'), '01234567');
  assert.equal(formatPercent(0.9722), '97.2 %');
});

test('tokens are cut to six places and never rounded up', () => {
  assert.equal(formatTokens(0n), '0.000000');
  assert.equal(formatTokens(999_999_999_999n), '0.000000');
  assert.equal(formatTokens(12_345_678_999_999_999_999n), '12.345678');
});

const JOB: JobStatus = {
  id: 'a',
  name: 'digits',
  state: 'running',
  rounds_done: 0,
  rounds: 10,
  round_accepted: 0,
  units_per_round: 4,
  verified_ops: 0,
  workers: [],
};

test('history gains a point a round and forgets jobs that are gone', () => {
  let history = remember(new Map(), [JOB]);
  assert.deepEqual(history.get('a'), []);
  for (const [round, accuracy] of [
    [1, 0.5],
    [1, 0.5],
    [2, 0.7],
  ] as const) {
    history = remember(history, [{ ...JOB, rounds_done: round, held_out_accuracy: accuracy }]);
  }
  assert.deepEqual(history.get('a'), [
    { round: 1, accuracy: 0.5 },
    { round: 2, accuracy: 0.7 },
  ]);
  assert.equal(remember(history, []).size, 0);
});

test('every point of a chart lies inside its axes', () => {
  const points = [0.08, 0.55, 0.93, 1].map((accuracy, i) => ({ round: i + 1, accuracy }));
  const chart = chartOf(points, 4);
  for (const { x, y } of chart.dots) {
    assert.ok(x >= BOX.left && x <= BOX.width - BOX.right, `x ${x}`);
    assert.ok(y >= BOX.top && y <= BOX.height - BOX.bottom, `y ${y}`);
  }
  assert.equal(chart.dots.at(-1)?.y, BOX.top);
  assert.deepEqual(
    chart.ticks.map(({ accuracy }) => Math.round(accuracy * 100)),
    [100, 80, 60, 40, 20, 0],
  );
  assert.equal(chartOf([], 4).area, '');
});

test('settings that cannot be read back are the defaults, field by field', () => {
  for (const bad of [null, '', '{', '7', 'null']) assert.deepEqual(parseSettings(bad), DEFAULTS, String(bad));
  const mixed = parseSettings('{"power":"full","useGpu":"yes","pauseWhenHidden":true,"payoutAddress":5}');
  assert.deepEqual(mixed, { ...DEFAULTS, power: 'full', pauseWhenHidden: true });
});

test('a failure shows its own words and a lost connection when it is dialled again', () => {
  const failed = describeState({ kind: 'failed', error: { code: 'relay_unreachable', message: 'no answer' } });
  assert.deepEqual(failed, { title: 'The relay cannot be reached', detail: 'no answer', tone: 'bad' });
  const lost = describeState({ kind: 'reconnecting', reason: 'timed out', retryMs: 4_200 });
  assert.match(lost.detail, /4 s\. timed out/);
});
