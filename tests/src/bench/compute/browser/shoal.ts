/** Ours: the CPU backend, of `crates/compute/examples/bench_compute`. */
import type { Subject } from './protocol.ts';
import { loadModule } from './work.ts';

export function load(): Promise<Subject> {
  return loadModule('/shoal/bench_compute.js', { hasOutputsFirst: true });
}
