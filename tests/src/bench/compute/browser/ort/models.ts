/** The workloads as ONNX models, in the operations that exporters write. */
import { convParameters, decoderParameters, get, transposed, type Parameters } from '../data.ts';
import type { Form } from '../protocol.ts';
import { CONV, CONV_FEATURES, EPSILON, GPT } from '../workloads.ts';
import { Model } from './model.ts';

export function product(n: number, form: Form): Uint8Array {
  const model = new Model();
  const factors = [model.input('a', 'float', [n, n]), model.input('b', 'float', [n, n])];
  if (form === 'A·B') model.node('MatMul', factors, {}, 'c');
  else {
    const [transA, transB] = [{ integer: Number(form === 'Aᵀ·B') }, { integer: Number(form === 'A·Bᵀ') }];
    model.node('Gemm', factors, { transA, transB }, 'c');
  }
  model.output('c', 'float', [n, n]);
  return model.encode();
}

export function integerProduct(n: number): Uint8Array {
  const model = new Model();
  model.node('MatMulInteger', [model.input('a', 'uint8', [n, n]), model.input('b', 'int8', [n, n])], {}, 'c');
  model.output('c', 'int32', [n, n]);
  return model.encode();
}

export function convNet(): Uint8Array {
  const model = new Model();
  const parameters = convParameters();
  const weight = (name: string): string[] => {
    const values = get(parameters, `${name}.weight`);
    const { data, shape } = values.shape.length === 2 ? transposed(values) : values;
    return [model.constant(data, shape), put(model, parameters, `${name}.bias`)];
  };
  let x = model.input('x', 'float', [CONV.batch, 1, CONV.size, CONV.size]);
  for (const name of ['conv1', 'conv2']) {
    x = model.node('Conv', [x, ...weight(name)], { kernel_shape: { integers: [3, 3] }, pads: { integers: [1, 1, 1, 1] } });
    x = model.node('Relu', [x]);
    x = model.node('MaxPool', [x], { kernel_shape: { integers: [2, 2] }, strides: { integers: [2, 2] } });
  }
  x = model.node('Reshape', [x, model.integers(CONV.batch, CONV_FEATURES)]);
  const transB = { integer: 1 };
  x = model.node('Relu', [model.node('Gemm', [x, ...weight('dense1')], { transB })]);
  model.node('Gemm', [x, ...weight('dense2')], { transB }, 'logits');
  model.output('logits', 'float', [CONV.batch, CONV.classes]);
  return model.encode();
}

/** The decoder over so many tokens, which continue a cache of so many more; it gives the cache out, longer by its tokens. */
export function decoder(tokens: number, past: number): Uint8Array {
  const model = new Model();
  const parameters = decoderParameters(GPT);
  const [heads, size, total] = [GPT.heads, GPT.width / GPT.heads, past + tokens];
  const dense = (x: string, name: string): string =>
    model.node('Add', [model.node('MatMul', [x, put(model, parameters, `${name}.weight`)]), put(model, parameters, `${name}.bias`)]);
  const norm = (x: string, name: string): string =>
    model.node('LayerNormalization', [x, put(model, parameters, `${name}.weight`), put(model, parameters, `${name}.bias`)], {
      axis: { integer: -1 },
      epsilon: { float: EPSILON },
    });
  const split = (x: string): string =>
    model.node('Transpose', [model.node('Reshape', [x, model.integers(1, tokens, heads, size)])], { perm: { integers: [0, 2, 1, 3] } });
  const cached = (what: string, layer: number, x: string): string => {
    if (past === 0) return x;
    const name = `${what}${String(layer)}`;
    const joined = model.node('Concat', [model.input(name, 'float', [1, heads, past, size]), x], { axis: { integer: 2 } }, `${name}.present`);
    model.output(joined, 'float', [1, heads, total, size]);
    return joined;
  };
  const mask = tokens > 1 ? model.constant(causal(tokens), [tokens, tokens]) : null;

  const embedded = model.node('Gather', [put(model, parameters, 'tokens'), model.input('tokens', 'int64', [1, tokens])]);
  const places = model.integers(...Array.from({ length: tokens }, (_, index) => past + index));
  let x = model.node('Add', [embedded, model.node('Gather', [put(model, parameters, 'positions'), places])]);
  for (let layer = 0; layer < GPT.layers; layer += 1) {
    const at = `layer${String(layer)}`;
    const h = norm(x, `${at}.norm1`);
    const q = split(dense(h, `${at}.query`));
    const k = cached('key', layer, split(dense(h, `${at}.key`)));
    const v = cached('value', layer, split(dense(h, `${at}.value`)));
    const kT = model.node('Transpose', [k], { perm: { integers: [0, 1, 3, 2] } });
    let scores = model.node('Mul', [model.node('MatMul', [q, kT]), model.scalar(1 / Math.sqrt(size))]);
    if (mask !== null) scores = model.node('Add', [scores, mask]);
    const mixed = model.node('MatMul', [model.node('Softmax', [scores], { axis: { integer: -1 } }), v]);
    const joined = model.node('Reshape', [model.node('Transpose', [mixed], { perm: { integers: [0, 2, 1, 3] } }), model.integers(1, tokens, GPT.width)]);
    x = model.node('Add', [x, dense(joined, `${at}.output`)]);
    const up = model.node('Gelu', [dense(norm(x, `${at}.norm2`), `${at}.up`)], { approximate: { string: 'tanh' } });
    x = model.node('Add', [x, dense(up, `${at}.down`)]);
  }
  model.node('MatMul', [norm(x, 'norm'), put(model, parameters, 'head')], {}, 'logits');
  model.output('logits', 'float', [1, tokens, GPT.vocabulary]);
  return model.encode();
}

/** What is added to scores: nothing for keys up to the query, so much that nothing is left for those after it. */
function causal(tokens: number): Float32Array {
  const NEVER = -1e9;
  return Float32Array.from({ length: tokens * tokens }, (_, at) => (at % tokens > Math.floor(at / tokens) ? NEVER : 0));
}

function put(model: Model, parameters: Parameters, name: string): string {
  const { data, shape } = get(parameters, name);
  return model.constant(data, shape);
}

/** Names of the cache's inputs, and what comes out for each. */
export function cacheNames(): { readonly what: 'key' | 'value'; readonly layer: number; readonly name: string }[] {
  return Array.from({ length: GPT.layers }, (_, layer) => layer).flatMap((layer) =>
    (['key', 'value'] as const).map((what) => ({ what, layer, name: `${what}${String(layer)}` })),
  );
}

