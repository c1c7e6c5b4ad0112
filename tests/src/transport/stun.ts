/** STUN binding requests (RFC 8489) as ICE sends them, and one UDP socket that sends them to a listener. */
import { createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { crc32 } from 'node:zlib';
import { until } from '../wait.ts';

const MAGIC_COOKIE = 0x2112a442;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const PRIORITY = 0x0024;
const USE_CANDIDATE = 0x0025;
const FINGERPRINT = 0x8028;
const ICE_CONTROLLING = 0x802a;
/** RFC 8489, section 14.7. */
const FINGERPRINT_XOR = 0x5354554e;
const HEADER_BYTES = 20;

/** Loopback loses nothing and answers at once; a busy machine takes its time. */
const ANSWER_LIMIT_MS = 10_000;

export interface Check {
  readonly datagram: Buffer;
  /** Hexadecimal, as answers name it. */
  readonly transaction: string;
}

/** A connectivity check with this username, signed with this password. */
export function check(username: string, password: string): Check {
  const transaction = randomBytes(12);
  const attributes = [
    attribute(USERNAME, Buffer.from(username, 'latin1')),
    attribute(PRIORITY, Buffer.from([0x6e, 0, 1, 0xff])),
    attribute(ICE_CONTROLLING, randomBytes(8)),
    attribute(USE_CANDIDATE, Buffer.alloc(0)),
  ];
  // Both signatures cover a header whose length already counts them.
  const unsigned = message(transaction, attributes, 24);
  attributes.push(attribute(MESSAGE_INTEGRITY, createHmac('sha1', password).update(unsigned).digest()));
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE((crc32(message(transaction, attributes, 8)) ^ FINGERPRINT_XOR) >>> 0);
  attributes.push(attribute(FINGERPRINT, crc));
  return { datagram: message(transaction, attributes, 0), transaction: transaction.toString('hex') };
}

/** The username in a datagram, `null` if it is no binding request. */
export function usernameOf(datagram: Buffer): string | null {
  if (datagram.length < HEADER_BYTES || datagram.readUInt16BE(0) !== BINDING_REQUEST) return null;
  for (let at = HEADER_BYTES; at + 4 <= datagram.length; ) {
    const length = datagram.readUInt16BE(at + 2);
    if (datagram.readUInt16BE(at) === USERNAME) return datagram.toString('latin1', at + 4, at + 4 + length);
    at += 4 + padded(length);
  }
  return null;
}

/** A socket on loopback that keeps what it receives. */
export class Udp implements AsyncDisposable {
  readonly received: Buffer[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (datagram) => this.received.push(datagram));
  }

  static bind(): Promise<Udp> {
    return new Promise((resolve, reject) => {
      const socket = createSocket('udp4');
      socket.once('error', reject);
      socket.bind(0, '127.0.0.1', () => resolve(new Udp(socket)));
    });
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(datagram: Buffer, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(datagram, port, '127.0.0.1', (error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** The transactions that were answered with success, in order. */
  answered(): string[] {
    const answers = this.received.filter((datagram) => datagram.readUInt16BE(0) === BINDING_SUCCESS);
    return answers.map((datagram) => datagram.toString('hex', 8, HEADER_BYTES));
  }

  /** Waits for the answer to one check. */
  async awaitAnswer({ transaction }: Check): Promise<void> {
    await until('the check is answered', ANSWER_LIMIT_MS, () => this.answered(), (all) => all.includes(transaction));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

function message(transaction: Buffer, attributes: readonly Buffer[], toCome: number): Buffer {
  const body = Buffer.concat(attributes);
  const header = Buffer.alloc(8);
  header.writeUInt16BE(BINDING_REQUEST, 0);
  header.writeUInt16BE(body.length + toCome, 2);
  header.writeUInt32BE(MAGIC_COOKIE, 4);
  return Buffer.concat([header, transaction, body]);
}

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + padded(value.length));
  bytes.writeUInt16BE(type, 0);
  bytes.writeUInt16BE(value.length, 2);
  value.copy(bytes, 4);
  return bytes;
}

/** Attributes are padded to 32 bits. */
function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}
