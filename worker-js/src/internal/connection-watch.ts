/**
 * How the tab is connected, put together from what the core counts and what the browser knows of the peer connection.
 * Works only when it is asked: no timer, no subscription.
 */
import type { ConnectionStats, PathStats } from '../public/types.ts';
import type { CoreConnection } from './core.ts';
import { isTabTransport } from './last-transport.ts';

/** The part of a peer connection that is looked at. */
export type MeasuredPeer = Pick<RTCPeerConnection, 'connectionState' | 'getStats'>;

export class ConnectionWatch {
  readonly #ask: () => void;
  readonly #waiting: ((connection: CoreConnection | null) => void)[] = [];
  #peers: MeasuredPeer[] = [];
  #ended = false;

  /** `ask` makes the core answer through `answered`, once for each call and in order. */
  constructor(ask: () => void) {
    this.#ask = ask;
  }

  /** Looks at a peer connection from now on, until it is closed. */
  add(peer: MeasuredPeer): void {
    this.#peers = [...this.#peers.filter(({ connectionState }) => connectionState !== 'closed'), peer];
  }

  answered(connection: CoreConnection | null): void {
    this.#waiting.shift()?.(connection);
  }

  /** The core is gone: whoever waits for it is told so. */
  end(): void {
    this.#ended = true;
    for (const resolve of this.#waiting.splice(0)) resolve(null);
  }

  async stats(): Promise<ConnectionStats | null> {
    if (this.#ended) return null;
    const connection = await new Promise<CoreConnection | null>((resolve) => {
      this.#waiting.push(resolve);
      this.#ask();
    });
    if (connection === null || !isTabTransport(connection.transport)) return null;
    return {
      transport: connection.transport,
      address: connection.address,
      ageMs: connection.age_ms,
      receivedBytes: connection.received_bytes,
      sentBytes: connection.sent_bytes,
      pingMs: connection.round_trip_ms,
      path: connection.transport === 'webrtc' ? await this.#path() : null,
      downloads: connection.downloads.map(({ blob, verified_bytes, size_bytes }) => ({
        blob,
        verifiedBytes: verified_bytes,
        sizeBytes: size_bytes,
      })),
      uploads: connection.uploads,
    };
  }

  /** Of the newest peer connection that stands; the losers of a race are closed or never stood. */
  async #path(): Promise<PathStats | null> {
    const peer = this.#peers.findLast(({ connectionState }) => connectionState === 'connected');
    if (peer === undefined) return null;
    try {
      return pathOf(await peer.getStats());
    } catch {
      // Closed meanwhile.
      return null;
    }
  }
}

/** What a candidate pair's entry may hold. Browsers leave out what they do not measure. */
interface PairEntry {
  readonly id: string;
  readonly type: string;
  readonly nominated?: boolean;
  readonly state?: string;
  readonly currentRoundTripTime?: number;
  readonly bytesReceived?: number;
  readonly bytesSent?: number;
  readonly selectedCandidatePairId?: string;
}

/** The selected pair: the transport names it; where it does not, it is the nominated one that succeeded. */
export function pathOf(report: RTCStatsReport): PathStats | null {
  const entries: PairEntry[] = [];
  report.forEach((entry: PairEntry) => entries.push(entry));
  const selected = entries.find(({ type }) => type === 'transport')?.selectedCandidatePairId;
  const pairs = entries.filter(({ type }) => type === 'candidate-pair');
  const pair =
    pairs.find(({ id }) => id === selected) ??
    pairs.find(({ nominated, state }) => nominated === true && state === 'succeeded');
  if (pair === undefined) return null;
  const seconds = pair.currentRoundTripTime;
  return {
    roundTripMs: seconds === undefined ? null : seconds * 1000,
    receivedBytes: pair.bytesReceived ?? 0,
    sentBytes: pair.bytesSent ?? 0,
  };
}
