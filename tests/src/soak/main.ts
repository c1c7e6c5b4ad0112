/**
 * The soak of the transport: does a relay survive many peers, and does it leave nothing behind? `cargo xtask soak [--json
 * FILE] [--seed N] [--quick]`, Linux only, because memory, descriptors and processor time are read from /proc. docs/soak.md
 * says what it does; it fails when something was left behind or a peer failed. Rates are printed, not judged.
 */
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { ROOT } from '../environment.ts';
import { broadcast } from './broadcast.ts';
import { churn, type ChurnSize } from './churn.ts';
import { Log } from './log.ts';
import { Report, type Provenance } from './report.ts';
import { slow } from './slow.ts';

/** 1,000 measured connections. */
const CHURN: ChurnSize = { batches: 4, groups: 10, peers: 24, tabs: 10 };
const QUICK_CHURN: ChurnSize = { batches: 4, groups: 2, peers: 12, tabs: 2 };

const PEERS = 200;
const QUICK_PEERS = 20;

const { values: flags } = parseArgs({
  options: {
    json: { type: 'string' },
    seed: { type: 'string' },
    quick: { type: 'boolean', default: false },
    /** Only parts whose name contains this: churn, slow, broadcast. */
    only: { type: 'string', default: '' },
  },
});

async function main(): Promise<number> {
  const log = new Log(process.env['SHOAL_SOAK_LOG'] ?? null);
  const report = new Report(log);
  const provenance = { seed: seedOf(flags.seed), ...tree(), quick: flags.quick };
  log.say(words(provenance));
  const peers = flags.quick ? QUICK_PEERS : PEERS;
  const parts = {
    churn: () => churn(flags.quick ? QUICK_CHURN : CHURN, provenance.seed, report, log),
    slow: () => slow(peers, provenance.seed, report, log),
    broadcast: () => broadcast(peers, provenance.seed, report, log),
  };
  for (const [name, part] of Object.entries(parts).filter(([name]) => name.includes(flags.only))) {
    log.say(`part ${name}`);
    try {
      await part();
    } catch (error) {
      report.fault(`part ${name} ended: ${String(error)}`);
    }
  }
  if (flags.json !== undefined) await writeFile(flags.json, report.json(provenance));
  const verdict = report.faults.length === 0 ? 'nothing was left behind' : `${String(report.faults.length)} faults`;
  log.say(`${verdict}; ${words(provenance)}`);
  return report.faults.length === 0 ? 0 : 1;
}

function seedOf(text: string | undefined): number {
  const seed = text === undefined ? randomInt(1, 2 ** 31) : Number(text);
  if (!Number.isInteger(seed) || seed < 1) throw new Error(`--seed ${String(text)} is not a whole number above zero`);
  return seed;
}

function tree(): { commit: string; dirty: boolean } {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
  return { commit: git('rev-parse', 'HEAD'), dirty: git('status', '--porcelain', '--untracked-files=no') !== '' };
}

function words({ seed, commit, dirty, quick }: Provenance): string {
  return `seed ${String(seed)}, commit ${commit}${dirty ? ' and changes' : ''}${quick ? ', quick' : ''}`;
}

process.exitCode = await main();
