/**
 * Gradients that TensorFlow.js names but its WebAssembly backend does not have, made of operations that it has: without them
 * it cannot train these models at all.
 */
import * as tf from '@tensorflow/tfjs-core';

interface FilterGradient {
  readonly inputs: { readonly x: tf.Tensor4D; readonly dy: tf.Tensor4D };
  readonly attrs: { readonly filterShape: [number, number, number, number]; readonly pad: unknown };
}

/** The nine shifted images as columns, times the gradient: \[kh·kw·in, positions\]·\[positions, out\]. */
function conv2dBackpropFilter({ x, dy }: FilterGradient['inputs'], [kernelHeight, kernelWidth, channels, outputs]: FilterGradient['attrs']['filterShape']): tf.Tensor {
  const [batch, height, width] = x.shape;
  const [top, left] = [(kernelHeight - 1) / 2, (kernelWidth - 1) / 2];
  const padded = tf.pad4d(x, [[0, 0], [top, top], [left, left], [0, 0]]);
  const columns = Array.from({ length: kernelHeight * kernelWidth }, (_, at) => {
    const [row, column] = [Math.floor(at / kernelWidth), at % kernelWidth];
    return tf.reshape(tf.slice4d(padded, [0, row, column, 0], [batch, height, width, channels]), [-1, channels]);
  });
  const product = tf.matMul(tf.concat2d(columns as tf.Tensor2D[], 1), tf.reshape(dy, [-1, outputs]) as tf.Tensor2D, true, false);
  return tf.reshape(product, [kernelHeight, kernelWidth, channels, outputs]);
}

/** Sums of rows with the same label, by a product with the labels as unit vectors. */
function unsortedSegmentSum(x: tf.Tensor, segments: tf.Tensor1D, count: number): tf.Tensor {
  const rows = segments.shape[0];
  const product = tf.matMul(unitVectors(segments, count), tf.reshape(x, [rows, -1]) as tf.Tensor2D, true, false);
  return tf.reshape(product, [count, ...x.shape.slice(1)]);
}

/** Labels as unit vectors. The backend's own in f32 are the integers' bits. */
export function unitVectors(labels: tf.Tensor1D, classes: number): tf.Tensor2D {
  return tf.cast(tf.oneHot(labels, classes), 'float32') as tf.Tensor2D;
}

/** Registers both, for stride 1 and "same" padding. */
export function registerMissingKernels(): void {
  tf.registerKernel({
    kernelName: 'Conv2DBackpropFilter',
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs }) => {
      const { filterShape } = attrs as unknown as FilterGradient['attrs'];
      return tf.tidy(() => conv2dBackpropFilter(inputs as unknown as FilterGradient['inputs'], filterShape));
    },
  });
  tf.registerKernel({
    kernelName: 'UnsortedSegmentSum',
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs }) => {
      const { x, segmentIds } = inputs as unknown as { readonly x: tf.Tensor; readonly segmentIds: tf.Tensor1D };
      return tf.tidy(() => unsortedSegmentSum(x, segmentIds, (attrs as unknown as { readonly numSegments: number }).numSegments));
    },
  });
}
