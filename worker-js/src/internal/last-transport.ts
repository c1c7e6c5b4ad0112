/**
 * Which transport last reached a relay, so that it goes first the next time. Browsers tell no page what network it is on;
 * the key is the relay and, where the browser says it, the kind of connection (wifi, cellular and so on). A memory that is
 * wrong costs the head start of the race and nothing else.
 */
import type { KeyValueStore } from './consent.ts';

/** Transports of a tab. */
export type TabTransport = 'webrtc' | 'websocket';

/** A day: the same laptop is in another network tomorrow, and WebRTC deserves another try. */
export const MEMORY_MS = 24 * 60 * 60 * 1000;

/** Relays and networks remembered, newest first: a visitor has few. */
export const MAX_REMEMBERED = 16;

const KEY = 'shoal.transport';

interface Remembered {
  readonly relay: string;
  readonly network: string;
  readonly transport: TabTransport;
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

  /** `null` if this relay was not reached from here lately. */
  recall(relay: string): TabTransport | null {
    const network = this.#network();
    const found = this.#read().find((entry) => entry.relay === relay && entry.network === network);
    return found?.transport ?? null;
  }

  remember(relay: string, transport: TabTransport): void {
    const entry: Remembered = { relay, network: this.#network(), transport, atMs: this.#now() };
    const others = this.#read().filter((other) => other.relay !== relay || other.network !== entry.network);
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
    const entries = Array.isArray(value) ? value.filter(isRemembered) : [];
    return entries.filter(({ atMs }) => atMs <= now && now - atMs < MEMORY_MS);
  }
}

/** The kind of connection, where the browser tells it; empty elsewhere. */
export function connectionKind(): string {
  const { connection } = navigator as { readonly connection?: { readonly type?: unknown } };
  return typeof connection?.type === 'string' ? connection.type : '';
}

/** Whether the core's word for what carries a connection is one of a tab's. */
export function isTabTransport(name: string): name is TabTransport {
  return name === 'webrtc' || name === 'websocket';
}

function isRemembered(value: unknown): value is Remembered {
  if (typeof value !== 'object' || value === null) return false;
  const { relay, network, transport, atMs } = value as Partial<Record<keyof Remembered, unknown>>;
  return (
    typeof relay === 'string' &&
    typeof network === 'string' &&
    typeof transport === 'string' &&
    isTabTransport(transport) &&
    typeof atMs === 'number'
  );
}
