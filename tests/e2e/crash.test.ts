import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digitsJob, EXACT_ONLY } from '../src/digits.ts';
import { pickAscending, seeded } from '../src/random.ts';
import { countedOnce, Swarm } from '../src/swarm.ts';
import { sleep } from '../src/wait.ts';

const SEED = Number(process.env['SHOAL_SEED'] ?? 20_261_121);
const KILLS = 5;
const TRAINING = { ...EXACT_ONLY, rounds: 6 };
const UNITS = TRAINING.rounds * TRAINING.units_per_round;

/** The longest that a kill comes after the receipt that it waits for: about one unit's time. */
const JITTER_MS = 60;

async function train(swarm: Swarm, disturb: (job: string) => Promise<void>): Promise<{ model: Buffer; units: Map<string, number> }> {
  swarm.native();
  await swarm.tab();
  const job = await swarm.api.submit(await digitsJob(swarm.api, TRAINING, { lease_ms: 5_000 }));
  await disturb(job);
  const status = await swarm.finished(job);
  return { model: await swarm.api.model(job), units: countedOnce(await swarm.api.receipts(job), status) };
}

test(`a relay killed at five instants ends with the undisturbed model and receipts (seed ${SEED})`, async () => {
  await using calm = await Swarm.start();
  const undisturbed = await train(calm, () => Promise.resolve());
  await calm[Symbol.asyncDispose]();

  const random = seeded(SEED);
  const instants = pickAscending(random, KILLS, 1, UNITS - 1);
  await using rough = await Swarm.start();
  const disturbed = await train(rough, async (job) => {
    for (const accepted of instants) {
      await rough.accepted(job, accepted);
      await sleep(random() * JITTER_MS);
      await rough.relay.kill();
      await rough.relay.restart();
    }
  });

  assert.ok(disturbed.model.equals(undisturbed.model), 'the models differ');
  assert.deepEqual([...disturbed.units].sort(), [...undisturbed.units].sort(), 'the receipts differ');
});
