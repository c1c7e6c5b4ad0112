/** A process of native peers (the example `soak_peers`), told what to do and killed when it shall leave rudely. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Program } from '../process.ts';
import type { Relay } from '../relay.ts';
import { until } from '../wait.ts';

/** Twenty-odd peers by webrtc-direct need ten seconds at the pace a relay takes from one address; a crowd needs a minute. */
const READY_LIMIT_MS = 300_000;

/** Twenty mebibytes for two hundred peers on a busy machine of two cores. */
const FETCH_LIMIT_MS = 900_000;

/** Each closes its connection within a second. */
const LEAVE_LIMIT_MS = 30_000;

type PeersEvent =
  | { readonly event: 'ready'; readonly standing?: Readonly<Record<string, number>>; readonly failed?: readonly string[] }
  | { readonly event: 'failed'; readonly way: string; readonly act: string; readonly reason: string }
  | { readonly event: 'fetched' } & Fetched
  | { readonly event: 'gone' };

/** One round of a crowd: seconds of each peer. */
export interface Fetched {
  readonly wall_s: number;
  readonly failed: readonly string[];
  readonly seconds: readonly number[];
  readonly small_seconds: readonly number[];
}

export interface Blob {
  readonly id: string;
  readonly length: number;
}

export interface PeersOptions {
  readonly seed: number;
  readonly peers: number;
  readonly act?: 'no-credit' | 'deaf' | 'trickle';
  /** The blob to be in the middle of. */
  readonly blob?: Blob;
  readonly sources?: boolean;
}

let count = 0;

export class Peers {
  readonly #program: Program;

  private constructor(relay: Relay, mode: 'hold' | 'crowd', options: PeersOptions) {
    const file = process.env['SHOAL_SOAK_PEERS'];
    if (file === undefined) throw new Error('SHOAL_SOAK_PEERS is not set: run `cargo xtask soak`');
    const args = [
      mode,
      ...relay.join.addresses.flatMap((address) => ['--relay', address]),
      ...['--network', relay.join.network],
      ...['--seed', String(options.seed)],
      ...['--peers', String(options.peers)],
      ...(options.act === undefined ? [] : ['--act', options.act]),
      ...(options.blob === undefined ? [] : ['--blob', options.blob.id]),
      ...((options.sources ?? false) ? ['--sources'] : []),
    ];
    count += 1;
    this.#program = new Program(file, args, join(relay.dir, `peers-${String(count)}.log`), { listens: true });
  }

  /** Connections of all kinds, or all of one. Returns when each stands or has failed. */
  static async hold(relay: Relay, options: PeersOptions): Promise<Peers> {
    const peers = new Peers(relay, 'hold', options);
    await peers.#next('ready', READY_LIMIT_MS);
    return peers;
  }

  /** Peers with sessions that fetch when they are told to. */
  static async crowd(relay: Relay, options: PeersOptions): Promise<Peers> {
    const peers = new Peers(relay, 'crowd', options);
    await peers.#next('ready', READY_LIMIT_MS);
    return peers;
  }

  /** All of them fetch a blob at once, and then a small one. */
  async fetch(blob: Blob, small?: Blob): Promise<Fetched> {
    const before = this.#events('fetched').length;
    const words = [blob, ...(small === undefined ? [] : [small])].flatMap(({ id, length }) => [id, String(length)]);
    this.#program.tell(['fetch', ...words].join(' '));
    return this.#next('fetched', FETCH_LIMIT_MS, before);
  }

  /** How many stand, by what they are. */
  standing(): Readonly<Record<string, number>> {
    return this.#events('ready')[0]?.standing ?? {};
  }

  /** What has failed so far, in words. */
  failed(): string[] {
    const single = this.#events('failed').map(({ way, act, reason }) => `${way}, ${act}: ${reason}`);
    return [...single, ...this.#events('ready').flatMap((ready) => ready.failed ?? []), ...this.#events('fetched').flatMap(({ failed }) => failed)];
  }

  /** They close their connections. */
  async leave(): Promise<void> {
    this.#program.tell('leave');
    await this.#next('gone', LEAVE_LIMIT_MS);
    await this.#program.exited();
  }

  /** Their sockets go away, and nobody is told anything. */
  kill(): Promise<void> {
    return this.#program.kill();
  }

  /** The event of that kind after so many of them. */
  async #next<K extends PeersEvent['event']>(kind: K, limitMs: number, after = 0): Promise<Extract<PeersEvent, { event: K }>> {
    const found = await until(
      `peers say ${kind}`,
      limitMs,
      () => this.#events(kind)[after] ?? (this.#program.isRunning ? null : 'ended'),
      (event) => event !== null,
    );
    if (found === null || found === 'ended') throw new Error(`the peers ended:\n${this.#program.tail()}`);
    return found;
  }

  #events<K extends PeersEvent['event']>(kind: K): Extract<PeersEvent, { event: K }>[] {
    const lines = readFileSync(this.#program.log, 'utf8').split('\n').slice(0, -1);
    const events = lines.filter((line) => line.startsWith('{"')).map((line) => JSON.parse(line) as PeersEvent);
    return events.filter((event): event is Extract<PeersEvent, { event: K }> => event.event === kind);
  }
}
