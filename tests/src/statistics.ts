/** Figures of many measurements. */

/** The value below which such a share of them lies: 0.5 is the median. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

const CONFIDENCE = 0.95;

/**
 * The narrowest interval, symmetric in the order of the values, that holds the median of what they are drawn from with 95 %
 * at least: each value is below it as a coin falls, so the ranks are the binomial distribution's. Null for fewer than six.
 */
export function medianInterval(values: readonly number[]): readonly [number, number] | null {
  const sorted = [...values].sort((a, b) => a - b);
  const count = sorted.length;
  let outside = 0;
  let rank = 0;
  for (let probability = 0.5 ** count; rank < count / 2; rank += 1) {
    if (2 * (outside + probability) > 1 - CONFIDENCE) break;
    outside += probability;
    probability *= (count - rank) / (rank + 1);
  }
  const [low, high] = [sorted[rank - 1], sorted[count - rank]];
  return low === undefined || high === undefined ? null : [low, high];
}
