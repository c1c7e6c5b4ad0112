/** A job whose blobs are large and whose units are short: for tests of how blobs travel. */
import type { Api } from './api.ts';
import { EXACT_ONLY } from './digits.ts';
import { safetensors } from './safetensors.ts';

const UNITS = 4;
const INPUTS = 64;
const HIDDEN = 2048;
const CLASSES = 10;

/** Samples of one shard: 2.6 MB. */
const SHARD_SAMPLES = 10_000;

/** Bytes of the samples of all shards, without their headers. */
export const SHARDS_LEN = UNITS * SHARD_SAMPLES * (INPUTS + 1) * 4;

/** Bytes of the model's parameters, which are also those of one output, without the header. */
export const PARAMETERS_LEN = (INPUTS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES) * 4;

/** Bytes of one round's outputs, without their headers. */
export const OUTPUTS_LEN = UNITS * PARAMETERS_LEN;

/** Uploads the data and returns the job document: one round, a shard for each unit. */
export async function blobJob(api: Api): Promise<object> {
  return {
    name: 'blobs',
    model: {
      input: [INPUTS],
      layers: [{ op: 'dense', units: HIDDEN }, { op: 'relu' }, { op: 'dense', units: CLASSES }],
    },
    data: { train: await api.putBlob(samples(UNITS * SHARD_SAMPLES, 1)), held_out: await api.putBlob(samples(100, 2)) },
    training: { ...EXACT_ONLY, rounds: 1, units_per_round: UNITS, local_steps: 2 },
  };
}

function samples(count: number, seed: number): Buffer {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  const x = Float32Array.from({ length: count * INPUTS }, () => next() / 2 ** 32);
  const y = Int32Array.from({ length: count }, () => (next() >>> 16) % CLASSES);
  return safetensors([
    { name: 'x', shape: [count, INPUTS], data: x },
    { name: 'y', shape: [count], data: y },
  ]);
}
