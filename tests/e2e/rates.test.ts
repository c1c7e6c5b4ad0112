/** Limits on how fast a tab receives and sends, as its visitor sets them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digitsJob, EXACT_ONLY } from '../src/digits.ts';
import { countedOnce, JOB_LIMIT_MS, Swarm } from '../src/swarm.ts';
import { until } from '../src/wait.ts';

/** The least that the page takes, and what it is. */
const MBIT = '0.1';
const BYTES_PER_SECOND = 12_500;

/** Many small shards, because the relay counts transfers that have ended. */
const TRAINING = { ...EXACT_ONLY, rounds: 1, units_per_round: 96, local_steps: 5 };

/** Of the data, so that at the limit the shards together would take longer than a job may. */
const COPIES = 10;

test('a limit holds over a transfer, and when it is taken away the transfer goes on', async () => {
  await using swarm = await Swarm.start();
  const tab = await swarm.tab();
  await tab.openDataSettings();
  await tab.limitRate('Download', MBIT);
  await tab.limitRate('Upload', MBIT);

  const document = await digitsJob(swarm.api, TRAINING, { max_worker_share: 1, lease_ms: 600_000 }, COPIES);
  const job = await swarm.api.submit(document);
  const down = await amount(swarm, 'out', 100_000);
  assert.ok(down.bytes <= 2 * BYTES_PER_SECOND * (down.seconds + 1), `${down.bytes} bytes came in ${down.seconds} s`);

  await tab.limitRate('Download', '');
  const up = await amount(swarm, 'in', 100_000);
  assert.ok(up.bytes <= 2 * BYTES_PER_SECOND * (up.seconds + 1), `${up.bytes} bytes left in ${up.seconds} s`);

  await tab.limitRate('Upload', '');
  const status = await swarm.finished(job);
  countedOnce(await swarm.api.receipts(job), status);
  const total = await swarm.api.blobBytes('out');
  assert.ok(total >= (BYTES_PER_SECOND * JOB_LIMIT_MS) / 1000, `${total} bytes would have come at the limit, too`);
  assert.deepEqual(tab.errors, []);
});

/** How long the first so many bytes take, from the first byte on. */
async function amount(
  swarm: Swarm,
  direction: 'in' | 'out',
  atLeast: number,
): Promise<{ readonly bytes: number; readonly seconds: number }> {
  const look = (): Promise<number> => swarm.api.blobBytes(direction);
  const first = await until(`bytes go ${direction}`, 60_000, look, (bytes) => bytes > 0);
  const start = performance.now();
  const last = await until(`${atLeast} bytes went ${direction}`, 120_000, look, (bytes) => bytes >= first + atLeast);
  return { bytes: last - first, seconds: (performance.now() - start) / 1000 };
}
