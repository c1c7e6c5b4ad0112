/** What the visitor chose, kept in this browser. What cannot be read back is replaced by the default. */
import type { DataLimits, Power } from '@shoal/worker';

export interface Settings {
  readonly payoutAddress: string;
  readonly power: Power;
  readonly useGpu: boolean;
  readonly pauseWhenHidden: boolean;
  readonly diskMegabytes: DiskMegabytes;
  /** `null` for no limit. */
  readonly maxDownMbit: number | null;
  readonly maxUpMbit: number | null;
}

/** Sizes of the disk space to choose from; 0 is none. */
export const DISK_MEGABYTES = [0, 128, 512, 2048] as const;

export type DiskMegabytes = (typeof DISK_MEGABYTES)[number];

/** Limits of rates that make sense: from a slow modem, which still does a small unit in time, to a fast line. */
export const MIN_MBIT = 0.1;
export const MAX_MBIT = 10_000;

export const DEFAULTS: Settings = {
  payoutAddress: '',
  power: 'normal',
  useGpu: true,
  pauseWhenHidden: false,
  diskMegabytes: 512,
  maxDownMbit: null,
  maxUpMbit: null,
};

/** Bytes of a megabyte on disk, as operating systems count; shown as MiB. */
export const MEGABYTE = 1024 * 1024;

/** Bytes a second of a megabit a second. */
const MEGABIT_BYTES = 125_000;

/** The settings in the terms of the package. */
export function dataLimits({ diskMegabytes, maxDownMbit, maxUpMbit }: Settings): DataLimits {
  return {
    cacheBytes: diskMegabytes * MEGABYTE,
    ...(maxDownMbit === null ? {} : { maxDownBytesPerSecond: Math.round(maxDownMbit * MEGABIT_BYTES) }),
    ...(maxUpMbit === null ? {} : { maxUpBytesPerSecond: Math.round(maxUpMbit * MEGABIT_BYTES) }),
  };
}

/** What was typed into a field of Mbit/s: a limit, `null` for none, or `undefined` if it is neither. */
export function parseMbit(text: string): number | null | undefined {
  const trimmed = text.trim().replace(',', '.');
  if (trimmed === '') return null;
  const mbit = /^\d+(\.\d*)?$|^\.\d+$/.test(trimmed) ? Number(trimmed) : Number.NaN;
  return isMbit(mbit) ? mbit : undefined;
}

function isMbit(value: unknown): value is number {
  return typeof value === 'number' && value >= MIN_MBIT && value <= MAX_MBIT;
}

const KEY = 'shoal.settings';

export function loadSettings(storage: Pick<Storage, 'getItem'>): Settings {
  try {
    return parseSettings(storage.getItem(KEY));
  } catch {
    return DEFAULTS;
  }
}

/** Settings are a convenience: a browser that forbids storage keeps them as long as the page. */
export function saveSettings(storage: Pick<Storage, 'setItem'>, settings: Settings): void {
  try {
    storage.setItem(KEY, JSON.stringify(settings));
  } catch {
    return;
  }
}

export function parseSettings(text: string | null): Settings {
  if (text === null) return DEFAULTS;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return DEFAULTS;
  }
  if (typeof value !== 'object' || value === null) return DEFAULTS;
  const { payoutAddress, power, useGpu, pauseWhenHidden, diskMegabytes, maxDownMbit, maxUpMbit } = value as Partial<
    Record<keyof Settings, unknown>
  >;
  return {
    payoutAddress: typeof payoutAddress === 'string' ? payoutAddress : DEFAULTS.payoutAddress,
    power: power === 'gentle' || power === 'normal' || power === 'full' ? power : DEFAULTS.power,
    useGpu: typeof useGpu === 'boolean' ? useGpu : DEFAULTS.useGpu,
    pauseWhenHidden: typeof pauseWhenHidden === 'boolean' ? pauseWhenHidden : DEFAULTS.pauseWhenHidden,
    diskMegabytes: DISK_MEGABYTES.find((size) => size === diskMegabytes) ?? DEFAULTS.diskMegabytes,
    maxDownMbit: isMbit(maxDownMbit) ? maxDownMbit : DEFAULTS.maxDownMbit,
    maxUpMbit: isMbit(maxUpMbit) ? maxUpMbit : DEFAULTS.maxUpMbit,
  };
}
