/** A page with our transport: the bridge here, `worker.ts` in a dedicated worker. */
import { serveWebRtc } from '../../../worker-js/src/webrtc/bridge.ts';
import type { Answer, Call, PageCall } from './worker-messages.ts';

const workers = new Map<number, Worker>();
let calls = 0;

/** Makes the worker do something, and returns what came of it. Each `peer` is a worker with a connection of its own. */
async function ask(peer: number, call: PageCall): Promise<unknown> {
  const transfer: Transferable[] = [];
  let worker = workers.get(peer);
  if (worker === undefined) {
    worker = new Worker('worker.js', { type: 'module' });
    workers.set(peer, worker);
  }
  const id = (calls += 1);
  let message: Call;
  if (call.do === 'connect') {
    const { port1, port2 } = new MessageChannel();
    serveWebRtc(port1);
    transfer.push(port2);
    message = { ...call, id, port: port2 };
  } else {
    message = { ...call, id };
  }
  const answer = answered(worker, id);
  worker.postMessage(message, transfer);
  return answer;
}

function answered(worker: Worker, id: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const listen = ({ data }: MessageEvent<Answer>): void => {
      if (data.id !== id) return;
      worker.removeEventListener('message', listen);
      if ('error' in data) reject(new Error(data.error));
      else resolve(data.value);
    };
    worker.addEventListener('message', listen);
    worker.addEventListener('error', ({ message }) => reject(new Error(message)), { once: true });
  });
}

let refused = 0;

/** As in a browser that cannot transfer data channels to workers, where the bridge proxies their messages. */
function refuseTransfer(): void {
  const post = MessagePort.prototype.postMessage;
  MessagePort.prototype.postMessage = function (this: MessagePort, message: unknown, transfer?: unknown): void {
    const list = Array.isArray(transfer) ? transfer : [];
    if (list.some((item) => item instanceof RTCDataChannel)) {
      refused += 1;
      throw new DOMException('no', 'DataCloneError');
    }
    post.call(this, message, { transfer: list as Transferable[] });
  };
}

/** How many transfers were refused. */
function refusedTransfers(): number {
  return refused;
}

Object.assign(globalThis, { ask, refuseTransfer, refusedTransfers });
