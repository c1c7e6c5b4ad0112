import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digitsJob, TRAINING } from '../src/digits.ts';
import { heldOutAccuracy } from '../src/evaluation.ts';
import { countedOnce, Swarm } from '../src/swarm.ts';

test('tabs and a native worker train the digits, and an independent script finds the accuracy', async () => {
  await using swarm = await Swarm.start();
  const gpuTab = await swarm.tab({ useGpu: true });
  const tabs = [gpuTab, await swarm.tab(), await swarm.tab()];
  swarm.native();
  await swarm.workers(4);

  const job = await swarm.api.submit(await digitsJob(swarm.api, TRAINING, { max_worker_share: 0.3 }));
  const status = await swarm.finished(job);

  const accuracy = await heldOutAccuracy(await swarm.relay.modelFile(job));
  assert.ok(accuracy >= 0.96, `held-out accuracy is ${accuracy}`);
  assert.ok(Math.abs(accuracy - (status.held_out_accuracy ?? 0)) < 0.003, 'the relay reports what the script finds');
  countedOnce(await swarm.api.receipts(job), status);

  const units = status.rounds * status.units_per_round;
  for (const worker of status.workers) {
    assert.equal(worker.rejected_units, 0, `${worker.node} was rejected`);
    assert.ok(worker.accepted_units >= units / 10, `${worker.kind} did ${worker.accepted_units} of ${units} units`);
  }
  const gpu = status.workers.filter(({ backend }) => backend === 'webgpu');
  assert.equal(gpu.length, 1, 'one worker has a GPU');
  assert.notEqual(gpu[0]?.adapter, '');
  assert.ok((gpu[0]?.gpu_dispatches ?? 0) > 0, 'and used it');
  for (const tab of tabs) assert.deepEqual(tab.errors, []);
});
