/**
 * A map job that a test can compute itself: a perceptron, its graphs written in the relay's own encoding
 * (`crates/wire/proto/shoal/v1/graph.proto`), its outputs by the rules of `docs/exact.md` in the arithmetic of JavaScript.
 */
import type { Api } from './api.ts';
import { safetensors } from './safetensors.ts';

const INPUTS = 64;
const HIDDEN = 256;
const OUTPUTS = 16;

/** Rows of one run of each graph. No shard is a multiple of either. */
const BATCHES = [64, 48] as const;

const ROWS = 500;

/** A row that overflows: infinities and NaN come out of it. */
const OVERFLOWING = { shard: 7, row: 33 } as const;

/** What a NaN is in an output. */
const NAN_BITS = 0x7fc0_0000;

export interface MapJob {
  readonly document: object;
  /** Bytes of the right output of each shard. */
  readonly outputs: readonly Buffer[];
  readonly rows: number;
}

/** Uploads the blobs of a job of so many shards, which take turns between two graphs that share their parameters. */
export async function mapJob(api: Api, shardCount: number): Promise<MapJob> {
  const next = uniform(20_261_126);
  const w1 = Float32Array.from({ length: HIDDEN * INPUTS }, () => next() / 8);
  const w2 = Float32Array.from({ length: OUTPUTS * HIDDEN }, () => next() / 8);
  const parameters = await api.putBlob(
    safetensors([
      { name: 'w1', shape: [HIDDEN, INPUTS], data: w1 },
      { name: 'w2', shape: [OUTPUTS, HIDDEN], data: w2 },
    ]),
  );
  const graphs = [];
  for (const batch of BATCHES) graphs.push({ graph: await api.putBlob(perceptron(batch)), parameters, batch });
  const shards = [];
  const outputs = [];
  for (let shard = 0; shard < shardCount; shard += 1) {
    const x = Float32Array.from({ length: ROWS * INPUTS }, next);
    if (shard === OVERFLOWING.shard) {
      const first = OVERFLOWING.row * INPUTS;
      for (let i = first; i < first + INPUTS; i += 1) x[i] = (x[i] ?? 0) * 3e38;
    }
    const blob = await api.putBlob(safetensors([{ name: 'x', shape: [ROWS, INPUTS], data: x }]));
    shards.push({ blob, rows: ROWS, graph: shard % BATCHES.length });
    const y = dense(relu(dense(x, w1, INPUTS, HIDDEN)), w2, HIDDEN, OUTPUTS);
    outputs.push(safetensors([{ name: 'y', shape: [ROWS, OUTPUTS], data: oneNan(y) }]));
  }
  const document = { kind: 'map', name: 'rows', graphs, shards, scheduling: { lease_ms: 5_000 } };
  return { document, outputs, rows: shardCount * ROWS };
}

/** Each sum from +0 over the inputs in order; each product and each sum is rounded. */
function dense(rows: Float32Array, weights: Float32Array, inputs: number, outputs: number): Float32Array {
  const count = rows.length / inputs;
  const made = new Float32Array(count * outputs);
  for (let row = 0; row < count; row += 1) {
    for (let output = 0; output < outputs; output += 1) {
      let sum = 0;
      for (let k = 0; k < inputs; k += 1) {
        const product = Math.fround((rows[row * inputs + k] as number) * (weights[output * inputs + k] as number));
        sum = Math.fround(sum + product);
      }
      made[row * outputs + output] = sum;
    }
  }
  return made;
}

function relu(x: Float32Array): Float32Array {
  return x.map((value) => (value > 0 ? value : 0));
}

function oneNan(x: Float32Array): Float32Array {
  const bits = new Uint32Array(x.buffer);
  x.forEach((value, i) => {
    if (Number.isNaN(value)) bits[i] = NAN_BITS;
  });
  return x;
}

/** Numbers in [−1, 1), the same in each run. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

const FIELD = { version: 1, values: 2, inputs: 3, nodes: 4, outputs: 5 } as const;
const VERSION = 2;
const F32 = 1;
const UNARY = 42;
const RELU = 16;
const MAT_MUL = 56;

/** y = relu(x·w1ᵀ)·w2ᵀ */
function perceptron(batch: number): Buffer {
  const value = (name: string, shape: readonly number[]): Buffer =>
    Buffer.concat([text(1, name), number(2, F32), packed(3, shape)]);
  const node = (inputs: readonly number[], output: number, operation: Buffer): Buffer =>
    Buffer.concat([packed(1, inputs), number(2, output), operation]);
  const timesTransposed = message(MAT_MUL, number(2, 1));
  const values = [
    value('x', [batch, INPUTS]),
    value('w1', [HIDDEN, INPUTS]),
    value('w2', [OUTPUTS, HIDDEN]),
    value('', [batch, HIDDEN]),
    value('', [batch, HIDDEN]),
    value('', [batch, OUTPUTS]),
  ];
  const nodes = [
    node([0, 1], 3, timesTransposed),
    node([3], 4, number(UNARY, RELU)),
    node([4, 2], 5, timesTransposed),
  ];
  return Buffer.concat([
    number(FIELD.version, VERSION),
    ...values.map((bytes) => message(FIELD.values, bytes)),
    packed(FIELD.inputs, [0, 1, 2]),
    ...nodes.map((bytes) => message(FIELD.nodes, bytes)),
    message(FIELD.outputs, Buffer.concat([text(1, 'y'), number(2, 5)])),
  ]);
}

/** Protobuf's wire types. */
const VARINT = 0;
const LENGTH = 2;

function varint(value: number): Buffer {
  const bytes = [];
  for (; value >= 128; value >>>= 7) bytes.push((value & 127) | 128);
  return Buffer.from([...bytes, value]);
}

function number(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8 + VARINT), varint(value)]);
}

function message(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + LENGTH), varint(bytes.length), bytes]);
}

/** An empty text is left out, as in every canonical encoding. */
function text(field: number, value: string): Buffer {
  return value === '' ? Buffer.alloc(0) : message(field, Buffer.from(value));
}

function packed(field: number, values: readonly number[]): Buffer {
  return message(field, Buffer.concat(values.map(varint)));
}
