/** The conv net, in TensorFlow's own order of axes (channels last). */
import * as tf from '@tensorflow/tfjs-core';
import { convParameters, images, type Values } from '../data.ts';
import { CONV, CONV_FEATURES, CONV_SIDE } from '../workloads.ts';
import { unitVectors } from './kernels.ts';
import { tensor, Weights } from './weights.ts';

/** Weights with their axes moved to where TensorFlow wants them. */
export function convWeights(prefix: string): Weights {
  return new Weights(prefix, convParameters(), arranged);
}

function arranged(name: string, values: Values): tf.Tensor {
  const made = tensor(values);
  if (values.shape.length === 4) return tf.transpose(made, [2, 3, 1, 0]);
  if (name !== 'dense1.weight') return made;
  const byChannel = tf.reshape(made, [CONV.channels[1], CONV_SIDE, CONV_SIDE, CONV.hidden]);
  return tf.reshape(tf.transpose(byChannel, [1, 2, 0, 3]), [CONV_FEATURES, CONV.hidden]);
}

export function convImages(): { readonly x: tf.Tensor4D; readonly y: tf.Tensor } {
  const { x, y } = images();
  const labels = tf.tidy(() => unitVectors(tf.tensor1d(y, 'int32'), CONV.classes));
  return { x: tf.tensor4d(x.data, [CONV.batch, CONV.size, CONV.size, 1]), y: labels };
}

export function convLogits(weights: Weights, images: tf.Tensor4D): tf.Tensor {
  let x = images;
  for (const name of ['conv1', 'conv2']) {
    const y = tf.conv2d(x, weights.get<tf.Tensor4D>(`${name}.weight`), 1, 'same');
    x = tf.maxPool(tf.relu(tf.add(y, weights.get(`${name}.bias`))), 2, 2, 'valid') as tf.Tensor4D;
  }
  const dense = (x: tf.Tensor, name: string): tf.Tensor => tf.add(tf.matMul(x, weights.get(`${name}.weight`)), weights.get(`${name}.bias`));
  return dense(tf.relu(dense(tf.reshape(x, [CONV.batch, CONV_FEATURES]), 'dense1')), 'dense2');
}

/** The same for inference, in the fused operations that its converter puts in. */
export function fusedConvLogits(weights: Weights, images: tf.Tensor4D): tf.Tensor {
  const bias = (name: string): tf.Tensor => weights.get(`${name}.bias`);
  let x = images;
  for (const name of ['conv1', 'conv2']) {
    const filter = weights.get<tf.Tensor4D>(`${name}.weight`);
    const y = tf.fused.conv2d({ x, filter, strides: 1, pad: 'same', bias: bias(name), activation: 'relu' });
    x = tf.maxPool(y, 2, 2, 'valid');
  }
  const flat = tf.reshape(x, [CONV.batch, CONV_FEATURES]);
  const hidden = tf.fused.matMul({ a: flat, b: weights.get('dense1.weight'), bias: bias('dense1'), activation: 'relu' });
  return tf.fused.matMul({ a: hidden, b: weights.get('dense2.weight'), bias: bias('dense2') });
}
