/** What a connection moved lately: rates from totals that only grow, for as long as somebody looks. */

/** Rates that are kept: two minutes at one a second, as wide as the sparkline. */
export const KEPT = 120;

export interface Rates {
  /** Bytes a second. */
  readonly down: number;
  readonly up: number;
}

export interface Look {
  readonly atMs: number;
  /** Age of the connection; a younger one than before is another one. */
  readonly ageMs: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface History {
  readonly last: Look | null;
  /** Oldest first. */
  readonly rates: readonly Rates[];
}

export const NO_HISTORY: History = { last: null, rates: [] };

/** With one more look. Another connection begins a new history. */
export function extend(history: History, look: Look): History {
  const { last, rates } = history;
  if (last === null || look.ageMs < last.ageMs) return { last: look, rates: [] };
  const seconds = (look.atMs - last.atMs) / 1000;
  if (seconds <= 0) return history;
  const rate: Rates = {
    down: (look.receivedBytes - last.receivedBytes) / seconds,
    up: (look.sentBytes - last.sentBytes) / seconds,
  };
  return { last: look, rates: [...rates, rate].slice(-KEPT) };
}

/** The part of a relay's multiaddress that says where it is, without certificate and identity. */
export function socketOf(address: string): string {
  return address.replace(/\/(?:certhash|p2p)\/.*$/, '');
}

/** View box of the sparkline. */
export const SPARK = { width: 240, height: 44 } as const;

/** Keeps the line's own width inside the box. */
const MARGIN = 2;

/** One series as a line and the area below it, the newest at the right edge. `peak` is the value at the upper edge. */
export function spark(values: readonly number[], peak: number): { readonly line: string; readonly area: string } {
  if (values.length < 2) return { line: '', area: '' };
  const step = SPARK.width / (KEPT - 1);
  const x = (i: number): string => (SPARK.width - (values.length - 1 - i) * step).toFixed(1);
  const y = (value: number): string =>
    (SPARK.height - MARGIN - (SPARK.height - 2 * MARGIN) * (peak > 0 ? Math.min(1, value / peak) : 0)).toFixed(1);
  const line = values.map((value, i) => `${i === 0 ? 'M' : 'L'}${x(i)} ${y(value)}`).join('');
  return { line, area: `${line}L${SPARK.width} ${SPARK.height}L${x(0)} ${SPARK.height}Z` };
}
