/**
 * onnxruntime-web's WebAssembly provider on one thread, with all graph optimisations. Its API takes and gives tensors of
 * JavaScript, so copies in and out are part of a run, as for every user.
 */
import type * as Ort from 'onnxruntime-web/wasm';
import { cache, factors, images, integerFactors, NEXT_TOKEN, prompt } from '../data.ts';
import type { Prepared, Subject, Workload } from '../protocol.ts';
import { CONTEXT, CONV } from '../workloads.ts';
import { cacheNames, convNet, decoder, integerProduct, product } from './models.ts';

const MODULE: string = '/ort/ort.wasm.bundle.min.mjs';

type Feeds = Record<string, Ort.Tensor>;

export async function load(): Promise<Subject> {
  const ort = (await import(MODULE)) as typeof Ort;
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = `${location.origin}/ort/`;

  const prepared = async (model: Uint8Array, feeds: Feeds, output: string): Promise<Prepared> => {
    const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });
    const made = (await session.run(feeds))[output];
    if (made === undefined) throw new Error(`the model has no output ${output}`);
    return {
      async run(times) {
        for (let time = 0; time < times; time += 1) await session.run(feeds);
      },
      result: Float32Array.from(made.data as Float32Array | Int32Array),
    };
  };
  const floats = (data: Float32Array, shape: readonly number[]): Ort.Tensor => new ort.Tensor('float32', data, shape);
  const tokens = (values: Int32Array): Ort.Tensor => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);

  return {
    async prepare(workload: Workload): Promise<Prepared | null> {
      switch (workload.kind) {
        case 'product': {
          const { n, form } = workload;
          const { a, b } = factors(n);
          return prepared(product(n, form), { a: floats(a.data, a.shape), b: floats(b.data, b.shape) }, 'c');
        }
        case 'integer product': {
          const { n } = workload;
          const { a, b } = integerFactors(n);
          return prepared(integerProduct(n), { a: new ort.Tensor('uint8', a, [n, n]), b: new ort.Tensor('int8', b, [n, n]) }, 'c');
        }
        case 'conv inference':
          return prepared(convNet(), { x: floats(images().x.data, [CONV.batch, 1, CONV.size, CONV.size]) }, 'logits');
        case 'prefill':
          return prepared(decoder(CONTEXT, 0), { tokens: tokens(prompt()) }, 'logits');
        case 'decode': {
          const caches = cacheNames().map(({ what, layer, name }) => {
            const { data, shape } = cache(what, layer);
            return [name, floats(data, shape)] as const;
          });
          const feeds = { tokens: tokens(Int32Array.of(NEXT_TOKEN)), ...Object.fromEntries(caches) };
          return prepared(decoder(1, CONTEXT), feeds, 'logits');
        }
        default:
          return null;
      }
    },
  };
}

