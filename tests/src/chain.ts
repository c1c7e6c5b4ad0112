/** Reads amounts from the chain over JSON-RPC, without any code of ours. */
import type { ChainInfo } from './api.ts';

/** What one reference operation earns, base units; `crates/ledger/src/amount.rs` says why. */
export const BASE_UNITS_PER_OPERATION = 1_000_000n;

const TOKEN_DECIMALS = 18;

/** First four bytes of Keccak-256 of `balanceOf(address)`. */
const BALANCE_OF = '0x70a08231';

/** Base units of the reward token that an address holds. */
export async function tokenBalance(chain: ChainInfo, address: string): Promise<bigint> {
  const data = BALANCE_OF + address.slice(2).toLowerCase().padStart(64, '0');
  return BigInt(await rpc<string>(chain.rpc_url, 'eth_call', [{ to: chain.token, data }, 'latest']));
}

/** For people: base units as tokens with six digits. */
export function formatTokens(amount: bigint): string {
  const digits = amount.toString().padStart(TOKEN_DECIMALS + 1, '0');
  return `${digits.slice(0, -TOKEN_DECIMALS)}.${digits.slice(-TOKEN_DECIMALS).slice(0, 6)}`;
}

async function rpc<T>(url: string, method: string, params: unknown): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    signal: AbortSignal.timeout(10_000),
  });
  const body = (await response.json()) as { result?: T; error?: { message: string } };
  if (body.result === undefined) throw new Error(`${method}: ${body.error?.message ?? 'no result'}`);
  return body.result;
}
