/** Limits of data as the page sets them, checked and in the core's terms. */
import type { DataLimits } from '../public/types.ts';
import type { CoreLimits } from './core.ts';
import { VolunteerError } from './errors.ts';

/** Several models of the size that a tab can hold. */
export const DEFAULT_CACHE_BYTES = 512 * 1024 * 1024;

/** Slower, and a piece of work would outlast the time it is lent for. The core has the same bound. */
export const MIN_BYTES_PER_SECOND = 4096;

/** Throws a `VolunteerError` that names the value and its bound. */
export function coreLimits(limits: DataLimits): CoreLimits {
  const { cacheBytes = DEFAULT_CACHE_BYTES, maxDownBytesPerSecond = null, maxUpBytesPerSecond = null } = limits;
  demand('cacheBytes', cacheBytes, 0);
  if (maxDownBytesPerSecond !== null) demand('maxDownBytesPerSecond', maxDownBytesPerSecond, MIN_BYTES_PER_SECOND);
  if (maxUpBytesPerSecond !== null) demand('maxUpBytesPerSecond', maxUpBytesPerSecond, MIN_BYTES_PER_SECOND);
  return { stored_bytes: cacheBytes, max_down: maxDownBytesPerSecond, max_up: maxUpBytesPerSecond };
}

function demand(name: keyof DataLimits, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new VolunteerError('config_refused', `${name} is ${value}; a whole number of ${least} or more is needed`);
}
