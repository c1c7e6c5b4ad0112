/** The decoder of the language workloads. */
import * as tf from '@tensorflow/tfjs-core';
import { EPSILON, type Decoder } from '../workloads.ts';
import type { Weights } from './weights.ts';

/** Keys and values of each layer, \[batch, heads, tokens, width/heads\]. */
export type Cache = readonly { readonly key: tf.Tensor; readonly value: tf.Tensor }[];

/** Logits of tokens \[batch, count\], which continue a cache where there is one; and the cache that they leave. */
export function decode(model: Decoder, weights: Weights, tokens: tf.Tensor, past: Cache | null): { readonly logits: tf.Tensor; readonly cache: Cache } {
  const [batch = 1, count = 1] = tokens.shape;
  const size = model.width / model.heads;
  const start = past?.[0]?.key.shape[2] ?? 0;
  const dense = (x: tf.Tensor, name: string): tf.Tensor => tf.add(product(x, weights.get(`${name}.weight`)), weights.get(`${name}.bias`));
  const norm = (x: tf.Tensor, name: string): tf.Tensor => {
    const centred = tf.sub(x, tf.mean(x, -1, true));
    const variance = tf.mean(tf.square(centred), -1, true);
    return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, EPSILON))), weights.get(`${name}.weight`)), weights.get(`${name}.bias`));
  };
  const split = (x: tf.Tensor): tf.Tensor => tf.transpose(tf.reshape(x, [batch, count, model.heads, size]), [0, 2, 1, 3]);
  const joined = (past: tf.Tensor | undefined, x: tf.Tensor): tf.Tensor => (past === undefined ? x : tf.concat([past, x], 2));
  const mask = count > 1 ? causal(count) : null;

  const positions = tf.slice(weights.get('positions'), [start, 0], [count, model.width]);
  let x = tf.add(tf.gather(weights.get('tokens'), tokens as tf.Tensor1D), positions);
  const cache = [];
  for (let layer = 0; layer < model.layers; layer += 1) {
    const at = `layer${String(layer)}`;
    const h = norm(x, `${at}.norm1`);
    const key = joined(past?.[layer]?.key, split(dense(h, `${at}.key`)));
    const value = joined(past?.[layer]?.value, split(dense(h, `${at}.value`)));
    cache.push({ key, value });
    const scores = tf.mul(tf.matMul(split(dense(h, `${at}.query`)), key, false, true), 1 / Math.sqrt(size));
    const weighted = tf.matMul(tf.softmax(mask === null ? scores : tf.add(scores, mask)), value);
    const mixed = tf.reshape(tf.transpose(weighted, [0, 2, 1, 3]), [batch, count, model.width]);
    x = tf.add(x, dense(mixed, `${at}.output`));
    x = tf.add(x, dense(gelu(dense(norm(x, `${at}.norm2`), `${at}.up`)), `${at}.down`));
  }
  return { logits: product(norm(x, 'norm'), weights.get('head')), cache };
}

/** Of all rows at once: the gradient of a product with a matrix for each sample would be made for each. */
function product(x: tf.Tensor, weight: tf.Tensor): tf.Tensor {
  const [inputs = 1, outputs = 1] = weight.shape;
  return tf.reshape(tf.matMul(tf.reshape(x, [-1, inputs]), weight), [...x.shape.slice(0, -1), outputs]);
}

function gelu(x: tf.Tensor): tf.Tensor {
  const cube = tf.mul(tf.mul(tf.mul(x, x), x), 0.044715);
  return tf.mul(tf.mul(x, tf.add(tf.tanh(tf.mul(tf.add(x, cube), Math.sqrt(2 / Math.PI))), 1)), 0.5);
}

function causal(count: number): tf.Tensor {
  const NEVER = -1e9;
  const values = Float32Array.from({ length: count * count }, (_, at) => (at % count > Math.floor(at / count) ? NEVER : 0));
  return tf.tensor2d(values, [count, count]);
}

/** Mean cross-entropy of logits and labels as unit vectors, both \[rows, classes\]. */
export function crossEntropy(logits: tf.Tensor, labels: tf.Tensor): tf.Scalar {
  return tf.neg(tf.mean(tf.sum(tf.mul(labels, tf.logSoftmax(logits)), -1))) as tf.Scalar;
}
