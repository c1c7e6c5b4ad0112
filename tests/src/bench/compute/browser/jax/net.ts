/** The conv net. */
import { lax, nn, numpy as np } from '@jax-js/jax';
import { CONV, CONV_FEATURES } from '../workloads.ts';
import { get, type Weights } from './arrays.ts';

/** 3×3, "same", of x \[n, c, h, w\] with weight \[o, c, 3, 3\]. */
export type Convolution = (x: np.Array, weight: np.Array) => np.Array;

export const ownConvolution: Convolution = (x, weight) => lax.conv(x, weight, [1, 1], 'SAME');

/** Nine shifted images as the columns of one product: the fastest way forward that we found. */
export const columnsConvolution: Convolution = (x, weight) => {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.shape;
  const [outputs = 1] = weight.shape;
  const padded = np.pad(np.transpose(x, [1, 0, 2, 3]), [[0, 0], [0, 0], [1, 1], [1, 1]]);
  const columns = TAPS.map(([row, column]) =>
    padded.ref.slice([], [], [row, row + height], [column, column + width]).reshape([channels, 1, batch * height * width]),
  );
  padded.dispose();
  const joined = np.concatenate(columns, 1).reshape([9 * channels, batch * height * width]);
  const product = np.matmul(weight.reshape([outputs, 9 * channels]), joined);
  return np.transpose(product.reshape([outputs, batch, height, width]), [1, 0, 2, 3]);
};

/** A product for each of nine shifted images: the fastest way that we found to have a gradient of. */
export const shiftsConvolution: Convolution = (x, weight) => {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.shape;
  const [outputs = 1] = weight.shape;
  const padded = np.pad(np.transpose(x, [0, 2, 3, 1]), [[0, 0], [1, 1], [1, 1], [0, 0]]);
  const products = TAPS.map(([row, column]) => {
    const shifted = padded.ref.slice([], [row, row + height], [column, column + width], []).reshape([batch * height * width, channels]);
    return np.matmul(shifted, np.transpose(weight.ref.slice([], [], row, column)));
  });
  padded.dispose();
  weight.dispose();
  const sum = products.reduce((sum, product) => sum.add(product));
  return np.transpose(sum.reshape([batch, height, width, outputs]), [0, 3, 1, 2]);
};

/** Row and column of each weight of a kernel. */
const TAPS = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => [row, column] as const));

/** Logits of images \[n, 1, side, side\]; uses the weights up. */
export function convLogits(convolution: Convolution, weights: Weights, images: np.Array): np.Array {
  let x = images;
  let side: number = CONV.size;
  for (const [layer, channels] of CONV.channels.entries()) {
    const name = `conv${String(layer + 1)}`;
    const y = convolution(x, get(weights, `${name}.weight`)).add(get(weights, `${name}.bias`).reshape([channels, 1, 1]));
    side /= 2;
    x = nn.relu(y).reshape([CONV.batch, channels, side, 2, side, 2]).max([3, 5]);
  }
  const dense = (x: np.Array, name: string): np.Array => np.matmul(x, get(weights, `${name}.weight`)).add(get(weights, `${name}.bias`));
  return dense(nn.relu(dense(x.reshape([CONV.batch, CONV_FEATURES]), 'dense1')), 'dense2');
}

/** Mean cross-entropy of logits and labels as unit vectors, both \[rows, classes\]. */
export function crossEntropy(logits: np.Array, labels: np.Array): np.Array {
  const [rows = 1] = logits.shape;
  return nn.logSoftmax(logits, -1).mul(labels).sum().mul(-1 / rows);
}
