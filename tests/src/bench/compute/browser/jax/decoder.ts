/** The decoder of the language workloads. */
import { nn, numpy as np } from '@jax-js/jax';
import { EPSILON, type Decoder } from '../workloads.ts';
import { get, type Weights } from './arrays.ts';

/** Keys and values of each layer, \[batch, heads, tokens, width/heads\]. */
export type Cache = { key: np.Array; value: np.Array }[];

/** Logits of tokens \[batch, count\], which continue a cache where there is one, and the cache that they leave; uses all up. */
export function decode(model: Decoder, weights: Weights, tokens: np.Array, past: Cache | null): { logits: np.Array; cache: Cache } {
  const [batch = 1, count = 1] = tokens.shape;
  const size = model.width / model.heads;
  const start = past?.[0]?.key.shape[2] ?? 0;
  const dense = (x: np.Array, name: string): np.Array => np.matmul(x, get(weights, `${name}.weight`)).add(get(weights, `${name}.bias`));
  const norm = (x: np.Array, name: string): np.Array => {
    const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }));
    const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
    return centred.div(np.sqrt(variance.add(EPSILON))).mul(get(weights, `${name}.weight`)).add(get(weights, `${name}.bias`));
  };
  const split = (x: np.Array): np.Array => np.transpose(x.reshape([batch, count, model.heads, size]), [0, 2, 1, 3]);
  const joined = (past: np.Array | undefined, x: np.Array): np.Array => (past === undefined ? x : np.concatenate([past, x], 2));

  const positions = get(weights, 'positions').slice([start, start + count], []);
  // Rows are the same for all samples: products are of two matrices.
  let x = np.take(get(weights, 'tokens'), tokens, 0).add(positions).reshape([batch * count, model.width]);
  const cache: Cache = [];
  for (let layer = 0; layer < model.layers; layer += 1) {
    const at = `layer${String(layer)}`;
    const h = norm(x.ref, `${at}.norm1`);
    const query = split(dense(h.ref, `${at}.query`));
    const key = joined(past?.[layer]?.key, split(dense(h.ref, `${at}.key`)));
    const value = joined(past?.[layer]?.value, split(dense(h, `${at}.value`)));
    cache.push({ key: key.ref, value: value.ref });
    const scores = np.matmul(query, np.transpose(key, [0, 1, 3, 2])).mul(1 / Math.sqrt(size));
    const weighted = np.matmul(nn.softmax(count > 1 ? scores.add(causal(count)) : scores, -1), value);
    const mixed = np.transpose(weighted, [0, 2, 1, 3]).reshape([batch * count, model.width]);
    x = x.add(dense(mixed, `${at}.output`));
    const up = nn.gelu(dense(norm(x.ref, `${at}.norm2`), `${at}.up`), { approximate: true });
    x = x.add(dense(up, `${at}.down`));
  }
  return { logits: np.matmul(norm(x, 'norm'), get(weights, 'head')), cache };
}

function causal(count: number): np.Array {
  const NEVER = -1e9;
  const values = Float32Array.from({ length: count * count }, (_, at) => (at % count > Math.floor(at / count) ? NEVER : 0));
  return np.array(values, { shape: [count, count] });
}
