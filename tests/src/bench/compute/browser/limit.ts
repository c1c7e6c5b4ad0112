/** The loops of `limits.ts`. */
import type { Prepared, Subject, Workload } from './protocol.ts';

export async function load(): Promise<Subject> {
  const { instance } = await WebAssembly.instantiateStreaming(fetch('/limits.wasm'));
  // Memory that was never written is one page of zeros to the machine, and all of it would be read from the cache.
  new Uint8Array((instance.exports['memory'] as WebAssembly.Memory).buffer).fill(1);
  return {
    prepare(workload: Workload): Promise<Prepared | null> {
      if (workload.kind !== 'limit') return Promise.resolve(null);
      const loop = instance.exports[workload.what] as () => number;
      const run = (times: number): void => {
        for (let time = 0; time < times; time += 1) loop();
      };
      return Promise.resolve({ run, result: new Float32Array() });
    },
  };
}
