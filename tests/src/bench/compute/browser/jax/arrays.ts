/** jax-js's arrays. It counts references: whoever is given an array uses it up, and `.ref` is one more. */
import { numpy as np } from '@jax-js/jax';
import type { Parameters, Values } from '../data.ts';

/** A type alias, because jax-js takes no interfaces for its trees. */
export type Weights = { [name: string]: np.Array };

export function array({ data, shape }: Values): np.Array {
  return np.array(data as Float32Array<ArrayBuffer>, { shape: [...shape] });
}

export function integers(data: Int32Array, shape: readonly number[]): np.Array {
  return np.array(data as Int32Array<ArrayBuffer>, { shape: [...shape], dtype: np.int32 });
}

export function weights(parameters: Parameters): Weights {
  return mapped(Object.fromEntries(parameters), array);
}

export function mapped<T, U>(tree: Readonly<Record<string, T>>, make: (value: T, name: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(tree).map(([name, value]) => [name, make(value, name)]));
}

/** One more reference to each. */
export function refs(tree: Weights): Weights {
  return mapped(tree, (array) => array.ref);
}

export function get(tree: Weights, name: string): np.Array {
  const found = tree[name];
  if (found === undefined) throw new Error(`no weight ${name}`);
  return found;
}
