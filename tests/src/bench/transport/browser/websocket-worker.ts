/** A plain WebSocket in a dedicated worker. */
import { encodeCommand, serveWorker, type Turn } from './protocol.ts';

/** Bytes in one message; the server sends as many. */
const MESSAGE_LENGTH = 64 * 1024;

/** Bytes in the socket's queue beyond which sending waits. WebSockets do not say when it is short again. */
const MOST_BUFFERED = 4 * 1024 * 1024;

/** How often a full queue is looked at again. In a worker the browser makes it 4 ms, in which half of the queue cannot leave. */
const LOOK_AGAIN_MS = 1;

let socket: WebSocket | null = null;

function opened(): WebSocket {
  if (socket === null) throw new Error('not opened');
  return socket;
}

function open(address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const made = new WebSocket(address);
    made.binaryType = 'arraybuffer';
    made.onopen = () => resolve();
    made.onerror = () => reject(new Error(`no WebSocket to ${address}`));
    socket = made;
  });
}

/** Resolves when the server has sent so many bytes. */
function received(from: WebSocket, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = bytes;
    from.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      left -= data.byteLength;
      if (left <= 0) resolve();
    };
    from.onclose = () => reject(new Error('the WebSocket closed'));
  });
}

async function run({ direction, streams, bytes }: Turn): Promise<void> {
  if (streams !== 1) throw new Error('a WebSocket has one stream');
  const to = opened();
  const done = received(to, direction === 'down' ? bytes : 1);
  to.send(encodeCommand(direction, bytes));
  if (direction === 'up') {
    const message = new Uint8Array(MESSAGE_LENGTH).fill(0x5a);
    for (let left = bytes; left > 0; left -= MESSAGE_LENGTH) {
      while (to.bufferedAmount > MOST_BUFFERED) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
      to.send(message.subarray(0, Math.min(left, MESSAGE_LENGTH)));
    }
  }
  await done;
}

serveWorker(async (request) => {
  switch (request.type) {
    case 'open':
      await open(request.address);
      break;
    case 'prepare':
      break;
    case 'run':
      await run(request.turn);
      break;
  }
});
