/** The figures of a run: gathered, related to each other, printed. */
import { median } from '../../statistics.ts';
import type { Turn } from './browser/protocol.ts';

/** What the ratios are to be at least. Printed, not asserted: they belong to the machine. */
export const GOAL = 0.8;

const MB = 1_000_000;

/** All rounds of one turn of one subject on one path. */
export interface Row {
  readonly path: string;
  readonly subject: string;
  readonly against: string | null;
  readonly turn: Turn;
  /** Megabytes a second, one a round. */
  readonly rates: number[];
  /** Milliseconds of the other end's processor time for each megabyte, one a round; none where a tab is the other end. */
  readonly cpu: number[];
}

export class Report {
  readonly #rows = new Map<string, Row>();

  add(path: string, subject: { readonly name: string; readonly against: string | null }, turn: Turn, seconds: number, cpuMs: number | null): void {
    const key = JSON.stringify([path, subject.name, turn]);
    const row = this.#rows.get(key) ?? { path, subject: subject.name, against: subject.against, turn, rates: [], cpu: [] };
    this.#rows.set(key, row);
    const megabytes = (turn.bytes * turn.streams) / MB;
    row.rates.push(megabytes / seconds);
    if (cpuMs !== null) row.cpu.push(cpuMs / megabytes);
  }

  print(): void {
    for (const row of this.#sorted()) {
      const rate = median(row.rates);
      const spread = `${Math.min(...row.rates).toFixed(2)}–${Math.max(...row.rates).toFixed(2)}`;
      const cpu = row.cpu.length > 0 ? `${median(row.cpu).toFixed(1)} ms/MB` : '';
      const ratio = this.#ratio(row);
      const compared = ratio === null ? '' : `${ratio.toFixed(2)} of ${String(row.against)}`;
      console.log(
        `${name(row).padEnd(36)} ${row.subject.padEnd(26)} ${rate.toFixed(2).padStart(8)} MB/s ${spread.padStart(15)} ${cpu.padStart(12)}  ${compared}`,
      );
    }
  }

  /** In the form of the other benches. */
  json(): string {
    const lines = this.#sorted().flatMap((row) => {
      const about = { name: name(row), subject: row.subject };
      const rate = { ...about, value: median(row.rates), unit: 'MB/s', ratio: this.#ratio(row), peer: row.against };
      const cpu = { ...about, value: median(row.cpu), unit: 'relay CPU ms/MB', ratio: null, peer: null };
      return row.cpu.length > 0 ? [rate, cpu] : [rate];
    });
    return `${JSON.stringify(lines, null, 2)}\n`;
  }

  /** Rows of one path together, in the order they were first measured in. */
  #sorted(): Row[] {
    const rows = [...this.#rows.values()];
    const paths = [...new Set(rows.map((row) => row.path))];
    return paths.flatMap((path) => rows.filter((row) => row.path === path));
  }

  /** To the other subject on the same path, the same way where it has two. */
  #ratio(row: Row): number | null {
    const others = [...this.#rows.values()].filter((other) => other.path === row.path && other.subject === row.against);
    const other = others.find((other) => other.turn.direction === row.turn.direction) ?? others[0];
    return other === undefined ? null : median(row.rates) / median(other.rates);
  }
}

function name({ path, turn }: Row): string {
  return `${path}, ${turn.direction}, ${String(turn.streams)} stream${turn.streams === 1 ? '' : 's'}`;
}
