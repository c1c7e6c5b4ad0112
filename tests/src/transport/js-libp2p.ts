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

/** As in `webrtc_peer`: half of what its streams hold unread, should one direction be slower than the other. */
const WINDOW_BYTES = 1024 * 1024;

/** Stopped with the block that it is declared in. */
export type Node = Libp2p<{ ping: Ping }> & AsyncDisposable;

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
  return Object.assign(node, {
    async [Symbol.asyncDispose](): Promise<void> {
      await node.stop();
    },
  });
}

export function dial(node: Node, address: string, signal?: AbortSignal): Promise<Connection> {
  return node.dial(multiaddr(address), signal === undefined ? {} : { signal });
}

/** Milliseconds of one ping's round trip. */
export function pingMs(node: Node, connection: Connection): Promise<number> {
  return node.services.ping.ping(connection.remotePeer);
}

/** Sends `len` bytes and fails unless the same come back. */
export async function echoOff(connection: Connection, len: number): Promise<void> {
  const stream = await connection.newStream(ECHO);
  const incoming = stream[Symbol.asyncIterator]();
  const sent = pattern(len);
  let got = 0;
  for (let end = 0; end < len; ) {
    for (const windowEnd = Math.min(end + WINDOW_BYTES, len); end < windowEnd; ) {
      const part = sent.subarray(end, Math.min(end + WRITE_BYTES, windowEnd));
      await write(stream, part);
      end += part.length;
    }
    while (got < end) {
      const { value, done } = await incoming.next();
      if (done === true) throw new Error(`${got} bytes came back of ${len}`);
      for (const byte of value.subarray()) {
        if (byte !== sent[got]) throw new Error(`byte ${got} came back as ${byte}, sent as ${sent[got]}`);
        got += 1;
      }
    }
  }
  await stream.close();
  const { done } = await incoming.next();
  if (done !== true) throw new Error(`more came back than ${len} bytes`);
}

/** Bytes that do not repeat at any power of two. */
export function pattern(len: number): Uint8Array {
  return Uint8Array.from({ length: len }, (_, i) => (i * 7 + Math.floor(i / 251)) & 0xff);
}

async function write(stream: Stream, bytes: Uint8Array): Promise<void> {
  if (!stream.send(bytes)) await stream.onDrain();
}
