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

/** A number of bytes with three significant digits, decimal units: 1234567 is "1.23 MB". */
export function formatBytes(bytes: number): string {
  const scaled = formatOps(bytes);
  return scaled.includes(' ') ? `${scaled}B` : `${scaled} B`;
}

/** Milliseconds with as many digits as mean something: "0.4 ms", "38 ms", "1.2 s". Browsers round short ones to nothing. */
export function formatMillis(ms: number): string {
  if (ms < 0.05) return '< 1 ms';
  if (ms >= 999.5) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 9.95 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(1)} ms`;
}

/** How long something has lasted, its two largest parts: "2 h 5 min". */
export function formatAge(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
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

/** Decimal places of the reward token. */
const TOKEN_DECIMALS = 18;

/** Fewest digits that show what one small piece of work earns. */
const SHOWN_DECIMALS = 6;

/** Base units as tokens with six decimal places, cut and never rounded up. */
export function formatTokens(baseUnits: bigint): string {
  const digits = baseUnits.toString().padStart(TOKEN_DECIMALS + 1, '0');
  const whole = digits.slice(0, -TOKEN_DECIMALS);
  return `${whole}.${digits.slice(-TOKEN_DECIMALS).slice(0, SHOWN_DECIMALS)}`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Room on a disk with at most three significant digits, in powers of 1024: 1536 is "1.5 KiB", never broken over lines. */
export function formatDiskSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const shown = unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, '');
  return `${shown}\u00a0${BYTE_UNITS[unit] ?? ''}`;
}
