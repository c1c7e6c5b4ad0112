/** A model's weights as TensorFlow.js keeps them. */
import * as tf from '@tensorflow/tfjs-core';
import type { Parameters, Values } from '../data.ts';

export class Weights {
  readonly #variables = new Map<string, tf.Variable>();

  /** Names of variables are global in TensorFlow.js, so each model has a prefix. */
  constructor(prefix: string, parameters: Parameters, arranged: (name: string, values: Values) => tf.Tensor = (_, values) => tensor(values)) {
    for (const [name, values] of parameters) {
      const made = tf.tidy(() => tf.variable(arranged(name, values), true, `${prefix}.${name}`));
      this.#variables.set(name, made);
    }
  }

  get<T extends tf.Tensor = tf.Tensor>(name: string): T {
    const found = this.#variables.get(name);
    if (found === undefined) throw new Error(`no weight ${name}`);
    return found as unknown as T;
  }
}

export function tensor({ data, shape }: Values): tf.Tensor {
  return tf.tensor(data, [...shape]);
}
