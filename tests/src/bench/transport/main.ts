/**
 * How fast the transport is, beside what else a tab could use: `cargo xtask bench transport [--json FILE] [--quick]`. Linux
 * only, because processor time is read from /proc.
 *
 * Everything is measured in one run and one browser: rounds in which each subject takes its turns on a connection of its
 * own, so that a machine that slows down slows all of them, and the median over the rounds. Blobs of ours are made before the
 * clock starts; they are verified while it runs, as users' are. Ratios are printed, nothing is asserted: they belong to the
 * machine.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Turn } from './browser/protocol.ts';
import { Chromium } from '../chromium.ts';
import { DIRECT, ProxiedPath, type Path } from './path.ts';
import { Peer } from './peer.ts';
import { GOAL, Report } from './report.ts';
import { Site } from './site.ts';
import { RAW, tabAndPeer, tabAndTab, turns, WEBSOCKET, type Subject } from './subjects.ts';

/** Odd, so that the median is a measurement. */
const ROUNDS = 5;
const QUICK_ROUNDS = 1;

/** How much less a turn carries then. */
const QUICK_SHARE = 2;

/** A turn that takes longer has failed: ten times what the slowest takes on a busy machine. */
const TURN_LIMIT_MS = 120_000;

const { values: flags } = parseArgs({
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    /** Only paths whose name contains this. */
    path: { type: 'string', default: '' },
    /** Only subjects whose name contains this, to look at one of them more closely. */
    only: { type: 'string', default: '' },
  },
});

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run \`cargo xtask bench transport\``);
  return value;
}

async function main(): Promise<number> {
  const program = variable('SHOAL_BENCH_PROGRAM');
  const site = await Site.start(variable('SHOAL_BENCH_TAB'));
  const relay = new Peer(program, ['relay']);
  const websocket = new Peer(program, ['websocket']);
  const libp2p = new Peer(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'libp2p-listener.ts')]);
  const proxied = [ProxiedPath.home(program), ProxiedPath.long(program)];
  const browser = await Chromium.start({ origin: site.origin, ready: 'bench' });
  const [page, other] = [await browser.page(), await browser.page()];
  const [webrtc, fallback] = await ofKinds(relay);
  const addresses = { webrtc, fallback, websocket: await websocket.address(), libp2p: await libp2p.address() };

  const subjects = (path: Path): Subject[] => {
    const bytes = path.turnBytes / (flags.quick ? QUICK_SHARE : 1);
    const warmUp = turns(path.warmUpBytes, [1]);
    const single = { turns: turns(bytes, [1]), warmUp };
    const several = { turns: turns(bytes, path.streams), warmUp };
    return [
      tabAndTab(page, other, bytes, path.warmUpBytes),
      tabAndPeer(page, 'shoal', relay, addresses.webrtc, { name: 'shoal WebRTC', against: RAW, ...several }),
      tabAndPeer(page, 'websocket', websocket, addresses.websocket, { name: WEBSOCKET, against: null, ...single }),
      tabAndPeer(page, 'shoal', relay, addresses.fallback, { name: 'shoal fallback', against: WEBSOCKET, ...several }),
      tabAndPeer(page, 'libp2p', libp2p, addresses.libp2p, { name: 'js-libp2p', against: RAW, ...single }),
      tabAndPeer(page, 'libp2p', relay, addresses.webrtc, { name: 'js-libp2p to shoal', against: RAW, ...single }),
    ];
  };

  const started = performance.now();
  const report = new Report();
  const failures: string[] = [];
  const rounds = flags.quick ? QUICK_ROUNDS : ROUNDS;
  const paths: readonly Path[] = [DIRECT, ...proxied];
  for (const path of paths.filter(({ name }) => name.includes(flags.path))) {
    const measured = subjects(path).filter(({ name }) => name.includes(flags.only));
    for (let round = 0; round < rounds; round += 1) {
      for (const subject of measured) {
        try {
          await measure(path, subject, report);
        } catch (error) {
          failures.push(`${path.name}, ${subject.name}: ${String(error)}`);
          await Promise.all([page, other].map((page) => page.evaluate(() => window.bench.close())));
        }
      }
      process.stderr.write(`${path.name}: round ${String(round + 1)} of ${String(rounds)} done after ${((performance.now() - started) / 1000).toFixed(0)} s\n`);
    }
  }
  report.print();
  console.log(`goals: ${String(GOAL)} of ${RAW} for ours, ${String(GOAL)} of ${WEBSOCKET} for our fallback`);
  for (const failure of failures) console.log(`failed: ${failure}`);
  if (flags.json !== undefined) await writeFile(flags.json, report.json());

  await browser.stop();
  site.stop();
  await Promise.all([relay, websocket, libp2p, ...proxied].map((peer) => peer.stop()));
  return failures.length === 0 ? 0 : 1;
}

/** The relay's two addresses; it says first what listens first. */
async function ofKinds(relay: Peer): Promise<[webrtc: string, fallback: string]> {
  const both = [await relay.address(), await relay.address()];
  const found = (part: string): string => {
    const address = both.find((address) => address.includes(part));
    if (address === undefined) throw new Error(`the relay has no address with ${part}: ${both.join(', ')}`);
    return address;
  };
  return [found('/webrtc-direct'), found('/ws')];
}

async function measure(path: Path, subject: Subject, report: Report): Promise<void> {
  const opened = await limited('opening', subject.open(path));
  for (const turn of subject.warmUp) {
    await limited('warming up', opened.prepare(turn));
    await limited('warming up', opened.run(turn));
  }
  for (const turn of subject.turns) {
    await limited(words(turn), opened.prepare(turn));
    const before = subject.peer?.cpuMs() ?? null;
    const seconds = await limited(words(turn), opened.run(turn));
    const after = subject.peer?.cpuMs() ?? null;
    report.add(path.name, subject, turn, seconds, before === null || after === null ? null : after - before);
  }
  await opened.close();
}

function words(turn: Turn): string {
  return `${turn.direction}, ${String(turn.streams)} streams`;
}

async function limited<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing for ${String(TURN_LIMIT_MS / 1000)} s`)), TURN_LIMIT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

process.exitCode = await main();
