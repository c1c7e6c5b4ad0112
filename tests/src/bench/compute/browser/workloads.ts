/** Shapes of the workloads, and what one run of each counts. */
import type { Form, Workload } from './protocol.ts';

/**
 * Net of the convolution workloads: image → conv 3×3 same, relu, max pool 2, twice → dense, relu → dense. Plain SGD on the
 * mean cross-entropy.
 */
export const CONV = { batch: 64, size: 28, channels: [16, 32], hidden: 128, classes: 10, rate: 0.05 } as const;

/** Side of the image after both pools, and what the first dense layer reads. */
export const CONV_SIDE = CONV.size / 4;
export const CONV_FEATURES = CONV.channels[1] * CONV_SIDE * CONV_SIDE;

/**
 * A decoder as GPT-2's: learned positions, layer norm before attention and before the MLP and at the end, biases, GELU by
 * tanh, an MLP four times as wide, and a head of its own without bias.
 */
export interface Decoder {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly vocabulary: number;
  /** Rows of the table of positions. */
  readonly positions: number;
}

export const LANGUAGE = { layers: 4, width: 128, heads: 4, vocabulary: 96, positions: 64 } as const satisfies Decoder;
/** Samples of one training step, each as long as there are positions. */
export const LANGUAGE_BATCH = 16;
export const ADAM = { rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

export const GPT = { layers: 6, width: 384, heads: 6, vocabulary: 4096, positions: 256 } as const satisfies Decoder;
/** Tokens of a prefill, and of the cache that a decoding step continues. */
export const CONTEXT = 128;

export const EPSILON = 1e-5;

/** Losses of so many first steps are what trainings are compared by. */
export const COMPARED_STEPS = 4;

const SIZES = [256, 512, 1024];
const FORMS: readonly Form[] = ['A·B', 'A·Bᵀ', 'Aᵀ·B'];
const INTEGER_SIZES = [512, 1024];

/** In the order they are measured in. */
export const WORKLOADS: readonly Workload[] = [
  ...(['mul+add', 'relaxed FMA', 'dot_i16x8', 'memory read'] as const).map((what) => ({ kind: 'limit', what }) as const),
  ...FORMS.flatMap((form) => SIZES.map((n) => ({ kind: 'product', n, form }) as const)),
  ...INTEGER_SIZES.map((n) => ({ kind: 'integer product', n }) as const),
  { kind: 'conv inference' },
  { kind: 'conv training' },
  { kind: 'language training' },
  { kind: 'decode' },
  { kind: 'prefill' },
];

/** What one run does, in thousands of millions of operations or bytes, in samples or in tokens. */
export function amount(workload: Workload): { readonly value: number; readonly unit: string } {
  switch (workload.kind) {
    case 'product':
      return { value: (2 * workload.n ** 3) / 1e9, unit: 'GFLOP/s' };
    case 'integer product':
      return { value: (2 * workload.n ** 3) / 1e9, unit: 'GOP/s' };
    case 'conv inference':
    case 'conv training':
      return { value: CONV.batch, unit: 'samples/s' };
    case 'language training':
      return { value: LANGUAGE_BATCH * LANGUAGE.positions, unit: 'tokens/s' };
    case 'decode':
      return { value: 1, unit: 'tokens/s' };
    case 'prefill':
      return { value: CONTEXT, unit: 'tokens/s' };
    case 'limit':
      return LIMITS[workload.what];
  }
}

/** Steps of a limit's loop in one run, and of what each step does: `limits.ts` writes the loops. */
export const LIMIT_STEPS = 200_000;
export const ACCUMULATORS = 12;
/** Far more than any cache. */
export const READ_BYTES = 256 * 1024 * 1024;

const LANE_OPERATIONS = { 'mul+add': 8, 'relaxed FMA': 8, dot_i16x8: 16 } as const;

const rate = (what: keyof typeof LANE_OPERATIONS): number => (LANE_OPERATIONS[what] * ACCUMULATORS * LIMIT_STEPS) / 1e9;

const LIMITS = {
  'mul+add': { value: rate('mul+add'), unit: 'GFLOP/s' },
  'relaxed FMA': { value: rate('relaxed FMA'), unit: 'GFLOP/s' },
  dot_i16x8: { value: rate('dot_i16x8'), unit: 'GOP/s' },
  'memory read': { value: READ_BYTES / 1e9, unit: 'GB/s' },
} as const;
