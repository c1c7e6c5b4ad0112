/** jax-js as it is. */
import type { Subject } from '../protocol.ts';
import { ownConvolution } from './net.ts';
import { loadWith } from './workloads.ts';

export function load(): Promise<Subject> {
  return loadWith({ inference: ownConvolution, training: ownConvolution }, true);
}
