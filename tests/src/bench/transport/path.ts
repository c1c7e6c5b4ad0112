/** How the two ends of a measurement reach each other: directly, or through a seeded proxy. */
import { Peer } from './peer.ts';

/** A path, by the name that its rows carry. */
export interface Path {
  readonly name: string;
  /** Where to send to in order to reach `target`, both `IP:PORT`. */
  via(kind: 'udp' | 'tcp', target: string): Promise<string>;
}

export const DIRECT: Path = { name: 'direct', via: (_, target) => Promise.resolve(target) };

/** Part of the seed's meaning: a change makes other figures. */
const SEED = 1;
const ROUND_TRIP_MS = 50;
const LOSS_PER_MILLE = 10;

export class LongPath implements Path {
  readonly name = `${String(ROUND_TRIP_MS)} ms, ${String(LOSS_PER_MILLE / 10)} % loss`;
  readonly #proxy: Peer;

  constructor(program: string) {
    this.#proxy = new Peer(program, ['proxy', String(SEED), String(ROUND_TRIP_MS), String(LOSS_PER_MILLE)]);
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
