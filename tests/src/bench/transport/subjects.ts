/** Who is measured, and what of it. */
import type { Page } from 'puppeteer-core';
import type { Kind, Turn } from './browser/protocol.ts';
import { descriptionVia, multiaddrVia, withoutCandidates, type Path } from './path.ts';
import type { Peer } from './peer.ts';

/** A connection, open. */
export interface Opened {
  prepare(turn: Turn): Promise<void>;
  /** Seconds that it took. */
  run(turn: Turn): Promise<number>;
  close(): Promise<void>;
}

export interface Subject {
  readonly name: string;
  /** Whose figure the ratio is to. */
  readonly against: string | null;
  /** The other end, where it is not the browser as well. */
  readonly peer: Peer | null;
  readonly turns: readonly Turn[];
  /** What a new connection carries before anything is measured. */
  readonly warmUp: readonly Turn[];
  open(path: Path): Promise<Opened>;
}

export const RAW = 'raw data channel';
export const WEBSOCKET = 'plain WebSocket';

/** A turn each way for each number of streams. */
export function turns(total: number, streams: readonly number[]): Turn[] {
  return streams.flatMap((count) =>
    (['down', 'up'] as const).map((direction) => ({ direction, streams: count, bytes: Math.floor(total / count) })),
  );
}

/** A tab and a program. */
export function tabAndPeer(
  page: Page,
  kind: Kind,
  peer: Peer,
  address: string,
  about: Pick<Subject, 'name' | 'against' | 'turns' | 'warmUp'>,
): Subject {
  return {
    ...about,
    peer,
    async open(path) {
      const via = kind === 'websocket' ? `ws://${await path.via('tcp', address)}` : await multiaddrVia(path, address);
      await page.evaluate(([kind, via]) => window.bench.open(kind, via), [kind, via] as const);
      return {
        prepare: (turn) => page.evaluate((turn) => window.bench.prepare(turn), turn),
        run: (turn) => page.evaluate((turn) => window.bench.run(turn), turn),
        close: () => page.evaluate(() => window.bench.close()),
      };
    },
  };
}

/** Two tabs. Both directions are the same, so one is measured, and it stands for both. */
export function tabAndTab(sender: Page, receiver: Page, bytes: number, warmUp: number): Subject {
  return {
    name: RAW,
    against: null,
    peer: null,
    warmUp: [{ direction: 'down', streams: 1, bytes: warmUp }],
    turns: [{ direction: 'down', streams: 1, bytes }],
    async open(path) {
      const offer = await sender.evaluate(() => window.bench.rawOffer());
      const answer = await receiver.evaluate((offer) => window.bench.rawAnswer(offer), withoutCandidates(offer));
      await sender.evaluate((answer) => window.bench.rawAccept(answer), await descriptionVia(path, answer));
      return {
        prepare: (turn) => receiver.evaluate((bytes) => window.bench.rawReceive(bytes), turn.bytes),
        run: (turn) => sender.evaluate((bytes) => window.bench.rawSend(bytes), turn.bytes),
        async close() {
          await sender.evaluate(() => window.bench.close());
          await receiver.evaluate(() => window.bench.close());
        },
      };
    },
  };
}
