import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digitsJob, EXACT_ONLY } from '../src/digits.ts';
import { countedOnce, Swarm } from '../src/swarm.ts';
import { until } from '../src/wait.ts';

/** Shorter than any test: the units of a killed tab must be leased again by their lapse or by the lost connection. */
const LEASE_MS = 5_000;

test('a tab is killed and another joins in the middle: nothing is counted twice, nothing is lost', async () => {
  await using swarm = await Swarm.start();
  const doomed = await swarm.tab();
  const steady = await swarm.tab();
  const doomedNode = await doomed.node();
  const training = { ...EXACT_ONLY, rounds: 8 };
  const job = await swarm.api.submit(await digitsJob(swarm.api, training, { lease_ms: LEASE_MS }));

  // Killed while it works: after its first units, long before the last.
  await until(
    'the first tab has units accepted',
    60_000,
    async () => (await swarm.api.job(job)).workers.find(({ node }) => node === doomedNode)?.accepted_units ?? 0,
    (units) => units >= 2,
  );
  await doomed.kill();
  const late = await swarm.tab();
  const status = await swarm.finished(job);

  countedOnce(await swarm.api.receipts(job), status);
  const units = (node: string): number => status.workers.find((worker) => worker.node === node)?.accepted_units ?? 0;
  assert.ok(units(doomedNode) >= 2, 'what the killed tab proved stays counted');
  assert.ok(units(await late.node()) > 0, 'the late tab worked');
  assert.ok(units(await steady.node()) > 0, 'the steady tab worked');
});
