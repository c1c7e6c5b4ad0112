/** The inputs and weights of all workloads: the same numbers for every subject, seeded by their names. */
import { seeded } from '../../../random.ts';
import { CONTEXT, CONV, CONV_FEATURES, GPT, LANGUAGE, LANGUAGE_BATCH, type Decoder } from './workloads.ts';

/** A tensor's numbers, row-major, and its shape. */
export interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export type Parameters = ReadonlyMap<string, Values>;

/** FNV-1a of a name. */
function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return hash >>> 0;
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Uniform from −bound to bound. */
export function uniform(name: string, shape: readonly number[], bound: number): Values {
  const random = seeded(seedOf(name));
  return { shape, data: Float32Array.from({ length: elements(shape) }, () => (random() * 2 - 1) * bound) };
}

function constant(shape: readonly number[], value: number): Values {
  return { shape, data: new Float32Array(elements(shape)).fill(value) };
}

function integers(name: string, length: number, below: number): Int32Array {
  const random = seeded(seedOf(name));
  return Int32Array.from({ length }, () => Math.floor(random() * below));
}

export function factors(n: number): { readonly a: Values; readonly b: Values } {
  return { a: uniform('a', [n, n], 1), b: uniform('b', [n, n], 1) };
}

export function integerFactors(n: number): { readonly a: Uint8Array; readonly b: Int8Array } {
  return { a: Uint8Array.from(integers('a', n * n, 256)), b: Int8Array.from(integers('b', n * n, 256), (x) => x - 128) };
}

/** Images \[batch, 1, side, side\] and their labels. */
export function images(): { readonly x: Values; readonly y: Int32Array } {
  const x = uniform('images', [CONV.batch, 1, CONV.size, CONV.size], 1);
  return { x, y: integers('labels', CONV.batch, CONV.classes) };
}

/** Weights of a convolution are \[out, in, 3, 3\], of a dense layer \[in, out\]; features in the order \[channel, row, column\]. */
export function convParameters(): Parameters {
  const [first, second] = CONV.channels;
  const made = new Map<string, Values>();
  const layer = (name: string, shape: readonly number[], fanIn: number, outputs: number): void => {
    made.set(`${name}.weight`, uniform(`${name}.weight`, shape, Math.sqrt(6 / fanIn)));
    made.set(`${name}.bias`, uniform(`${name}.bias`, [outputs], 0.1));
  };
  layer('conv1', [first, 1, 3, 3], 9, first);
  layer('conv2', [second, first, 3, 3], first * 9, second);
  layer('dense1', [CONV_FEATURES, CONV.hidden], CONV_FEATURES, CONV.hidden);
  layer('dense2', [CONV.hidden, CONV.classes], CONV.hidden, CONV.classes);
  return made;
}

/** Weights of dense layers are \[in, out\]. */
export function decoderParameters(model: Decoder): Parameters {
  const { width } = model;
  const made = new Map<string, Values>();
  const put = (name: string, shape: readonly number[], bound: number): void => {
    made.set(name, uniform(name, shape, bound));
  };
  const norm = (name: string): void => {
    made.set(`${name}.weight`, constant([width], 1));
    made.set(`${name}.bias`, constant([width], 0));
  };
  const dense = (name: string, inputs: number, outputs: number): void => {
    put(`${name}.weight`, [inputs, outputs], Math.sqrt(1 / inputs));
    put(`${name}.bias`, [outputs], 0.02);
  };
  put('tokens', [model.vocabulary, width], 0.1);
  put('positions', [model.positions, width], 0.1);
  for (let layer = 0; layer < model.layers; layer += 1) {
    norm(`layer${String(layer)}.norm1`);
    for (const part of ['query', 'key', 'value', 'output']) dense(`layer${String(layer)}.${part}`, width, width);
    norm(`layer${String(layer)}.norm2`);
    dense(`layer${String(layer)}.up`, width, 4 * width);
    dense(`layer${String(layer)}.down`, 4 * width, width);
  }
  norm('norm');
  put('head', [width, model.vocabulary], Math.sqrt(1 / width));
  return made;
}

/** Tokens \[batch, positions\] and what follows each. */
export function text(): { readonly x: Int32Array; readonly y: Int32Array } {
  const length = LANGUAGE_BATCH * LANGUAGE.positions;
  return { x: integers('text', length, LANGUAGE.vocabulary), y: integers('next', length, LANGUAGE.vocabulary) };
}

export function prompt(): Int32Array {
  return integers('prompt', CONTEXT, GPT.vocabulary);
}

/** The token that decoding continues with. */
export const NEXT_TOKEN = 7;

/** Keys or values \[1, heads, context, width/heads\] of a layer. */
export function cache(what: 'key' | 'value', layer: number): Values {
  return uniform(`cache ${what} ${String(layer)}`, [1, GPT.heads, CONTEXT, GPT.width / GPT.heads], 1);
}

export function get(parameters: Parameters, name: string): Values {
  const found = parameters.get(name);
  if (found === undefined) throw new Error(`no parameter ${name}`);
  return found;
}

/** \[rows, columns\] as \[columns, rows\]. */
export function transposed({ shape, data }: Values): Values {
  const [rows = 1, columns = 1] = shape;
  const made = new Float32Array(data.length);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) made[column * rows + row] = data[row * columns + column] ?? 0;
  }
  return { shape: [columns, rows], data: made };
}
