/** What the bench calls in its page: the worker's answers, and the time that a worker takes to its first result. */
import type { FromWorker, SubjectName, ToWorker, Workload } from './protocol.ts';

let worker: Worker | null = null;

function ask(request: ToWorker): Promise<FromWorker> {
  worker ??= new Worker('/worker.js', { type: 'module' });
  const asked = worker;
  return new Promise((resolve, reject) => {
    asked.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.type === 'failed') reject(new Error(data.error));
      else resolve(data);
    };
    asked.onerror = ({ message }) => reject(new Error(message));
    asked.postMessage(request);
  });
}

const page = {
  /** The first run's result, in base64 of its little-endian floats; null where the subject cannot do it. */
  async prepare(subject: SubjectName, workload: Workload): Promise<string | null> {
    const answer = await ask({ type: 'prepare', subject, workload });
    if (answer.type !== 'prepared') throw new Error(`unexpected answer ${answer.type}`);
    return answer.result === null ? null : base64(answer.result);
  },

  async turn(subject: SubjectName, workload: Workload, times: number): Promise<number> {
    const answer = await ask({ type: 'turn', subject, workload, times });
    if (answer.type !== 'turned') throw new Error(`unexpected answer ${answer.type}`);
    return answer.seconds;
  },

  /** Seconds from `new Worker` to its first message. */
  start(script: string): Promise<number> {
    const start = performance.now();
    const made = new Worker(script, { type: 'module' });
    return new Promise<number>((resolve, reject) => {
      made.onmessage = () => resolve((performance.now() - start) / 1000);
      made.onerror = ({ message }) => reject(new Error(message));
    }).finally(() => made.terminate());
  },
};

function base64(values: Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const PIECE = 0x8000;
  let text = '';
  for (let at = 0; at < bytes.length; at += PIECE) text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return btoa(text);
}

export type BenchPage = typeof page;

declare global {
  interface Window {
    computeBench?: BenchPage;
  }
}

window.computeBench = page;
