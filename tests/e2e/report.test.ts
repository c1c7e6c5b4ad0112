import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkerRow } from '../src/api.ts';
import { BASE_UNITS_PER_OPERATION, formatTokens } from '../src/chain.ts';
import { complaints, json, table, type Findings } from '../src/demo/report.ts';

const row = (node: string, changes: Partial<WorkerRow> = {}): WorkerRow => ({
  node,
  kind: 'browser',
  backend: 'cpu',
  adapter: '',
  connected: true,
  verified_ops: 1_000,
  accepted_units: 10,
  rejected_units: 0,
  gpu_dispatches: 0,
  ...changes,
});

const ROWS = [
  row('a', { backend: 'webgpu', adapter: 'an adapter', gpu_dispatches: 7 }),
  row('b'),
  row('c'),
  row('d', { kind: 'native' }),
];

const GOOD: Findings = {
  status: {
    id: 'j', name: 'digits', state: 'finished', rounds_done: 4, rounds: 4, round_accepted: 10, units_per_round: 10,
    verified_ops: 4_000, validation_overhead: 1, workers: ROWS,
  },
  accuracy: 0.97,
  wallSeconds: 9,
  receiptsTotalOps: 4_000,
  workers: ROWS.map((worker) => ({ row: worker, paid: 1_000n * BASE_UNITS_PER_OPERATION })),
};

test('a demo as it must be has no complaints, and its report has every field', () => {
  assert.deepEqual(complaints(GOOD), []);
  const report = JSON.parse(json(GOOD)) as { chain_paid_total: number; workers: unknown[] };
  assert.equal(report.chain_paid_total, 4_000_000_000);
  const large = { ...GOOD, workers: ROWS.map((worker) => ({ row: worker, paid: 10n ** 18n + 1n })) };
  assert.match(json(large), /"chain_paid_total": 4000000000000000004,/);
  assert.equal(report.workers.length, 4);
  assert.match(table(GOOD), /an adapter, 7 dispatches/);
});

test('each thing that can be wrong is told', () => {
  const [first] = GOOD.workers;
  assert.ok(first !== undefined);
  const others = GOOD.workers.slice(1);
  const wrong: [Partial<Findings>, RegExp][] = [
    [{ accuracy: 0.9599 }, /accuracy/],
    [{ accuracy: Number.NaN }, /accuracy/],
    [{ receiptsTotalOps: 3_999 }, /receipts/],
    [{ workers: [{ ...first, paid: first.paid - 1n }, ...others] }, /paid/],
    [{ workers: [{ ...first, row: { ...first.row, accepted_units: 3 } }, ...others] }, /3 of 40 units/],
    [{ workers: [{ ...first, row: { ...first.row, gpu_dispatches: 0 } }, ...others] }, /GPU/],
    [{ workers: GOOD.workers.slice(0, 3), receiptsTotalOps: 3_000 }, /native/],
    [{ workers: GOOD.workers.slice(1), receiptsTotalOps: 3_000 }, /tabs/],
  ];
  for (const [change, words] of wrong) assert.match(complaints({ ...GOOD, ...change }).join('\n'), words);
});

test('amounts are shown in tokens', () => {
  assert.equal(formatTokens(0n), '0.000000');
  assert.equal(formatTokens(1_234_567_890_123_456_789n), '1.234567');
});
