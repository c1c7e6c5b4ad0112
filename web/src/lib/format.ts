/** Numbers, identifiers and durations as people read them. */

const UNITS = ['', 'k', 'M', 'G', 'T', 'P'] as const;

/** A number of operations with three significant digits: 1234567 is "1.23 M". */
export function formatOps(ops: number): string {
  if (!Number.isFinite(ops) || ops <= 0) return '0';
  let value = ops;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? ''}`.trimEnd();
}

/** First eight digits of an identifier. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** A share of one as a percentage with one digit. */
export function formatPercent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

export function formatCount(count: number): string {
  return count.toLocaleString('en');
}

export function formatDay(date: Date): string {
  return date.toLocaleDateString('en', { day: 'numeric', month: 'long', year: 'numeric' });
}
