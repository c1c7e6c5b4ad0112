/** jax-js's WebAssembly device, each workload one `jit` function. It works on one thread where memory is not shared. */
import { blockUntilReady, defaultDevice, init, jit, numpy as np, tree, valueAndGrad, type JsTree } from '@jax-js/jax';
import { cache, convParameters, decoderParameters, factors, images, NEXT_TOKEN, prompt, text } from '../data.ts';
import type { Prepared, Subject, Workload } from '../protocol.ts';
import { ADAM, COMPARED_STEPS, CONTEXT, CONV, GPT, LANGUAGE, LANGUAGE_BATCH } from '../workloads.ts';
import { array, get, integers, mapped, refs, weights, type Weights } from './arrays.ts';
import { decode, type Cache } from './decoder.ts';
import { convLogits, crossEntropy, type Convolution } from './net.ts';

export interface Convolutions {
  readonly inference: Convolution;
  readonly training: Convolution;
}

/** The conv net by given convolutions, and everything else or nothing. */
export async function loadWith(convolutions: Convolutions, hasOthers: boolean): Promise<Subject> {
  await init('wasm');
  defaultDevice('wasm');
  return {
    async prepare(workload: Workload): Promise<Prepared | null> {
      switch (workload.kind) {
        case 'conv inference':
          return convInference(convolutions.inference);
        case 'conv training':
          return convTraining(convolutions.training);
        default:
          return hasOthers ? others(workload) : null;
      }
    },
  };
}

async function others(workload: Workload): Promise<Prepared | null> {
  switch (workload.kind) {
    case 'product': {
      const { a, b } = factors(workload.n);
      const [left, right] = [array(a), array(b)];
      const { form } = workload;
      const product = jit((a: np.Array, b: np.Array) => np.matmul(form === 'Aᵀ·B' ? np.transpose(a) : a, form === 'A·Bᵀ' ? np.transpose(b) : b));
      return forward(() => product(left.ref, right.ref), (made) => made);
    }
    case 'language training':
      return languageTraining();
    case 'prefill': {
      const run = jit((weights: Weights, tokens: np.Array) => decode(GPT, weights, tokens, null).logits);
      const [model, tokens] = [gptWeights(), integers(prompt(), [1, CONTEXT])];
      return forward(() => run(refs(model), tokens.ref), (made) => made);
    }
    case 'decode': {
      const run = jit((weights: Weights, token: np.Array, past: Cache) => decode(GPT, weights, token, past));
      const [model, token] = [gptWeights(), integers(Int32Array.of(NEXT_TOKEN), [1, 1])];
      const past: Cache = Array.from({ length: GPT.layers }, (_, layer) => ({ key: array(cache('key', layer)), value: array(cache('value', layer)) }));
      return forward(() => run(refs(model), token.ref, tree.ref(past)), (made) => made.logits);
    }
    default:
      return null;
  }
}

let gpt: Weights | null = null;
function gptWeights(): Weights {
  gpt ??= weights(decoderParameters(GPT));
  return gpt;
}

function convInference(convolution: Convolution): Promise<Prepared> {
  const run = jit((weights: Weights, x: np.Array) => convLogits(convolution, weights, x));
  const [model, x] = [weights(convParameters()), array(images().x)];
  return forward(() => run(refs(model), x.ref), (made) => made);
}

function convTraining(convolution: Convolution): Promise<Prepared> {
  const loss = (weights: Weights, x: np.Array, y: np.Array): np.Array => crossEntropy(convLogits(convolution, weights, x), y);
  const step = jit((weights: Weights, x: np.Array, y: np.Array) => {
    const [value, gradients] = valueAndGrad(loss)(refs(weights), x, y);
    return { value, weights: mapped(weights, (weight, name) => weight.sub(get(gradients, name).mul(CONV.rate))) };
  });
  const { x, y } = images();
  const [input, labels] = [array(x), unitVectors(y, CONV.classes)];
  let model = weights(convParameters());
  return training(async () => {
    const made = step(model, input.ref, labels.ref);
    model = made.weights;
    return made.value;
  });
}

type State = { weights: Weights; means: Weights; squares: Weights };

function languageTraining(): Promise<Prepared> {
  const rows = LANGUAGE_BATCH * LANGUAGE.positions;
  const loss = (weights: Weights, x: np.Array, y: np.Array): np.Array => {
    const { logits, cache } = decode(LANGUAGE, weights, x, null);
    tree.dispose(cache);
    return crossEntropy(logits, y);
  };
  const step = jit((state: State, x: np.Array, y: np.Array, rate: np.Array) => {
    const [value, gradients] = valueAndGrad(loss)(refs(state.weights), x, y);
    const [means, squares, weights]: Weights[] = [{}, {}, {}];
    for (const name of Object.keys(state.weights)) {
      const gradient = get(gradients, name);
      const mean = get(state.means, name).mul(ADAM.beta1).add(gradient.ref.mul(1 - ADAM.beta1));
      const square = get(state.squares, name).mul(ADAM.beta2).add(np.square(gradient).mul(1 - ADAM.beta2));
      const direction = mean.ref.div(np.sqrt(square.ref).add(ADAM.epsilon));
      weights![name] = get(state.weights, name).sub(direction.mul(rate.ref));
      means![name] = mean;
      squares![name] = square;
    }
    rate.dispose();
    return { value, state: { weights: weights!, means: means!, squares: squares! } };
  });
  const { x, y } = text();
  const [tokens, labels] = [integers(x, [LANGUAGE_BATCH, LANGUAGE.positions]), unitVectors(y, LANGUAGE.vocabulary).reshape([rows, LANGUAGE.vocabulary])];
  const first = weights(decoderParameters(LANGUAGE));
  let state: State = { means: mapped(first, (weight) => np.zeros(weight.shape)), squares: mapped(first, (weight) => np.zeros(weight.shape)), weights: first };
  let time = 0;
  return training(async () => {
    time += 1;
    const rate = (ADAM.rate * Math.sqrt(1 - ADAM.beta2 ** time)) / (1 - ADAM.beta1 ** time);
    const made = step(state, tokens.ref, labels.ref, np.array(rate));
    state = made.state;
    await blockUntilReady(state);
    return made.value;
  });
}

function unitVectors(labels: Int32Array, classes: number): np.Array {
  const data = new Float32Array(labels.length * classes);
  for (const [row, label] of labels.entries()) data[row * classes + label] = 1;
  return np.array(data, { shape: [labels.length, classes] });
}

async function forward<T extends JsTree<np.Array>>(work: () => T, part: (made: T) => np.Array): Promise<Prepared> {
  const once = async (): Promise<T> => blockUntilReady(work());
  const first = await once();
  const result = Float32Array.from(await part(first).ref.data());
  tree.dispose(first);
  return {
    async run(times) {
      for (let time = 0; time < times; time += 1) tree.dispose(await once());
    },
    result,
  };
}

/** Losses of the first steps are the result; the model goes on from there. */
async function training(step: () => Promise<np.Array>): Promise<Prepared> {
  const once = async (): Promise<number> => (await (await step()).data())[0] ?? Number.NaN;
  const losses: number[] = [];
  while (losses.length < COMPARED_STEPS) losses.push(await once());
  return {
    async run(times) {
      for (let time = 0; time < times; time += 1) await once();
    },
    result: Float32Array.from(losses),
  };
}
