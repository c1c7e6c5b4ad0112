/** EIP-55: upper and lower case of an address are a checksum over its digits. */
import { keccak_256 } from '@noble/hashes/sha3.js';
import { isPayoutAddress } from './payout.ts';

/** Whether an address is well-formed and, if of mixed case, spelt as its checksum demands. */
export function isChecksummedAddress(address: string): boolean {
  if (!isPayoutAddress(address)) return false;
  const digits = address.slice(2);
  const lower = digits.toLowerCase();
  if (digits === lower || digits === digits.toUpperCase()) return true;
  const hash = keccak_256(new TextEncoder().encode(lower));
  return [...digits].every((digit, i) => {
    const nibble = ((hash[i >> 1] ?? 0) >> (i % 2 === 0 ? 4 : 0)) & 15;
    return digit === (nibble >= 8 ? digit.toUpperCase() : digit.toLowerCase());
  });
}
