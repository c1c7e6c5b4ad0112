/** The digits job, built from the example's data: what the tests vary is how it is trained and spread. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Api } from './api.ts';
import { ROOT } from './environment.ts';
import { safetensors } from './safetensors.ts';

export const DIGITS_CSV = join(ROOT, 'examples/digits/digits.csv.gz');

const PIXELS = 64;
/** The brightest pixel. */
const BRIGHTEST = 16;

export interface Training {
  readonly rounds: number;
  readonly units_per_round: number;
  readonly gradient_units_per_round: number;
  readonly local_steps: number;
  readonly batch: number;
  readonly learning_rate: number;
  readonly momentum: number;
  readonly gradient_batch: number;
  readonly gradient_learning_rate: number;
  readonly seed: number;
}

/** As `examples/digits` trains. */
export const TRAINING: Training = {
  rounds: 14,
  units_per_round: 12,
  gradient_units_per_round: 3,
  local_steps: 60,
  batch: 16,
  learning_rate: 0.08,
  momentum: 0.9,
  gradient_batch: 64,
  gradient_learning_rate: 0.4,
  seed: 1,
};

/** Few rounds of exact units: enough to be interrupted, and over in seconds. */
export const EXACT_ONLY: Training = { ...TRAINING, gradient_units_per_round: 0 };

export type Layer = { readonly op: string } & Readonly<Record<string, string | number>>;

export interface Model {
  readonly input: readonly number[];
  readonly layers: readonly Layer[];
}

export const MODEL: Model = {
  input: [1, 8, 8],
  layers: [
    { op: 'conv2d', out_channels: 8, kernel: 3, padding: 1 },
    { op: 'relu' },
    { op: 'conv2d', out_channels: 16, kernel: 3, padding: 1 },
    { op: 'relu' },
    { op: 'max_pool2d', size: 2 },
    { op: 'flatten' },
    { op: 'dense', units: 10 },
  ],
};

export interface Scheduling {
  readonly replicas?: number;
  readonly max_worker_share?: number;
  readonly lease_ms?: number;
}

/** Uploads the data and returns the job document; with `copies`, each training sample so many times. */
export async function digitsJob(
  api: Api,
  training: Training,
  scheduling: Scheduling = {},
  copies = 1,
  model: Model = MODEL,
): Promise<object> {
  const rows = gunzipSync(readFileSync(DIGITS_CSV)).toString().trim().split('\n').map((line) => line.split(',').map(Number));
  const kept = rows.filter((_, i) => i % 5 !== 4);
  const train = await api.putBlob(samples(Array.from({ length: copies }, () => kept).flat()));
  const held_out = await api.putBlob(samples(rows.filter((_, i) => i % 5 === 4)));
  return { name: 'digits', model, data: { train, held_out }, training, scheduling };
}

function samples(rows: readonly (readonly number[])[]): Buffer {
  const x = Float32Array.from(rows.flatMap((row) => row.slice(0, PIXELS).map((pixel) => pixel / BRIGHTEST)));
  const y = Int32Array.from(rows.map((row) => row[PIXELS] ?? 0));
  return safetensors([
    { name: 'x', shape: [rows.length, 1, 8, 8], data: x },
    { name: 'y', shape: [rows.length], data: y },
  ]);
}
