/** A session that lives in a dedicated worker. */
import { serveWebRtc } from '../../../../../worker-js/src/webrtc/bridge.ts';
import type { FromWorker, Session, ToWorker, Turn } from './protocol.ts';

export class WorkerSession implements Session {
  readonly #worker: Worker;
  readonly #stopWebRtc: () => void;

  private constructor(script: string, port: MessagePort) {
    this.#worker = new Worker(script, { type: 'module' });
    this.#stopWebRtc = serveWebRtc(port);
  }

  static async open(script: string, address: string): Promise<WorkerSession> {
    const { port1, port2 } = new MessageChannel();
    const session = new WorkerSession(script, port1);
    await session.#ask({ type: 'open', address, port: port2 }, [port2]);
    return session;
  }

  prepare(turn: Turn): Promise<void> {
    return this.#ask({ type: 'prepare', turn });
  }

  run(turn: Turn): Promise<void> {
    return this.#ask({ type: 'run', turn });
  }

  close(): void {
    this.#worker.terminate();
    this.#stopWebRtc();
  }

  #ask(request: ToWorker, transfer: Transferable[] = []): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data: { error } }: MessageEvent<FromWorker>) => {
        if (error === null) resolve();
        else reject(new Error(error));
      };
      this.#worker.onerror = ({ message }) => reject(new Error(message));
      this.#worker.postMessage(request, transfer);
    });
  }
}
