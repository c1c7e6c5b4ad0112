/** jax-js with the convolutions written by hand, for the conv net alone. */
import type { Subject } from '../protocol.ts';
import { columnsConvolution, shiftsConvolution } from './net.ts';
import { loadWith } from './workloads.ts';

export function load(): Promise<Subject> {
  return loadWith({ inference: columnsConvolution, training: shiftsConvolution }, false);
}
