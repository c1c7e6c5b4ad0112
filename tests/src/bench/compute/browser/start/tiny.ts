import type { Workload } from '../protocol.ts';

/** The least that a subject can be asked for. */
export const TINY: Workload = { kind: 'product', n: 8, form: 'A·B' };
