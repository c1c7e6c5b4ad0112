/** TensorFlow.js's WebAssembly backend, with SIMD and one thread. It works at once when it is called. */
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import * as tf from '@tensorflow/tfjs-core';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { cache, decoderParameters, factors, NEXT_TOKEN, prompt, text } from '../data.ts';
import type { Prepared, Subject, Workload } from '../protocol.ts';
import { ADAM, COMPARED_STEPS, CONTEXT, CONV, GPT, LANGUAGE, LANGUAGE_BATCH } from '../workloads.ts';
import { crossEntropy, decode, type Cache } from './decoder.ts';
import { registerMissingKernels, unitVectors } from './kernels.ts';
import { convImages, convLogits, convWeights, fusedConvLogits } from './net.ts';
import { tensor, Weights } from './weights.ts';

export async function load(): Promise<Subject> {
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  setWasmPaths(`${location.origin}/tfjs/`);
  if (!(await tf.setBackend('wasm'))) throw new Error('the wasm backend does not start');
  registerMissingKernels();
  return { prepare: (workload) => Promise.resolve(prepare(workload)) };
}

function prepare(workload: Workload): Prepared | null {
  switch (workload.kind) {
    case 'product': {
      const { a, b } = factors(workload.n);
      const [left, right] = [tensor(a), tensor(b)];
      return forward(() => tf.matMul(left, right, workload.form === 'Aᵀ·B', workload.form === 'A·Bᵀ'));
    }
    case 'conv inference': {
      const weights = convWeights('inference');
      const { x } = convImages();
      return forward(() => fusedConvLogits(weights, x));
    }
    case 'conv training': {
      const weights = convWeights('training');
      const { x, y } = convImages();
      const optimizer = tf.train.sgd(CONV.rate);
      return training(() => optimizer.minimize(() => crossEntropy(convLogits(weights, x), y), true));
    }
    case 'language training': {
      const weights = new Weights('language', decoderParameters(LANGUAGE));
      const { x, y } = text();
      const rows = LANGUAGE_BATCH * LANGUAGE.positions;
      const tokens = tf.tensor2d(x, [LANGUAGE_BATCH, LANGUAGE.positions], 'int32');
      const labels = tf.tidy(() => unitVectors(tf.tensor1d(y, 'int32'), LANGUAGE.vocabulary));
      const optimizer = tf.train.adam(ADAM.rate, ADAM.beta1, ADAM.beta2, ADAM.epsilon);
      const loss = (): tf.Scalar => crossEntropy(tf.reshape(decode(LANGUAGE, weights, tokens, null).logits, [rows, LANGUAGE.vocabulary]), labels);
      return training(() => optimizer.minimize(loss, true));
    }
    case 'prefill': {
      const weights = gptWeights();
      const tokens = tf.tensor2d(prompt(), [1, CONTEXT], 'int32');
      return forward(() => decode(GPT, weights, tokens, null).logits);
    }
    case 'decode': {
      const weights = gptWeights();
      const token = tf.tensor2d([NEXT_TOKEN], [1, 1], 'int32');
      const past: Cache = Array.from({ length: GPT.layers }, (_, layer) => ({ key: tensor(cache('key', layer)), value: tensor(cache('value', layer)) }));
      return forward(() => decode(GPT, weights, token, past).logits);
    }
    default:
      return null;
  }
}

let gpt: Weights | null = null;
function gptWeights(): Weights {
  gpt ??= new Weights('gpt', decoderParameters(GPT));
  return gpt;
}

function forward(work: () => tf.Tensor): Prepared {
  const once = (): tf.Tensor => tf.tidy(work);
  const first = once();
  const result = first.dataSync<'float32'>().slice();
  first.dispose();
  return {
    run(times) {
      for (let time = 0; time < times; time += 1) once().dispose();
    },
    result,
  };
}

/** Losses of the first steps are the result; the model goes on from there. */
function training(step: () => tf.Scalar | null): Prepared {
  const once = (): number => {
    const loss = step();
    if (loss === null) throw new Error('a step gave no loss');
    const [value = Number.NaN] = loss.dataSync();
    loss.dispose();
    return value;
  };
  return {
    run(times) {
      for (let time = 0; time < times; time += 1) once();
    },
    result: Float32Array.from({ length: COMPARED_STEPS }, once),
  };
}
