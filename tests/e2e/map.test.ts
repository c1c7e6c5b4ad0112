import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cheatingProgram } from '../src/cheats.ts';
import { mapJob } from '../src/map-job.ts';
import { countedOnce, Swarm } from '../src/swarm.ts';
import { until } from '../src/wait.ts';
import type { MapOutput, WorkerRow } from '../src/api.ts';

const SHARDS = 60;

/** Outputs in one answer: several pages, the last one short. */
const PAGE = 16;

test('a map job gives every row once, whoever cheats, leaves or is killed', async () => {
  await using swarm = await Swarm.start();
  const { api } = swarm;
  const { document, outputs, rows } = await mapJob(api, SHARDS);
  const job = await api.submit(document);
  const worker = (what: string, is: (row: WorkerRow) => boolean): Promise<WorkerRow | undefined> =>
    until(what, 60_000, async () => (await api.workers()).find(is), (row) => row !== undefined);

  const cheating = swarm.native({ file: await cheatingProgram(), args: ['--cheat', 'flipped-sign'] });
  const cheat = await worker('a result is rejected', ({ rejected_units }) => rejected_units > 0);
  await cheating.stop();

  // Closed while it holds leases: it takes the next before it has finished one.
  const tab = await swarm.tab();
  const closed = await worker('the tab has units accepted', (row) => row.kind === 'browser' && row.accepted_units >= 2);
  await tab.kill();

  swarm.native();
  const honest = await worker('the native worker has units accepted', (row) => row.kind === 'native' && row.accepted_units >= 5);
  const before = await outputsOf(swarm, job);
  await swarm.relay.kill();
  await swarm.relay.restart();
  const { round_accepted: accepted } = await api.job(job);
  assert.ok(accepted >= before.length && accepted < SHARDS, `${accepted} shards were accepted when the relay was killed`);
  const after = await outputsOf(swarm, job);
  assert.deepEqual(before.filter((output) => !after.some((other) => other.blob === output.blob)), [], 'an output is lost');

  await swarm.tab();
  const status = await swarm.finished(job);
  assert.deepEqual(status.rows, { done: rows, total: rows });
  const receipts = await api.receipts(job);
  countedOnce(receipts, status);
  const paid = new Set(receipts.map((receipt) => receipt.worker));
  assert.ok(cheat !== undefined && !paid.has(cheat.node), 'the cheat is paid');
  for (const row of [closed, honest]) assert.ok(row !== undefined && paid.has(row.node), 'a worker is not paid');

  const listed = await outputsOf(swarm, job);
  assert.deepEqual(listed.map(({ shard }) => shard), [...outputs.keys()]);
  for (const [shard, right] of outputs.entries()) {
    const made = await api.blob(listed[shard]?.blob ?? '');
    assert.ok(made.equals(right), `the output of shard ${shard} is another`);
  }
});

/** All outputs that there are, page by page. */
async function outputsOf(swarm: Swarm, job: string): Promise<MapOutput[]> {
  const all: MapOutput[] = [];
  for (;;) {
    const page = await swarm.api.outputs(job, (all.at(-1)?.shard ?? -1) + 1, PAGE);
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}
