/**
 * Which transport goes first to a relay the next time: the one that last reached it, until both have been measured with a
 * large blob; then the faster. A winner that turns out slow lets the other try once. Browsers tell no page what network it is
 * on; the key is the relay and, where the browser says it, the kind of connection (wifi, cellular and so on). A memory that
 * is wrong costs the head start of the race and nothing else.
 */
import type { KeyValueStore } from './consent.ts';

/** Transports of a tab. */
export type TabTransport = 'webrtc' | 'websocket';

/** A day: the same laptop is in another network tomorrow, and WebRTC deserves another try. */
export const MEMORY_MS = 24 * 60 * 60 * 1000;

/** Relays and networks remembered, newest first: a visitor has few. */
export const MAX_REMEMBERED = 16;

/** Bytes a second below which the other transport is worth a try: some networks slow UDP down, few lines are as slow. */
export const SLOW_BYTES_PER_S = 1_250_000;

/** How many times faster the other must be: rates of one connection differ by less between two blobs. */
const CLEARLY_FASTER = 1.25;

const KEY = 'shoal.transport';

interface Remembered {
  readonly relay: string;
  readonly network: string;
  readonly transport: TabTransport;
  readonly atMs: number;
  readonly rates: Readonly<Partial<Record<TabTransport, Rate>>>;
}

/** What the last large blob came at; nothing for a transport that went first and did not win. */
interface Rate {
  readonly bytesPerS: number;
  readonly atMs: number;
}

export class LastTransport {
  readonly #store: KeyValueStore;
  readonly #now: () => number;
  readonly #network: () => string;

  constructor(store: KeyValueStore, now: () => number, network: () => string) {
    this.#store = store;
    this.#now = now;
    this.#network = network;
  }

  /** Who goes first; `null` if this relay was not reached from here lately. */
  recall(relay: string): TabTransport | null {
    const found = this.#find(relay);
    if (found === null) return null;
    const { transport, rates } = found;
    const other = otherOf(transport);
    const rate = rates[transport]?.bytesPerS;
    if (rate === undefined) return transport;
    const otherRate = rates[other]?.bytesPerS;
    const otherIsBetter = otherRate === undefined ? rate < SLOW_BYTES_PER_S : otherRate > rate * CLEARLY_FASTER;
    return otherIsBetter ? other : transport;
  }

  /** `transport` won the race in which `first` had its head start. */
  remember(relay: string, transport: TabTransport, first: TabTransport): void {
    const atMs = this.#now();
    const lost = first === transport ? {} : { [first]: { bytesPerS: 0, atMs } };
    const rates = { ...this.#find(relay)?.rates, ...lost };
    this.#write({ relay, network: this.#network(), transport, atMs, rates });
  }

  /** The transport that reached the relay last carried a large blob at so many bytes a second. */
  measured(relay: string, bytesPerS: number): void {
    const found = this.#find(relay);
    if (found === null) return;
    this.#write({ ...found, rates: { ...found.rates, [found.transport]: { bytesPerS, atMs: this.#now() } } });
  }

  #find(relay: string): Remembered | null {
    const network = this.#network();
    return this.#read().find((entry) => entry.relay === relay && entry.network === network) ?? null;
  }

  #write(entry: Remembered): void {
    const others = this.#read().filter(({ relay, network }) => relay !== entry.relay || network !== entry.network);
    try {
      this.#store.setItem(KEY, JSON.stringify([entry, ...others].slice(0, MAX_REMEMBERED)));
    } catch {
      // A full store forgets: the race decides anew.
    }
  }

  #read(): Remembered[] {
    let value: unknown;
    try {
      value = JSON.parse(this.#store.getItem(KEY) ?? '[]');
    } catch {
      return [];
    }
    const now = this.#now();
    const isFresh = ({ atMs }: { readonly atMs: number }): boolean => atMs <= now && now - atMs < MEMORY_MS;
    const entries = Array.isArray(value) ? value.filter(isRemembered).filter(isFresh) : [];
    return entries.map((entry) => ({
      ...entry,
      rates: Object.fromEntries(Object.entries(entry.rates).filter(([, rate]) => isFresh(rate))),
    }));
  }
}

/** The kind of connection, where the browser tells it; empty elsewhere. */
export function connectionKind(): string {
  const { connection } = navigator as { readonly connection?: { readonly type?: unknown } };
  return typeof connection?.type === 'string' ? connection.type : '';
}

function otherOf(transport: TabTransport): TabTransport {
  return transport === 'webrtc' ? 'websocket' : 'webrtc';
}

/** Whether the core's word for what carries a connection is one of a tab's. */
export function isTabTransport(name: string): name is TabTransport {
  return name === 'webrtc' || name === 'websocket';
}

function isRemembered(value: unknown): value is Remembered {
  if (typeof value !== 'object' || value === null) return false;
  const { relay, network, transport, atMs, rates } = value as Partial<Record<keyof Remembered, unknown>>;
  return (
    typeof relay === 'string' &&
    typeof network === 'string' &&
    typeof transport === 'string' &&
    isTabTransport(transport) &&
    typeof atMs === 'number' &&
    typeof rates === 'object' &&
    rates !== null &&
    Object.entries(rates).every(([name, rate]) => isTabTransport(name) && isRate(rate))
  );
}

function isRate(value: unknown): value is Rate {
  if (typeof value !== 'object' || value === null) return false;
  const { bytesPerS, atMs } = value as Partial<Record<keyof Rate, unknown>>;
  return typeof bytesPerS === 'number' && typeof atMs === 'number';
}
