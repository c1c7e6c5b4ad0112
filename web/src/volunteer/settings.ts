/** What the visitor chose, kept in this browser. What cannot be read back is replaced by the default. */
import type { Power } from '@shoal/worker';

export interface Settings {
  readonly payoutAddress: string;
  readonly power: Power;
  readonly useGpu: boolean;
  readonly pauseWhenHidden: boolean;
}

export const DEFAULTS: Settings = { payoutAddress: '', power: 'normal', useGpu: true, pauseWhenHidden: false };

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
  const { payoutAddress, power, useGpu, pauseWhenHidden } = value as Partial<Record<keyof Settings, unknown>>;
  return {
    payoutAddress: typeof payoutAddress === 'string' ? payoutAddress : DEFAULTS.payoutAddress,
    power: power === 'gentle' || power === 'normal' || power === 'full' ? power : DEFAULTS.power,
    useGpu: typeof useGpu === 'boolean' ? useGpu : DEFAULTS.useGpu,
    pauseWhenHidden: typeof pauseWhenHidden === 'boolean' ? pauseWhenHidden : DEFAULTS.pauseWhenHidden,
  };
}
