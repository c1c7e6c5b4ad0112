/** Burn's Flex backend, of the crate `burn` beside this folder. */
import type { Subject } from './protocol.ts';
import { loadModule } from './work.ts';

export function load(): Promise<Subject> {
  return loadModule('/burn/bench_burn.js', { hasOutputsFirst: false });
}
