/** How the two ends of a measurement reach each other: directly, or through a seeded proxy. */
import { Peer } from './peer.ts';

/** A path, by the name that its rows carry. */
export interface Path {
  readonly name: string;
  /** Bytes that all streams of a turn carry together, and that a new connection carries before anything is measured. */
  readonly turnBytes: number;
  readonly warmUpBytes: number;
  /** Streams at once. */
  readonly streams: readonly number[];
  /** Where to send to in order to reach `target`, both `IP:PORT`. */
  via(kind: 'udp' | 'tcp', target: string): Promise<string>;
}

const MIB = 1024 * 1024;

/**
 * No proxy. The warm-up lasts until slow start has ended with the first loss, which over loopback is a burst that overflows a
 * socket and costs a retransmission timeout. A bench that measured that would measure whose burst was lost.
 */
export const DIRECT: Path = {
  name: 'direct',
  turnBytes: 48 * MIB,
  warmUpBytes: 16 * MIB,
  streams: [1, 4, 16],
  via: (_, target) => Promise.resolve(target),
};

/** What a proxied path does to each direction. */
interface Conditions {
  readonly roundTripMs: number;
  readonly lossPerMille: number;
  /** 0 for as fast as it goes. */
  readonly mbitS: number;
}

/** Part of the seed's meaning: a change makes other figures. */
const SEED = 1;

/** A path through a seeded proxy. */
export class ProxiedPath implements Path {
  readonly name: string;
  readonly turnBytes: number;
  readonly warmUpBytes: number;
  readonly streams = [1, 4];
  readonly #proxy: Peer;

  private constructor(program: string, name: string, turnBytes: number, warmUpBytes: number, conditions: Conditions) {
    const { roundTripMs, lossPerMille, mbitS } = conditions;
    this.name = name;
    this.turnBytes = turnBytes;
    this.warmUpBytes = warmUpBytes;
    this.#proxy = new Peer(program, ['proxy', ...[SEED, roundTripMs, lossPerMille, mbitS].map(String)]);
  }

  /** A good line at home: about a second of it. */
  static home(program: string): ProxiedPath {
    return new ProxiedPath(program, '20 ms, 100 Mbit/s', 12 * MIB, 4 * MIB, { roundTripMs: 20, lossPerMille: 0, mbitS: 100 });
  }

  /** Another continent by a bad line: some fifteen losses. */
  static long(program: string): ProxiedPath {
    return new ProxiedPath(program, '50 ms, 1 % loss', 2 * MIB, MIB / 2, { roundTripMs: 50, lossPerMille: 10, mbitS: 0 });
  }

  via(kind: 'udp' | 'tcp', target: string): Promise<string> {
    return this.#proxy.ask(`${kind} ${target}`);
  }

  stop(): Promise<void> {
    return this.#proxy.stop();
  }
}

const PARTS = /^\/ip4\/([^/]+)\/(udp|tcp)\/(\d+)(.*)$/;

/** The multiaddr through which `address` is reached on a path. */
export async function multiaddrVia(path: Path, address: string): Promise<string> {
  const [, ip, kind, port, rest] = PARTS.exec(address) ?? [];
  if (ip === undefined || kind === undefined || port === undefined) throw new Error(`not an address over IPv4: ${address}`);
  const [viaIp, viaPort] = (await path.via(kind === 'udp' ? 'udp' : 'tcp', `${ip}:${port}`)).split(':');
  return `/ip4/${String(viaIp)}/${kind}/${String(viaPort)}${String(rest)}`;
}

const CANDIDATE = /^a=candidate:.*\r\n/gm;
const LOOPBACK = /^a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) /im;

/** A description without candidates: whoever gets it learns where its peer is from the peer's checks alone. */
export function withoutCandidates(sdp: string): string {
  return sdp.replaceAll(CANDIDATE, '');
}

/** A description whose only candidate is at the near end of a path, so that both directions go through it. */
export async function descriptionVia(path: Path, sdp: string): Promise<string> {
  const port = LOOPBACK.exec(sdp)?.[1];
  if (port === undefined) throw new Error(`the browser gathered no candidate on the loopback interface:\n${sdp}`);
  const [ip, viaPort] = (await path.via('udp', `127.0.0.1:${port}`)).split(':');
  const candidate = `a=candidate:1 1 udp 2122260223 ${String(ip)} ${String(viaPort)} typ host\r\n`;
  const rest = withoutCandidates(sdp);
  return `${rest}${candidate}a=end-of-candidates\r\n`.replace(/a=end-of-candidates\r\n(?=[\s\S]*a=end-of-candidates)/, '');
}
