/** Ours, built for tolerant work: products fuse where relaxed SIMD does. */
import type { Subject } from './protocol.ts';
import { loadModule } from './work.ts';

export function load(): Promise<Subject> {
  return loadModule('/shoal-relaxed/shoal_bench_compute.js', { hasOutputsFirst: true });
}
