/** Seeded numbers for tests (xorshift32, Marsaglia 2003): a failure names its seed and can be replayed. */

export function seeded(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** So many different whole numbers in [min, max), ascending. */
export function pickAscending(random: () => number, count: number, min: number, max: number): number[] {
  const picked = new Set<number>();
  while (picked.size < count) picked.add(min + Math.floor(random() * (max - min)));
  return [...picked].sort((a, b) => a - b);
}
