/**
 * Many peers at once, some of them slow: what do the others lose? Rounds without and with the slow ones take turns, so that a
 * machine that slows down slows both. Everybody fetches one blob and then, while others are still being served, a small one.
 */
import { Metrics } from '../metrics.ts';
import { seeded } from '../random.ts';
import { Relay } from '../relay.ts';
import { median, quantile } from '../statistics.ts';
import { until } from '../wait.ts';
import { makeBlob } from './blob.ts';
import type { Log } from './log.ts';
import { Peers, type Blob, type Fetched } from './peers.ts';
import type { Report } from './report.ts';

/** Ways to be slow: grants no credit, grants much and reads nothing, reads 4 KiB/s. */
const SLOW = ['no-credit', 'deaf', 'trickle'] as const;

/** Slow peers of each way. */
const SLOW_EACH = 2;

const BLOB_LENGTH = 2 * 1024 * 1024;

/** One group: its time is that of a message, not of a transfer. */
const SMALL_LENGTH = 16 * 1024;

/** Of each kind; odd, so that the median is a measurement, and enough for the tails. A round takes a few seconds. */
const ROUNDS = 7;

/** Polite peers are gone at once. */
const GONE_LIMIT_MS = 60_000;

export async function slow(peers: number, seed: number, report: Report, log: Log): Promise<void> {
  const relay = await Relay.start();
  try {
    const random = seeded(seed);
    const [blob, small, long] = [await makeBlob(relay, random, BLOB_LENGTH), await makeBlob(relay, random, SMALL_LENGTH), await makeBlob(relay, random, 10 * BLOB_LENGTH)];
    const others = peers - SLOW.length * SLOW_EACH;
    const crowd = await Peers.crowd(relay, { seed, peers: others });
    log.say(`${String(others)} peers are there`);
    // Nobody counts the first: connections begin slowly.
    await crowd.fetch(blob, small);
    const without: Fetched[] = [];
    const withSlow: Fetched[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      without.push(await crowd.fetch(blob, small));
      const readers = await slowReaders(relay, seed + round, long);
      withSlow.push(await crowd.fetch(blob, small));
      await dismiss(relay, readers, others, report);
    }
    for (const failure of crowd.failed()) report.fault(`a peer failed: ${failure}`);
    compare(without, withSlow, report);
    await crowd.leave();
  } finally {
    await relay.dispose();
  }
}

async function slowReaders(relay: Relay, seed: number, blob: Blob): Promise<Peers[]> {
  return Promise.all(SLOW.map((act, index) => Peers.hold(relay, { seed: seed * SLOW.length + index, peers: SLOW_EACH, act, blob })));
}

async function dismiss(relay: Relay, readers: readonly Peers[], others: number, report: Report): Promise<void> {
  for (const failure of readers.flatMap((peers) => peers.failed())) report.fault(`a slow peer failed: ${failure}`);
  await Promise.all(readers.map((peers) => peers.leave()));
  const workers = async (): Promise<number> => new Metrics(await relay.api.metrics()).sum('workers');
  await until('the slow ones are gone', GONE_LIMIT_MS, workers, (count) => count <= others);
}

function compare(without: readonly Fetched[], withSlow: readonly Fetched[], report: Report): void {
  const of = (rounds: readonly Fetched[], figure: (round: Fetched) => number): number => median(rounds.map(figure));
  const add = (name: string, unit: string, figure: (round: Fetched) => number): void => {
    const before = of(without, figure);
    report.add(name, 'without slow readers', before, unit);
    report.add(name, 'with slow readers', of(withSlow, figure), unit, of(withSlow, figure) / before);
  };
  add('rate of all others together', 'MB/s', ({ seconds, wall_s }) => (seconds.length * BLOB_LENGTH) / 1e6 / wall_s);
  add('a blob of 2 MiB, median', 's', ({ seconds }) => median(seconds));
  add('a blob of 2 MiB, 95 of 100', 's', ({ seconds }) => quantile(seconds, 0.95));
  add('a blob of 16 KiB under load, median', 's', ({ small_seconds }) => median(small_seconds));
  add('a blob of 16 KiB under load, 95 of 100', 's', ({ small_seconds }) => quantile(small_seconds, 0.95));
}
