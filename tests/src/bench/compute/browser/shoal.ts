/** Ours: the CPU backend, `crates/bench-compute`. */
import type { Subject } from './protocol.ts';
import { loadModule } from './work.ts';

export function load(): Promise<Subject> {
  return loadModule('/shoal/shoal_bench_compute.js', { hasOutputsFirst: true });
}
