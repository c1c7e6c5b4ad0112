/** What the demo found, what must hold of it, and how it is printed. */
import type { JobStatus, WorkerRow } from '../api.ts';
import { BASE_UNITS_PER_OPERATION, formatTokens } from '../chain.ts';

/** The least accuracy of the example on held-out digits, and the least part of the units for everybody. */
export const LEAST_ACCURACY = 0.96;
export const LEAST_SHARE = 0.1;

export interface PaidWorker {
  readonly row: WorkerRow;
  /** Base units read from the chain. */
  readonly paid: bigint;
}

export interface Findings {
  readonly status: JobStatus;
  readonly accuracy: number;
  readonly wallSeconds: number;
  readonly receiptsTotalOps: number;
  readonly workers: readonly PaidWorker[];
}

/** What is wrong, in sentences; nothing if all is as it must be. */
export function complaints({ status, accuracy, receiptsTotalOps, workers }: Findings): string[] {
  const found: string[] = [];
  if (!(accuracy >= LEAST_ACCURACY)) found.push(`the held-out accuracy is ${accuracy}, below ${LEAST_ACCURACY}`);
  const units = status.rounds * status.units_per_round;
  const tabs = workers.filter(({ row }) => row.kind === 'browser');
  if (tabs.length < 3) found.push(`only ${tabs.length} tabs took part`);
  if (!workers.some(({ row }) => row.kind === 'native')) found.push('no native worker took part');
  if (!workers.some(({ row }) => row.backend === 'webgpu' && row.gpu_dispatches > 0)) found.push('no GPU was used');
  for (const { row, paid } of workers) {
    const name = row.node.slice(0, 8);
    if (row.accepted_units < units * LEAST_SHARE) found.push(`${name} did ${row.accepted_units} of ${units} units`);
    const earned = BigInt(row.verified_ops) * BASE_UNITS_PER_OPERATION;
    if (paid !== earned) found.push(`${name} earned ${formatTokens(earned)} and was paid ${formatTokens(paid)}`);
  }
  const verified = workers.reduce((sum, { row }) => sum + row.verified_ops, 0);
  if (verified !== receiptsTotalOps) found.push(`workers have ${verified} operations, receipts ${receiptsTotalOps}`);
  return found;
}

export function table({ status, accuracy, wallSeconds, workers }: Findings): string {
  const header = ['worker', 'kind', 'backend', 'verified ops', 'accepted', 'rejected', 'paid'];
  const rows = workers.map(({ row, paid }) => [
    row.node.slice(0, 8),
    row.kind,
    row.backend,
    row.verified_ops.toLocaleString('en'),
    String(row.accepted_units),
    String(row.rejected_units),
    formatTokens(paid),
  ]);
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i < 3 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  const gpus = workers
    .filter(({ row }) => row.backend === 'webgpu')
    .map(({ row }) => `  WebGPU of ${row.node.slice(0, 8)}: ${row.adapter}, ${row.gpu_dispatches} dispatches`);
  const overhead = status.validation_overhead;
  return [
    '',
    line(header),
    line(widths.map((width) => '-'.repeat(width))),
    ...rows.map(line),
    '',
    ...gpus,
    `  held-out accuracy: ${(accuracy * 100).toFixed(2)} % after ${status.rounds} rounds in ${wallSeconds.toFixed(1)} s`,
    `  checking took ${overhead === undefined ? 'no' : overhead.toFixed(2)} times the native time of the work`,
  ].join('\n');
}

/** Marks an integer above 2^53, which `JSON.stringify` cannot write as the JSON number that it is. */
const BIG = /"int:(\d+)"/g;

/** The report as `--json` writes it. Amounts are whole base units. */
export function json({ status, accuracy, wallSeconds, receiptsTotalOps, workers }: Findings): string {
  const report = {
    held_out_accuracy: accuracy,
    wall_s: wallSeconds,
    rounds: status.rounds,
    receipts_total_ops: receiptsTotalOps,
    chain_paid_total: `int:${workers.reduce((sum, { paid }) => sum + paid, 0n)}`,
    validation_overhead: status.validation_overhead ?? null,
    workers: workers.map(({ row, paid }) => ({
      kind: row.kind,
      backend: row.backend,
      adapter: row.adapter,
      gpu_dispatches: row.gpu_dispatches,
      verified_ops: row.verified_ops,
      accepted_units: row.accepted_units,
      rejected_units: row.rejected_units,
      paid: `int:${paid}`,
    })),
  };
  return `${JSON.stringify(report, null, 2).replace(BIG, '$1')}\n`;
}
