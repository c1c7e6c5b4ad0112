/**
 * The main job, shown: a relay with a local chain, real tabs and a native worker train the digits; the result is
 * evaluated by an independent script; rewards are claimed and read back from the chain. Ends with an error if anything
 * of it is not as it must be.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Api, ChainInfo, JobStatus } from '../api.ts';
import { tokenBalance, BASE_UNITS_PER_OPERATION } from '../chain.ts';
import { shoal } from '../cli.ts';
import { heldOutAccuracy } from '../evaluation.ts';
import { Swarm } from '../swarm.ts';
import { until } from '../wait.ts';
import { ProgressLine } from './progress.ts';
import { complaints, json, table, type Findings, type PaidWorker } from './report.ts';

/** Short, so that nobody waits for a payment. */
const EPOCH_SECONDS = 2;

const CHAIN_LIMIT_MS = 60_000;
const JOB_LIMIT_MS = 10 * 60_000;

const { values: flags } = parseArgs({ options: { json: { type: 'string' }, keep: { type: 'boolean', default: false } } });

const address = (): string => `0x${randomBytes(20).toString('hex')}`;

function say(text: string): void {
  console.log(`• ${text}`);
}

async function main(): Promise<number> {
  await using swarm = await Swarm.start({ rewards: true, epochSeconds: EPOCH_SECONDS });
  const { api } = swarm;
  say(`the relay listens at ${swarm.relay.url}`);
  const chain = await until('the relay has a chain', CHAIN_LIMIT_MS, async () => (await api.join()).chain ?? null, (found) => found !== null);
  if (chain === null) throw new Error('unreachable: the wait demands a chain');
  say(`rewards are recorded on chain ${chain.chain_id} at ${chain.rpc_url}`);

  const tabs = await Promise.all([
    swarm.tab({ payout: address(), useGpu: true }),
    swarm.tab({ payout: address() }),
    swarm.tab({ payout: address() }),
  ]);
  swarm.native({ payout: address() });
  await swarm.workers(tabs.length + 1);
  say(`${tabs.length} Chromium tabs have pressed Start, and a native worker has joined`);

  const started = performance.now();
  const job = await submit(swarm.relay.url);
  say(`job ${job.slice(0, 8)} is submitted: a convolutional net on handwritten digits`);
  const status = await watch(api, job);
  const wallSeconds = (performance.now() - started) / 1000;
  if (status.state !== 'finished') throw new Error(`the job is ${status.state}: ${status.failure ?? 'no reason given'}`);

  const model = join(swarm.relay.dir, 'model.safetensors');
  await shoal('job', 'fetch', job, '--output', model, '--relay-url', swarm.relay.url);
  const accuracy = await heldOutAccuracy(model);
  say('the written model was evaluated by tests/eval/evaluate.py, which shares no code with us');
  const receipts = await api.receipts(job);
  const receiptsTotalOps = receipts.reduce((sum, { reference_ops }) => sum + reference_ops, 0);
  const workers = await claimAll(swarm.relay.url, api, chain, status, receiptsTotalOps);
  say('rewards were claimed, and the amounts below are read from the token contract');

  const findings: Findings = { status, accuracy, wallSeconds, receiptsTotalOps, workers };
  console.log(`${table(findings)}\n`);
  if (flags.json !== undefined) await writeFile(flags.json, json(findings));
  const wrong = complaints(findings);
  for (const complaint of wrong) console.error(`✗ ${complaint}`);
  if (wrong.length === 0) say('everything is as it must be');
  if (flags.keep) await keep(swarm);
  return wrong.length === 0 ? 0 : 1;
}

async function submit(url: string): Promise<string> {
  const [created] = await shoal('job', 'submit', 'examples/digits/job.toml', '--relay-url', url);
  const id = created?.['job'];
  if (typeof id !== 'string') throw new Error(`shoal job submit printed ${JSON.stringify(created)}`);
  return id;
}

async function watch(api: Api, job: string): Promise<JobStatus> {
  const line = new ProgressLine();
  const status = await until('the job ends', JOB_LIMIT_MS, async () => {
    const seen = await api.job(job);
    line.show(seen);
    return seen;
  }, ({ state }) => state !== 'running');
  line.end();
  return status;
}

/** Waits until the newest epoch on chain covers every receipt, claims for everybody, and reads what arrived. */
async function claimAll(
  url: string,
  api: Api,
  chain: ChainInfo,
  status: JobStatus,
  totalOps: number,
): Promise<readonly PaidWorker[]> {
  const owed = BigInt(totalOps) * BASE_UNITS_PER_OPERATION;
  await until(
    'an epoch on chain covers every receipt',
    CHAIN_LIMIT_MS,
    async () => (await api.rewards()).claims.reduce((sum, { cumulative }) => sum + BigInt(cumulative), 0n).toString(),
    (claimable) => BigInt(claimable) === owed,
  );
  const paid: PaidWorker[] = [];
  for (const row of status.workers) {
    const payout = row.payout_address;
    if (payout === undefined) throw new Error(`${row.node} has no payout address`);
    await shoal('rewards', 'claim', '--relay-url', url, '--payout', payout, '--dev-key');
    paid.push({ row, paid: await tokenBalance(chain, payout) });
  }
  return paid;
}

/** Leaves everything running until the user ends it. */
async function keep(swarm: Swarm): Promise<void> {
  say(`everything keeps running; open ${swarm.relay.link} in a tab, see ${swarm.relay.url}/#jobs, end with Ctrl-C`);
  await new Promise<void>((resolve) => {
    process.removeAllListeners('SIGINT');
    process.once('SIGINT', () => resolve());
  });
}

process.exitCode = await main();
