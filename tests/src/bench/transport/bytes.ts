/** The bytes protocol over a js-libp2p stream, for the listener in Node and the dialler in the page. */
import type { Stream } from '@libp2p/interface';
import { COMMAND_LENGTH, decodeCommand, encodeCommand, type Direction } from './browser/protocol.ts';

/** Bytes given to the stream at once. It cuts them into messages of 16 KiB itself. */
const WRITE_LENGTH = 32 * 1024;

const DONE = Uint8Array.of(1);

type Chunks = AsyncIterator<{ subarray(): Uint8Array; readonly byteLength: number }>;

/** Hands out what arrives, however it was cut. */
class Reader {
  readonly #chunks: Chunks;
  #rest = new Uint8Array();

  constructor(stream: Stream) {
    this.#chunks = stream[Symbol.asyncIterator]() as Chunks;
  }

  async exactly(length: number): Promise<Uint8Array> {
    while (this.#rest.byteLength < length) {
      const next = await this.#next();
      const joined = new Uint8Array(this.#rest.byteLength + next.byteLength);
      joined.set(this.#rest);
      joined.set(next, this.#rest.byteLength);
      this.#rest = joined;
    }
    const taken = this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
    return taken;
  }

  /** Reads so many bytes and keeps none. */
  async discard(length: number): Promise<void> {
    let left = length - this.#rest.byteLength;
    this.#rest = new Uint8Array();
    while (left > 0) left -= (await this.#next()).byteLength;
    if (left < 0) throw new Error('more bytes came than were announced');
  }

  async #next(): Promise<Uint8Array> {
    const { value, done } = await this.#chunks.next();
    if (done === true) throw new Error('the stream ended early');
    return value.subarray();
  }
}

async function write(stream: Stream, length: number): Promise<void> {
  const chunk = new Uint8Array(WRITE_LENGTH).fill(0x5a);
  for (let left = length; left > 0; left -= WRITE_LENGTH) {
    if (!stream.send(chunk.subarray(0, Math.min(left, WRITE_LENGTH)))) await stream.onDrain();
  }
}

/** The dialler's end of one transfer. */
export async function move(stream: Stream, direction: Direction, bytes: number): Promise<void> {
  const reader = new Reader(stream);
  stream.send(encodeCommand(direction, bytes));
  if (direction === 'up') await write(stream, bytes);
  await reader.discard(direction === 'up' ? DONE.byteLength : bytes);
  await stream.close();
}

/** The listener's end. */
export async function answer(stream: Stream): Promise<void> {
  const reader = new Reader(stream);
  const { direction, bytes } = decodeCommand(await reader.exactly(COMMAND_LENGTH));
  if (direction === 'up') {
    await reader.discard(bytes);
    stream.send(DONE);
  } else {
    await write(stream, bytes);
  }
  await stream.close();
}
