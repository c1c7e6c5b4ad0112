/** Whether all subjects compute the same: nobody is measured at something else. */
import { seeded } from '../../random.ts';
import { factors, integerFactors } from './browser/data.ts';
import type { Workload } from './browser/protocol.ts';

/** Largest difference to the reference, as a share of the reference's largest value. */
const TOLERANCES = { product: 1e-5, 'integer product': 0, 'conv inference': 1e-4, 'conv training': 1e-3, 'language training': 1e-3, decode: 1e-3, prefill: 1e-3, limit: 0 } as const;

/** Elements of a product that are computed again. */
const SAMPLED = 2048;

/** Results of one workload: a product's are compared with sampled elements in double precision, others with each other's first. */
export class Agreement {
  readonly #workload: Workload;
  readonly #positions: readonly number[] | null;
  #reference: { readonly values: Float32Array; readonly of: string } | null;

  constructor(workload: Workload) {
    this.#workload = workload;
    const products = workload.kind === 'product' || workload.kind === 'integer product';
    this.#positions = products ? positions(workload.n * workload.n) : null;
    this.#reference = this.#positions === null ? null : { values: elements(workload, this.#positions), of: 'double precision' };
  }

  /** How far a subject is from the reference, and whose that is; throws when it is too far. The first subject is the reference of later ones. */
  check(subject: string, result: Float32Array): string {
    const values = this.#positions?.map((at) => result[at] ?? Number.NaN) ?? [...result];
    if (!values.every(Number.isFinite)) throw new Error('its result is not finite');
    if (this.#reference === null) {
      this.#reference = { values: result, of: subject };
      return 'is what others are compared with';
    }
    const { values: expected, of } = this.#reference;
    if (values.length !== expected.length) throw new Error(`its result has ${String(values.length)} values, ${of} has ${String(expected.length)}`);
    const scale = expected.reduce((greatest, value) => Math.max(greatest, Math.abs(value)), 0);
    const difference = values.reduce((greatest, value, at) => Math.max(greatest, Math.abs(value - (expected[at] ?? 0))), 0) / scale;
    const words = `differs from ${of} by ${difference.toExponential(1)}`;
    if (difference > TOLERANCES[this.#workload.kind]) throw new Error(`its result ${words}`);
    return words;
  }
}

function positions(length: number): readonly number[] {
  const random = seeded(1);
  return Array.from({ length: SAMPLED }, () => Math.floor(random() * length));
}

function elements(workload: Workload, positions: readonly number[]): Float32Array {
  if (workload.kind !== 'product' && workload.kind !== 'integer product') throw new Error(`${workload.kind} is no product`);
  const { n } = workload;
  const form = workload.kind === 'product' ? workload.form : 'A·B';
  const { a, b } = workload.kind === 'product' ? { a: factors(n).a.data, b: factors(n).b.data } : integerFactors(n);
  return Float32Array.from(positions, (at) => {
    const [row, column] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let k = 0; k < n; k += 1) {
      const left = a[form === 'Aᵀ·B' ? k * n + row : row * n + k] ?? 0;
      const right = b[form === 'A·Bᵀ' ? column * n + k : k * n + column] ?? 0;
      sum += left * right;
    }
    return sum;
  });
}
