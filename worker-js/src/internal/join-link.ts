/**
 * Links to private swarms. The secret rides in the fragment, which browsers never send to a server:
 * `#join=<base64url of {"secret": "<base64url of 32 bytes>"}>`.
 */
import { fromBase64Url } from './base64url.ts';

/** Bytes of a join secret. */
export const JOIN_SECRET_LEN = 32;

/** What the fragment of an address says: nothing about joining, a secret (base64url), or something broken. */
export type JoinLink =
  { readonly kind: 'none' } | { readonly kind: 'secret'; readonly secret: string } | { readonly kind: 'malformed' };

/** Reads `location.hash`. */
export function joinSecretOf(fragment: string): JoinLink {
  const encoded = new URLSearchParams(fragment.replace(/^#/, '')).get('join');
  if (encoded === null) return { kind: 'none' };
  const bytes = fromBase64Url(encoded);
  if (bytes === null) return { kind: 'malformed' };
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return { kind: 'malformed' };
  }
  if (typeof value !== 'object' || value === null || !('secret' in value) || typeof value.secret !== 'string') {
    return { kind: 'malformed' };
  }
  return joinSecretBytes(value.secret) === null ? { kind: 'malformed' } : { kind: 'secret', secret: value.secret };
}

/** The secret's bytes, or `null` if it is none. */
export function joinSecretBytes(secret: string): Uint8Array | null {
  const bytes = fromBase64Url(secret);
  return bytes?.length === JOIN_SECRET_LEN ? bytes : null;
}
