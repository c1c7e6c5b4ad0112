/**
 * How training scales with workers, and at which model sizes it pays: `cargo xtask scale [--json FILE] [--quick]`, Linux
 * only, because processes are pinned with taskset.
 *
 * Relay and workers get a core each. A worker computes a fixed share of the time, so that it stands for a device of which
 * several fit on the one core, and is single-threaded. Models of rising size are trained on the digits by one, two and four
 * of them, each on a wire of its own: a plain loopback connection, or a home line of 20 Mbit/s down, 5 Mbit/s up and 80 ms
 * of round trip (`crates/netem`). What counts is the time of a round after the first, in which data are fetched. A swarm
 * pays off while it is faster than one such worker without a line. Nothing is asserted.
 */
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { digitsJob, TRAINING, type Layer } from '../digits.ts';
import { Swarm } from '../swarm.ts';
import { until } from '../wait.ts';
import { HomeLines } from './lines.ts';
import { pin } from './pin.ts';
import { breakEven, print, rows, type Run } from './report.ts';

const WORKERS = [1, 2, 4] as const;

/** Of the time: four workers leave some of their core. */
const SHARE = 0.2;

const RELAY_CORE = 0;
const WORKER_CORE = 1;

/** Divisible by every number of workers. */
const UNITS_PER_ROUND = 8;
const ROUNDS = 3;
/** Steps of 16 samples that a unit takes. */
const LOCAL_STEPS = 240;

/** A model of a few megabytes takes a minute a round over one line. */
const LIMIT_MS = 600_000;

/** 64 inputs, one hidden layer, 10 classes. */
function dense(hidden: number): Model {
  const layers: Layer[] = [{ op: 'flatten' }, { op: 'dense', units: hidden }, { op: 'relu' }, { op: 'dense', units: 10 }];
  return { name: `64-${String(hidden)}-10`, layers, parameters: 65 * hidden + 10 * (hidden + 1) };
}

interface Model {
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly parameters: number;
}

const MODELS: readonly Model[] = [dense(64), dense(256), dense(1024), dense(4096)];
const QUICK_MODELS: readonly Model[] = [dense(64), dense(1024)];

const { values: flags } = parseArgs({
  options: { json: { type: 'string' }, quick: { type: 'boolean', default: false } },
});

async function main(): Promise<void> {
  if (availableParallelism() < 2) throw new Error('relay and workers need a core each, and this machine has one');
  const runs: Run[] = [];
  for (const { name, layers, parameters } of flags.quick ? QUICK_MODELS : MODELS) {
    for (const line of ['none', 'home'] as const) {
      for (const workers of WORKERS) {
        const seconds = await round(layers, line, workers);
        runs.push({ model: name, bytes: 4 * parameters, line, workers, seconds });
        console.error(`${name}, line ${line}, ${String(workers)} workers: ${seconds.toFixed(2)} s a round`);
      }
    }
  }
  print(runs);
  const limit = breakEven(runs, Math.max(...WORKERS));
  const where = limit === null ? 'on one side of 1 at all sizes' : `faster ${limit.paysOff} ${(limit.bytes / 1e6).toFixed(2)} MB of parameters`;
  console.log(`four workers behind home lines, to one without a line: ${where}`);
  if (flags.json !== undefined) await writeFile(flags.json, `${JSON.stringify(rows(runs, limit), null, 2)}\n`);
}

/** Seconds of a round, without the first. */
async function round(layers: readonly Layer[], line: Run['line'], workers: number): Promise<number> {
  await using swarm = await Swarm.start({ webRtc: false, ws: false, quic: false });
  pin(swarm.relay.pid, RELAY_CORE);
  using lines = line === 'none' ? null : await HomeLines.open(swarm.relay, workers);
  for (let index = 0; index < workers; index += 1) {
    const options = lines === null ? {} : { address: lines.address(index) };
    pin(swarm.native({ ...options, args: ['--share', String(SHARE)] }).pid, WORKER_CORE);
  }
  await swarm.workers(workers);
  const training = { ...TRAINING, rounds: ROUNDS, units_per_round: UNITS_PER_ROUND, gradient_units_per_round: 0, local_steps: LOCAL_STEPS };
  const id = await swarm.api.submit(await digitsJob(swarm.api, training, {}, 1, { input: [1, 8, 8], layers }));
  const ends: number[] = [];
  const { state, failure } = await until(`the job of ${String(workers)} workers ends`, LIMIT_MS, () => swarm.api.job(id), (job) => {
    while (ends.length < job.rounds_done) ends.push(performance.now());
    return job.state !== 'running';
  });
  const [first, last] = [ends[0], ends.at(-1)];
  if (state !== 'finished' || first === undefined || last === undefined) throw new Error(`the job is ${state}: ${failure ?? ''}`);
  return (last - first) / 1000 / (ROUNDS - 1);
}

await main();
