/** What is measured, and what page and worker tell each other about it. */

/** Which of a product's operands is transposed. */
export type Form = 'A·B' | 'A·Bᵀ' | 'Aᵀ·B';

export type Workload =
  /** f32 square matrices. */
  | { readonly kind: 'product'; readonly n: number; readonly form: Form }
  /** u8 by i8 square matrices into i32. */
  | { readonly kind: 'integer product'; readonly n: number }
  | { readonly kind: 'conv inference' | 'conv training' | 'language training' | 'decode' | 'prefill' }
  /** What the core could do at all. */
  | { readonly kind: 'limit'; readonly what: 'mul+add' | 'relaxed FMA' | 'dot_i16x8' | 'memory read' };

/** Ours: exact, and built for tolerant work with relaxed SIMD. */
export const OURS = ['shoal', 'shoal relaxed'] as const;

export const SUBJECTS = [...OURS, 'onnxruntime-web', 'tfjs-wasm', 'jax-js', 'jax-js by hand', 'burn', 'limit'] as const;
export type SubjectName = (typeof SUBJECTS)[number];

export function isOurs(subject: string): boolean {
  return OURS.some((ours) => ours === subject);
}

/** One subject's way to do one workload, ready to run. */
export interface Prepared {
  /** Does it so many times, each with its result complete. */
  run(times: number): Promise<void> | void;
  /** What a first run makes: compared between the subjects before anything is measured. */
  readonly result: Float32Array;
}

export interface Subject {
  /** Null for what it cannot do. */
  prepare(workload: Workload): Promise<Prepared | null>;
}

export type ToWorker =
  /** Prepares a workload and answers with its result; null where the subject cannot do it. */
  | { readonly type: 'prepare'; readonly subject: SubjectName; readonly workload: Workload }
  /** Does it so many times and answers with the seconds that took. */
  | { readonly type: 'turn'; readonly subject: SubjectName; readonly workload: Workload; readonly times: number };

export type FromWorker =
  | { readonly type: 'prepared'; readonly result: Float32Array | null }
  | { readonly type: 'turned'; readonly seconds: number }
  | { readonly type: 'failed'; readonly error: string };

/** A name for people and for keys. */
export function name(workload: Workload): string {
  switch (workload.kind) {
    case 'product':
      return `matmul ${workload.form} ${String(workload.n)}³`;
    case 'integer product':
      return `int8 matmul ${String(workload.n)}³`;
    case 'conv inference':
      return 'conv net inference';
    case 'conv training':
      return 'conv net training';
    case 'language training':
      return 'char LM training';
    case 'decode':
      return 'GPT decode';
    case 'prefill':
      return 'GPT prefill';
    case 'limit':
      return `limit ${workload.what}`;
  }
}
