import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHEATS, cheatingProgram, cheatingSite, cheatingTab } from '../src/cheats.ts';
import { digitsJob, EXACT_ONLY } from '../src/digits.ts';
import { heldOutAccuracy } from '../src/evaluation.ts';
import { countedOnce, Swarm } from '../src/swarm.ts';
import { until } from '../src/wait.ts';
import type { WorkerRow } from '../src/api.ts';

const HONEST_ACCURACY = 0.96;

/** Waits until a result of a worker was rejected. */
async function rejected(swarm: Swarm, isCheat: (row: WorkerRow) => boolean): Promise<string> {
  const row = await until(
    'a result is rejected',
    120_000,
    async () => (await swarm.api.workers()).find((worker) => isCheat(worker)),
    (worker) => (worker?.rejected_units ?? 0) > 0,
  );
  return row?.node ?? '';
}

async function earnsNothing(swarm: Swarm, job: string, cheat: string): Promise<void> {
  const status = await swarm.finished(job);
  const receipts = await swarm.api.receipts(job);
  countedOnce(receipts, status);
  assert.ok(receipts.every(({ worker }) => worker !== cheat), 'a receipt names the cheat');
  const row = (await swarm.api.workers()).find(({ node }) => node === cheat);
  assert.equal(row?.accepted_units, 0);
  assert.equal(row?.verified_ops, 0);
  assert.ok((row?.rejected_units ?? 0) > 0);
  const accuracy = await heldOutAccuracy(await swarm.relay.modelFile(job));
  assert.ok(accuracy >= HONEST_ACCURACY, `held-out accuracy is ${accuracy}`);
}

for (const kind of CHEATS) {
  test(`a native worker that cheats by ${kind} is rejected, earns nothing, and the accuracy holds`, async () => {
    await using swarm = await Swarm.start();
    // The cheat joins first and alone, so that it gets units before anybody else can take them.
    swarm.native({ file: await cheatingProgram(), args: ['--cheat', kind] });
    await swarm.workers(1);
    const job = await swarm.api.submit(await digitsJob(swarm.api, { ...EXACT_ONLY, rounds: 4 }));
    const cheat = await rejected(swarm, () => true);
    swarm.native();
    await earnsNothing(swarm, job, cheat);
  });
}

test('a tab that cheats is rejected, earns nothing, and the accuracy holds', async () => {
  await using swarm = await Swarm.start({ webDir: await cheatingSite() });
  const tab = await cheatingTab(await swarm.browser(), swarm.relay.link, 'one-entry-off');
  const job = await swarm.api.submit(await digitsJob(swarm.api, { ...EXACT_ONLY, rounds: 4 }));
  const cheat = await rejected(swarm, ({ kind }) => kind === 'browser');
  assert.equal(cheat, await tab.node());
  swarm.native();
  await earnsNothing(swarm, job, cheat);
});
