/**
 * How fast the compute core is in a tab, beside what else a tab could use: `cargo xtask bench compute [--json FILE]
 * [--quick] [--only TEXT]`.
 *
 * Everything is measured in one run, in one worker of one browser, on one thread: first each subject does each workload
 * once, and its results are compared; then it is warmed up, until the browser has compiled what it will compile; then come
 * rounds in which the subjects take turns, so that a machine that slows down slows all of them. Medians count, and ratios
 * are those of turns of the same round. They are printed, nothing is asserted: they belong to the machine.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Page } from 'puppeteer-core';
import { seeded } from '../../random.ts';
import { Agreement } from './agreement.ts';
import { isOurs, name, SUBJECTS, type SubjectName, type Workload } from './browser/protocol.ts';
import { amount, WORKLOADS } from './browser/workloads.ts';
import { Chromium } from '../chromium.ts';
import { Report } from './report.ts';
import { Site } from './site.ts';
import { measureStarts } from './starts.ts';
import { folders } from './subjects.ts';

/** Odd, so that the median is a measurement, and enough for a 95 % interval of it that leaves out three at each end. */
const ROUNDS = 15;
const QUICK_ROUNDS = 2;

/** V8 recompiles what runs long; nothing changed after this on the machines we saw. */
const WARM_UP_SECONDS = 2;
const QUICK_WARM_UP_SECONDS = 0.2;

/** A turn lasts about this long, or one run: far above the clock's resolution of 0.1 ms. */
const TURN_SECONDS = 0.2;

/** A first run that takes longer has failed. */
const LIMIT_MS = 300_000;

const { values: flags } = parseArgs({
  options: {
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    /** Only workloads and subjects whose name contains one of these, separated by `|`; a subject's with `@` before it. */
    only: { type: 'string', default: '' },
  },
});

/** A subject that does a workload. */
interface Contestant {
  readonly subject: SubjectName;
  readonly workload: Workload;
  times: number;
}

function wanted(text: string): boolean {
  const parts = flags.only.split('|').filter((part) => part.startsWith('@') === text.startsWith('@') && part !== '');
  return parts.length === 0 || parts.some((part) => text.includes(part));
}

async function main(): Promise<number> {
  const started = performance.now();
  const say = (text: string): void => {
    process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(5)} s  ${text}\n`);
  };
  const site = await Site.start(folders(variable('SHOAL_BENCH_TAB'), variable('SHOAL_BENCH_TAB_RELAXED'), process.env['SHOAL_BENCH_PEERS']));
  const browser = await Chromium.start({
    origin: site.origin,
    ready: 'computeBench',
    // The bench collects garbage between turns, which V8 would take for a sign that code of earlier turns is not needed.
    flags: ['--js-flags=--expose-gc --no-flush-bytecode'],
    // A first run of 1024³ in the slowest subject is a call of many seconds.
    callLimitMs: 0,
  });
  const report = new Report();
  const page = await browser.page();

  const workloads = WORKLOADS.filter((workload) => wanted(name(workload)));
  const subjects = SUBJECTS.filter((subject) => wanted(`@${subject}`) && isHere(subject, site, report));
  const contestants: Contestant[] = [];
  for (const workload of workloads) contestants.push(...(await prepare(page, workload, subjects, report, say)));

  const rounds = flags.quick ? QUICK_ROUNDS : ROUNDS;
  const failed = new Set<Contestant>();
  const random = seeded(1);
  for (let round = 0; round < rounds; round += 1) {
    for (const workload of workloads) {
      const turns = contestants.filter((contestant) => contestant.workload === workload && !failed.has(contestant));
      for (const contestant of shuffled(turns, random)) {
        try {
          const seconds = await turn(page, contestant);
          const { value, unit } = amount(workload);
          report.add(name(workload), contestant.subject, round, (value * contestant.times) / seconds, unit);
        } catch (error) {
          failed.add(contestant);
          report.fail(name(workload), contestant.subject, error);
        }
      }
    }
    say(`round ${String(round + 1)} of ${String(rounds)}`);
  }
  if (wanted('start')) await measureStarts(browser, site, subjects, rounds, report, say);

  report.print();
  console.log(`${await browser.version()}, ${String(rounds)} rounds, ${((performance.now() - started) / 1000).toFixed(0)} s`);
  if (flags.json !== undefined) await writeFile(flags.json, report.json());
  await browser.stop();
  site.stop();
  return report.hasFailed ? 1 : 0;
}

/** In another order in each round, so that nobody always follows the same one. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const made: T[] = [];
  for (const item of items) {
    const at = Math.floor(random() * (made.length + 1));
    made.splice(at, 0, item);
  }
  return made;
}

function variable(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run \`cargo xtask bench compute\``);
  return value;
}

/** A peer that could not be built is left out, and the report says so. */
function isHere(subject: SubjectName, site: Site, report: Report): boolean {
  if (subject !== 'burn' || site.has('burn')) return true;
  report.fail('everything', subject, 'its module was not built');
  return false;
}

/** Those who do the workload, warm, with as many runs as make a turn. */
async function prepare(
  page: Page,
  workload: Workload,
  subjects: readonly SubjectName[],
  report: Report,
  say: (text: string) => void,
): Promise<Contestant[]> {
  const agreement = new Agreement(workload);
  const able: Contestant[] = [];
  // Ours come last, so that what they are compared with is another's.
  const order = [...subjects].sort((a, b) => Number(isOurs(a)) - Number(isOurs(b)));
  for (const subject of order) {
    const about = `${name(workload)}, ${subject}`;
    try {
      const result = await limited(page.evaluate((subject, workload) => window.computeBench?.prepare(subject, workload) ?? null, subject, workload));
      if (result === null) continue;
      const words = workload.kind === 'limit' ? '' : agreement.check(subject, floats(result));
      const contestant = { subject, workload, times: 1 };
      await warmUp(page, contestant);
      able.push(contestant);
      say(`${about}: ${words}; ${String(contestant.times)} runs a turn`);
    } catch (error) {
      report.fail(name(workload), subject, error);
      say(`${about}: ${String(error)}`);
    }
  }
  return able;
}

async function warmUp(page: Page, contestant: Contestant): Promise<void> {
  let left = flags.quick ? QUICK_WARM_UP_SECONDS : WARM_UP_SECONDS;
  let runs = 0;
  while (left > 0 || runs < 2) {
    const seconds = await turn(page, contestant);
    left -= seconds;
    runs += 1;
    contestant.times = Math.max(1, Math.round((TURN_SECONDS * contestant.times) / Math.max(seconds, TURN_SECONDS / 50)));
  }
}

function turn(page: Page, { subject, workload, times }: Contestant): Promise<number> {
  return limited(page.evaluate((subject, workload, times) => window.computeBench?.turn(subject, workload, times) ?? 0, subject, workload, times));
}

function floats(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64');
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

async function limited<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing for ${String(LIMIT_MS / 1000)} s`)), LIMIT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

process.exitCode = await main();
