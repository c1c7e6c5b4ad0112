/**
 * Connections made and dropped, half of them rudely: what do they leave behind? A batch that does not count warms the relay
 * up (its allocator, its pool of database connections); what the later ones add is growth for each connection.
 */
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { startBrowser, Tab } from '../browser.ts';
import { Metrics } from '../metrics.ts';
import { descriptors, memory, type Memory } from '../proc.ts';
import { seeded } from '../random.ts';
import { Relay } from '../relay.ts';
import { sleep, until } from '../wait.ts';
import { makeBlob } from './blob.ts';
import type { Log } from './log.ts';
import { Peers, type Blob } from './peers.ts';
import type { Report } from './report.ts';

export interface ChurnSize {
  /** Measured ones, each after one that warms up. */
  readonly batches: number;
  /** Processes of native peers in a batch; even, as half are killed. */
  readonly groups: number;
  readonly peers: number;
  /** Chromium tabs in a batch; even, as half crash. */
  readonly tabs: number;
}

/** Longer than everything a relay waits for after a peer's last word: 30 s of silence and 10 s for closing streams. */
const QUIET_MS = 45_000;

/** QUIET_MS and a busy machine. */
const SETTLED_LIMIT_MS = 120_000;

/** Groups that stand at once. */
const STANDING_GROUPS = 4;

/**
 * Bytes that a relay may grow by for each connection ever made. Nothing of a connection is kept but its node's row in the
 * database, a few hundred bytes on disk. The rest is for the allocator, which returns memory by pages and not at once: the
 * least that a leak of a connection's own state would be is its stream buffers, 64 KiB and more.
 */
const GROWTH_BOUND = 16 * 1024;

/** Growth that says nothing, however few the connections: one more of the allocator's arenas in use. */
const NOISE = 4 * 1024 * 1024;

export async function churn(size: ChurnSize, seed: number, report: Report, log: Log): Promise<void> {
  const relay = await Relay.start();
  const browser = await startBrowser();
  try {
    const random = seeded(seed);
    const blob = await makeBlob(relay, random, 20 * 1024 * 1024);
    const connections = size.groups * size.peers + size.tabs;
    await batch(relay, browser, size, blob, random, report, log);
    await settled(relay, null, report);
    const before = resources(relay);
    let last = before;
    for (let index = 1; index <= size.batches; index += 1) {
      await batch(relay, browser, size, blob, random, report, log);
      await settled(relay, before.descriptors, report);
      const now = resources(relay);
      const subject = `batch ${String(index)} of ${String(connections)} connections`;
      report.add('growth of anonymous memory', subject, (now.anonymous - last.anonymous) / connections, 'bytes per connection');
      report.add('resident memory', subject, now.resident / 1e6, 'MB', now.resident / before.resident);
      report.add('descriptors', subject, now.descriptors, 'open', now.descriptors / before.descriptors);
      last = now;
    }
    const made = connections * size.batches;
    const growth = (last.anonymous - before.anonymous) / made;
    report.add('growth of anonymous memory', `${String(made)} connections`, growth, 'bytes per connection');
    if (growth > Math.max(GROWTH_BOUND, NOISE / made)) report.fault(`${growth.toFixed(0)} bytes are left of each connection, allowed are ${String(GROWTH_BOUND)}`);
    const metrics = new Metrics(await relay.api.metrics());
    report.add('connections that the relay has seen', 'since its start', metrics.sum('connections_opened_total'), 'connections');
  } finally {
    await browser.close();
    await relay.dispose();
  }
}

/** Makes and drops as many connections of all kinds. */
async function batch(relay: Relay, browser: Browser, size: ChurnSize, blob: Blob, random: () => number, report: Report, log: Log): Promise<void> {
  const rude = halfOf(size.groups, random);
  const crashing = halfOf(size.tabs, random);
  const drops: (() => Promise<void>)[] = [];
  const standing: Record<string, number> = {};
  const dropOne = async (): Promise<void> => {
    const [drop] = drops.splice(Math.floor(random() * drops.length), 1);
    await drop?.();
  };
  const group = async (isRude: boolean): Promise<void> => {
    const seed = Math.floor(random() * 2 ** 31);
    const peers = await Peers.hold(relay, { seed, peers: size.peers, blob });
    for (const [what, number] of Object.entries(peers.standing())) standing[what] = (standing[what] ?? 0) + number;
    drops.push(async () => {
      // Before they are told to go: what breaks then is their own doing.
      for (const failure of peers.failed()) report.fault(`a peer failed: ${failure}`);
      await (isRude ? peers.kill() : peers.leave());
    });
  };
  const tab = async (crashes: boolean): Promise<void> => {
    const joined = await Tab.join(browser, relay.link);
    drops.push(() => (crashes ? crash(joined) : close(joined)));
  };
  const tabsAfter = Math.ceil(size.tabs / size.groups);
  for (const [index, isRude] of rude.entries()) {
    await group(isRude);
    for (const crashes of crashing.slice(index * tabsAfter, (index + 1) * tabsAfter)) await tab(crashes);
    while (drops.length > STANDING_GROUPS) await dropOne();
  }
  while (drops.length > 0) await dropOne();
  const kinds = Object.entries(standing).sort().map(([what, number]) => `${String(number)} ${what}`);
  log.say(`dropped ${String(size.tabs)} tabs and, half of each by killing: ${kinds.join('; ')}`);
}

/** The renderer dies, and with it everything that could say goodbye. */
async function crash(tab: Tab): Promise<void> {
  const crashed = tab.page.waitForEvent('crash');
  // It never arrives, of course.
  const going = tab.page.goto('chrome://crash').catch(() => undefined);
  await crashed;
  await Promise.all([going, tab.kill()]);
}

async function close(tab: Tab): Promise<void> {
  await tab.stop();
  await tab.kill();
}

/** Exactly half are true, in an order of the seed's. */
function halfOf(count: number, random: () => number): boolean[] {
  const order = Array.from({ length: count }, (_, index) => ({ isFirst: index < count / 2, at: random() }));
  return order.sort((a, b) => a.at - b.at).map(({ isFirst }) => isFirst);
}

interface Resources extends Memory {
  readonly descriptors: number;
}

function resources(relay: Relay): Resources {
  return { ...memory(relay.pid), descriptors: openBesideDatabase(relay) };
}

/** The database's pool opens what it needs at its first busy moment, up to a handful, and keeps it. */
function openBesideDatabase(relay: Relay): number {
  return descriptors(relay.pid, join(relay.dir, 'data/relay.sqlite'));
}

/** Waits until the relay has forgotten everybody, and has no more descriptors than `allowed`. */
async function settled(relay: Relay, allowed: number | null, report: Report): Promise<void> {
  await sleep(QUIET_MS);
  const look = async (): Promise<{ workers: number; connections: number; descriptors: number }> => {
    const metrics = new Metrics(await relay.api.metrics());
    return { workers: metrics.sum('workers'), connections: metrics.sum('connections'), descriptors: openBesideDatabase(relay) };
  };
  const isSettled = (seen: Awaited<ReturnType<typeof look>>): boolean =>
    seen.workers === 0 && seen.connections === 0 && (allowed === null || seen.descriptors <= allowed);
  const what = `no sessions, no connections, and ${allowed === null ? 'any number of' : `at most ${String(allowed)}`} descriptors`;
  try {
    await until(what, SETTLED_LIMIT_MS, look, isSettled);
  } catch (error) {
    report.fault(String(error));
  }
}
