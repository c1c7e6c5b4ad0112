/** Blobs whose bytes the seed decides, at the relay. */
import type { Relay } from '../relay.ts';
import type { Blob } from './peers.ts';

export function randomBytes(random: () => number, length: number): Uint8Array {
  const words = new Uint32Array(length / 4);
  return new Uint8Array(words.map(() => random() * 2 ** 32).buffer);
}

/** Makes one of so many bytes, a multiple of four. */
export async function makeBlob(relay: Relay, random: () => number, length: number): Promise<Blob> {
  return { id: await relay.api.putBlob(randomBytes(random, length)), length };
}
