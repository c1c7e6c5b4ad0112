/** jax-js with the convolution written by hand, for the conv net alone. */
import type { Subject } from '../protocol.ts';
import { im2colConvolution } from './net.ts';
import { loadWith } from './workloads.ts';

export function load(): Promise<Subject> {
  return loadWith(im2colConvolution);
}
