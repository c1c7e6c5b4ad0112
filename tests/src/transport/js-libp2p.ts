/**
 * js-libp2p as a peer of ours. Runs in Node and, bundled, in a page.
 *
 * What it speaks today (libp2p 3.3, @libp2p/webrtc 6.0): webrtc-direct version 1 only, both as dialler and as listener.
 */
import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { ping, type Ping } from '@libp2p/ping';
import { webRTCDirect } from '@libp2p/webrtc';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';

/** As in `webrtc_peer`. */
export const ECHO = '/shoal/test/echo/1';

/** Bytes handed to a stream at once; it cuts them into frames. */
const WRITE_BYTES = 64 * 1024;

export type Node = Libp2p<{ ping: Ping }>;

/** A node that echoes. Its WebRTC asks no server on the internet for anything. */
export async function startNode(listen: readonly string[] = []): Promise<Node> {
  const node = await createLibp2p({
    addresses: { listen: [...listen] },
    transports: [webRTCDirect({ rtcConfiguration: { iceServers: [] } })],
    services: { ping: ping() },
    // The tests wait for what they want; a node that pings by itself closes connections behind their back.
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
  });
  await node.handle(ECHO, async (stream) => {
    for await (const chunk of stream) await write(stream, chunk.subarray());
    await stream.close();
  });
  return node;
}

export function dial(node: Node, address: string): Promise<Connection> {
  return node.dial(multiaddr(address));
}

/** Milliseconds of one ping's round trip. */
export function pingMs(node: Node, connection: Connection): Promise<number> {
  return node.services.ping.ping(connection.remotePeer);
}

/** Sends `len` bytes and fails unless the same come back. */
export async function echoOff(connection: Connection, len: number): Promise<void> {
  const stream = await connection.newStream(ECHO);
  const sent = pattern(len);
  const back = read(stream);
  for (let at = 0; at < len; at += WRITE_BYTES) await write(stream, sent.subarray(at, at + WRITE_BYTES));
  await stream.close();
  const got = await back;
  if (got.length !== len) throw new Error(`${got.length} bytes came back of ${len}`);
  const wrong = sent.findIndex((byte, i) => byte !== got[i]);
  if (wrong >= 0) throw new Error(`byte ${wrong} came back as ${got[wrong]}, sent as ${sent[wrong]}`);
}

/** Bytes that do not repeat at any power of two. */
export function pattern(len: number): Uint8Array {
  return Uint8Array.from({ length: len }, (_, i) => (i * 7 + Math.floor(i / 251)) & 0xff);
}

async function write(stream: Stream, bytes: Uint8Array): Promise<void> {
  if (!stream.send(bytes)) await stream.onDrain();
}

async function read(stream: Stream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk.subarray());
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
