/** Form of a payout address. The checksum of mixed-case ones needs a hash and is checked on start, in `checksum.ts`. */

/** Whether the text is `0x` and 40 hexadecimal digits, and not the zero address. */
export function isPayoutAddress(text: string): boolean {
  return /^0x[0-9a-fA-F]{40}$/.test(text) && !/^0x0{40}$/.test(text);
}
