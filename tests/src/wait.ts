/** Waits for conditions, never for time. */

/** Seldom enough to cost nothing, often enough that nobody sees the delay. */
const POLL_MS = 50;

export class TimedOut extends Error {
  constructor(what: string, limitMs: number, seen: unknown) {
    super(`${what} did not come true within ${limitMs / 1000} s; last seen: ${JSON.stringify(seen)}`);
    this.name = 'TimedOut';
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Looks until `accept` takes what it sees, and returns that. What `look` throws counts as not yet. */
export async function until<T>(
  what: string,
  limitMs: number,
  look: () => T | Promise<T>,
  accept: (seen: T) => boolean,
): Promise<T> {
  const end = performance.now() + limitMs;
  let seen: unknown = 'nothing';
  for (;;) {
    try {
      const value = await look();
      if (accept(value)) return value;
      seen = value;
    } catch (thrown) {
      seen = thrown instanceof Error ? thrown.message : thrown;
    }
    if (performance.now() > end) throw new TimedOut(what, limitMs, seen);
    await sleep(POLL_MS);
  }
}
