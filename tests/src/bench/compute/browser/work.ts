/**
 * Subjects that are WebAssembly modules of the bench with the same calls: ours and Burn's. A `Work` is a workload with its
 * tensors, which stay in the module's memory.
 */
import { cache, convParameters, decoderParameters, factors, images, integerFactors, NEXT_TOKEN, prompt, text, transposed, type Parameters } from './data.ts';
import type { Prepared, Subject, Workload } from './protocol.ts';
import { ADAM, COMPARED_STEPS, CONTEXT, CONV, GPT, LANGUAGE, LANGUAGE_BATCH, type Decoder } from './workloads.ts';

export interface Work {
  set(name: string, bytes: Uint8Array): void;
  run(times: number): void;
  made(name: string): Float32Array;
}

type Model = object;

/** The bindings. */
export interface Module {
  readonly default: () => Promise<unknown>;
  readonly Decoder: new (layers: number, width: number, heads: number, vocabulary: number, positions: number) => Model;
  readonly Work: {
    readonly product: (n: number, transA: boolean, transB: boolean) => Work;
    readonly integerProduct?: (n: number) => Work;
    readonly convInference: (batch: number) => Work;
    readonly convTraining: (batch: number) => Work;
    readonly decode: (model: Model, count: number, past: number) => Work;
    readonly decoderTraining: (model: Model, batch: number) => Work;
  };
}

/** What the subjects do not have in common. */
export interface Conventions {
  /** Whether weights of dense layers are \[out, in\]. */
  readonly hasOutputsFirst: boolean;
}

export async function loadModule(url: string, conventions: Conventions): Promise<Subject> {
  const module = (await import(url)) as Module;
  await module.default();
  return { prepare: (workload) => Promise.resolve(prepare(module, conventions, workload)) };
}

function prepare({ Decoder, Work }: Module, { hasOutputsFirst }: Conventions, workload: Workload): Prepared | null {
  const arranged = (parameters: Parameters): Record<string, Elements> => elementsOf(parameters, hasOutputsFirst);
  const model = ({ layers, width, heads, vocabulary, positions }: Decoder): Model => new Decoder(layers, width, heads, vocabulary, positions);
  switch (workload.kind) {
    case 'product': {
      const { a, b } = factors(workload.n);
      const work = Work.product(workload.n, workload.form === 'Aᵀ·B', workload.form === 'A·Bᵀ');
      return forward(work, { a: a.data, b: b.data }, 'c');
    }
    case 'integer product':
      return Work.integerProduct === undefined ? null : forward(Work.integerProduct(workload.n), { ...integerFactors(workload.n) }, 'c');
    case 'conv inference':
      return forward(Work.convInference(CONV.batch), { x: images().x.data, ...arranged(convParameters()) }, 'logits');
    case 'conv training': {
      const { x, y } = images();
      const work = Work.convTraining(CONV.batch);
      put(work, { x: x.data, y, rate: Float32Array.of(CONV.rate), ...arranged(convParameters()) });
      return training(work, () => undefined);
    }
    case 'language training': {
      const { x, y } = text();
      const work = Work.decoderTraining(model(LANGUAGE), LANGUAGE_BATCH);
      put(work, { ids: x, labels: y, ...arranged(decoderParameters(LANGUAGE)) });
      let time = 0;
      return training(work, () => {
        time += 1;
        const rate = (ADAM.rate * Math.sqrt(1 - ADAM.beta2 ** time)) / (1 - ADAM.beta1 ** time);
        put(work, { rate: Float32Array.of(rate) });
      });
    }
    case 'prefill':
      return forward(Work.decode(model(GPT), CONTEXT, 0), { ids: prompt(), ...arranged(decoderParameters(GPT)) }, 'logits');
    case 'decode': {
      const caches = Array.from({ length: GPT.layers }, (_, layer) => [
        [`key${String(layer)}`, cache('key', layer).data] as const,
        [`value${String(layer)}`, cache('value', layer).data] as const,
      ]).flat();
      const inputs = { ids: Int32Array.of(NEXT_TOKEN), ...Object.fromEntries(caches), ...arranged(decoderParameters(GPT)) };
      return forward(Work.decode(model(GPT), 1, CONTEXT), inputs, 'logits');
    }
    case 'limit':
      return null;
  }
}

type Elements = Float32Array | Int32Array | Uint8Array | Int8Array;

function elementsOf(parameters: Parameters, hasOutputsFirst: boolean): Record<string, Elements> {
  const isTurned = (name: string, rank: number): boolean => hasOutputsFirst && rank === 2 && name !== 'tokens' && name !== 'positions';
  return Object.fromEntries([...parameters].map(([name, values]) => [name, (isTurned(name, values.shape.length) ? transposed(values) : values).data]));
}

function put(work: Work, inputs: Readonly<Record<string, Elements>>): void {
  for (const [name, data] of Object.entries(inputs)) work.set(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function forward(work: Work, inputs: Readonly<Record<string, Elements>>, output: string): Prepared {
  put(work, inputs);
  work.run(1);
  return { run: (times) => work.run(times), result: work.made(output) };
}

/** Losses of the first steps are the result; the model goes on from there. */
function training(work: Work, before: () => void): Prepared {
  const once = (): number => {
    before();
    work.run(1);
    return work.made('loss')[0] ?? Number.NaN;
  };
  return {
    run(times) {
      for (let time = 0; time < times; time += 1) once();
    },
    result: Float32Array.from({ length: COMPARED_STEPS }, once),
  };
}
