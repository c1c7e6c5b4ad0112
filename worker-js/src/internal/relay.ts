/** Asks a relay how to join it, and believes nothing of the answer that has not the right shape. */
import type { ChainInfo, JoinInfo } from '../public/types.ts';
import { VolunteerError, messageOf } from './errors.ts';

/** A relay that takes longer than this to say where it listens would be no good at leasing either. */
const TIMEOUT_MS = 10_000;

export async function askRelay(origin: string): Promise<JoinInfo> {
  const url = new URL('/v1/join', origin);
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), credentials: 'omit', cache: 'no-store' });
  } catch (thrown) {
    throw new VolunteerError('relay_unreachable', `${url.origin} does not answer: ${messageOf(thrown)}`);
  }
  if (!response.ok) {
    throw new VolunteerError('relay_unreachable', `${url.origin} answered ${response.status} to /v1/join`);
  }
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    throw new VolunteerError(
      'relay_answer_malformed',
      `${url.origin} answered /v1/join with something that is not JSON`,
    );
  }
  const info = parseJoinInfo(body);
  if (info === null) {
    throw new VolunteerError('relay_answer_malformed', `${url.origin} answered /v1/join with something unknown`);
  }
  return info;
}

/** `null` if it is no join info. */
export function parseJoinInfo(body: unknown): JoinInfo | null {
  if (!isRecord(body)) return null;
  const { network, relay, addresses, private: isPrivate, chain } = body;
  if (typeof network !== 'string' || typeof relay !== 'string' || typeof isPrivate !== 'boolean') return null;
  if (!Array.isArray(addresses) || !addresses.every((address) => typeof address === 'string')) return null;
  const parsedChain = chain === undefined || chain === null ? null : parseChain(chain);
  if (parsedChain === undefined) return null;
  return { network, relay, addresses, private: isPrivate, chain: parsedChain };
}

/** What decides which addresses a tab can dial. */
export interface TabAbilities {
  readonly hasWebRtc: boolean;
  /** Whether the page came over https. Such a page may open `ws:` to its own machine only (mixed content). */
  readonly isHttps: boolean;
}

export function tabAbilities(): TabAbilities {
  return { hasWebRtc: typeof RTCPeerConnection !== 'undefined', isHttps: location.protocol === 'https:' };
}

/** Addresses that a tab can dial. */
export function tabAddresses(info: JoinInfo, { hasWebRtc, isHttps }: TabAbilities): string[] {
  return info.addresses.filter((address) => {
    const parts = address.split('/').slice(1);
    if (parts.includes('webrtc-direct')) return hasWebRtc;
    if (parts.includes('wss') || (parts.includes('tls') && parts.includes('ws'))) return true;
    return parts.includes('ws') && (!isHttps || isLoopback(parts[1] ?? ''));
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function parseChain(value: unknown): ChainInfo | undefined {
  if (!isRecord(value)) return undefined;
  const { chain_id: chainId, rpc_url: rpcUrl, token, distributor } = value;
  if (typeof chainId !== 'number' || typeof rpcUrl !== 'string') return undefined;
  if (typeof token !== 'string' || typeof distributor !== 'string') return undefined;
  return { chainId, rpcUrl, token, distributor };
}

interface Wire {
  readonly [key: string]: unknown;
  readonly network?: unknown;
  readonly relay?: unknown;
  readonly addresses?: unknown;
  readonly private?: unknown;
  readonly chain?: unknown;
  readonly chain_id?: unknown;
  readonly rpc_url?: unknown;
  readonly token?: unknown;
  readonly distributor?: unknown;
}

function isRecord(value: unknown): value is Wire {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
