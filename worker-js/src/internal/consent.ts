/**
 * The visitor's agreement as stored data: which text was agreed to, when, and until when. A newer text or a passed
 * expiry asks again. Storage that fails or was tampered with reads as no agreement.
 */
import type { ConsentStatus } from '../public/types.ts';

/** Raised whenever what happens on Start changes in a way that a visitor should hear about. */
export const CONSENT_VERSION = 2;

/** Ninety days: long enough not to nag, short enough that nobody computes for something long forgotten. */
export const CONSENT_LIFETIME_MS = 90 * 24 * 60 * 60 * 1000;

const KEY = 'shoal.consent';

/** The part of `Storage` that is used. */
export interface KeyValueStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

interface ConsentRecord {
  readonly version: number;
  readonly givenAtMs: number;
  readonly expiresAtMs: number;
}

export class ConsentKeeper {
  readonly #store: KeyValueStore;
  readonly #now: () => number;

  constructor(store: KeyValueStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  status(): ConsentStatus {
    const record = parse(this.#read());
    if (record === null || record.version !== CONSENT_VERSION) return { kind: 'missing' };
    // A record from the future or with a longer life than we give was not written by us.
    const now = this.#now();
    if (record.givenAtMs > now || record.expiresAtMs - record.givenAtMs > CONSENT_LIFETIME_MS)
      return { kind: 'missing' };
    if (record.expiresAtMs <= now) return { kind: 'expired', expiredAt: new Date(record.expiresAtMs) };
    return { kind: 'given', givenAt: new Date(record.givenAtMs), expiresAt: new Date(record.expiresAtMs) };
  }

  give(): void {
    const givenAtMs = this.#now();
    const record: ConsentRecord = { version: CONSENT_VERSION, givenAtMs, expiresAtMs: givenAtMs + CONSENT_LIFETIME_MS };
    this.#store.setItem(KEY, JSON.stringify(record));
  }

  withdraw(): void {
    this.#store.removeItem(KEY);
  }

  #read(): string | null {
    try {
      return this.#store.getItem(KEY);
    } catch {
      return null;
    }
  }
}

/** Storage for browsers that forbid it: the agreement lasts as long as the page. */
export class MemoryStore implements KeyValueStore {
  readonly #items = new Map<string, string>();

  getItem(key: string): string | null {
    return this.#items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.#items.set(key, value);
  }

  removeItem(key: string): void {
    this.#items.delete(key);
  }
}

/** `localStorage`, or memory where the browser forbids it. */
export function browserStore(): KeyValueStore {
  const probe = 'shoal.probe';
  try {
    localStorage.setItem(probe, probe);
    localStorage.removeItem(probe);
    return localStorage;
  } catch {
    return new MemoryStore();
  }
}

/** Calls whenever another tab of this site has changed the agreement. Returns what ends it. */
export function watchConsent(listener: () => void): () => void {
  const changed = ({ key }: StorageEvent): void => {
    // `null` if everything was removed.
    if (key === KEY || key === null) listener();
  };
  window.addEventListener('storage', changed);
  return () => window.removeEventListener('storage', changed);
}

function parse(text: string | null): ConsentRecord | null {
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { version, givenAtMs, expiresAtMs } = value as Partial<Record<keyof ConsentRecord, unknown>>;
  if (typeof version !== 'number' || typeof givenAtMs !== 'number' || typeof expiresAtMs !== 'number') return null;
  return { version, givenAtMs, expiresAtMs };
}
