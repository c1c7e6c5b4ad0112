/** What the bench calls in a page. Times are taken here, in the browser that users have. */
import { Libp2pSession } from './libp2p-session.ts';
import type { Kind, Session, Turn } from './protocol.ts';
import { RawEnd } from './raw.ts';
import { WorkerSession } from './worker-session.ts';

let session: Session | null = null;
let raw: RawEnd | null = null;

function there<T>(value: T | null): T {
  if (value === null) throw new Error('nothing is open');
  return value;
}

/** Seconds that it took. */
async function timed(go: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await go();
  return (performance.now() - start) / 1000;
}

const page = {
  async open(kind: Kind, address: string): Promise<void> {
    session = kind === 'libp2p' ? await Libp2pSession.open(address) : await WorkerSession.open(`/${kind}-worker.js`, address);
  },

  async prepare(turn: Turn): Promise<void> {
    await there(session).prepare?.(turn);
  },

  run(turn: Turn): Promise<number> {
    return timed(() => there(session).run(turn));
  },

  rawOffer(): Promise<string> {
    raw = new RawEnd();
    return raw.offer();
  },

  rawAnswer(offer: string): Promise<string> {
    raw = new RawEnd();
    return raw.answer(offer);
  },

  rawAccept(answer: string): Promise<void> {
    return there(raw).accept(answer);
  },

  rawReceive(bytes: number): void {
    there(raw).receive(bytes);
  },

  rawSend(bytes: number): Promise<number> {
    return timed(() => there(raw).send(bytes));
  },

  close(): void {
    session?.close();
    raw?.close();
    session = null;
    raw = null;
  },
};

export type BenchPage = typeof page;

declare global {
  interface Window {
    bench: BenchPage;
  }
}

window.bench = page;
