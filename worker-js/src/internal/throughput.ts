/** Operations a second over a sliding window, from totals that only grow. */

/** Wide enough that units of a second do not make the number jump, short enough that a pause shows. */
const WINDOW_MS = 15_000;

export class Throughput {
  #samples: { readonly atMs: number; readonly ops: number }[] = [];

  /** Notes the total at a time. */
  add(atMs: number, ops: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && ops < last.ops) this.#samples = [];
    this.#samples.push({ atMs, ops });
    this.#drop(atMs);
  }

  perSecond(nowMs: number): number {
    this.#drop(nowMs);
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || nowMs <= first.atMs) return 0;
    return ((last.ops - first.ops) * 1000) / (nowMs - first.atMs);
  }

  /** The newest sample older than the window stays as its left end. */
  #drop(nowMs: number): void {
    const start = nowMs - WINDOW_MS;
    const firstInside = this.#samples.findIndex((sample) => sample.atMs > start);
    const keepFrom = firstInside === -1 ? this.#samples.length - 1 : firstInside - 1;
    if (keepFrom > 0) this.#samples.splice(0, keepFrom);
  }
}
