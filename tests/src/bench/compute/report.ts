/** The figures of a run: gathered, related to each other round by round, printed. */
import { median, medianInterval } from '../../statistics.ts';
import { isOurs } from './browser/protocol.ts';

/** What a product is held against besides its peers. */
function limit({ unit, subject }: Row): string | null {
  if (unit === 'GOP/s') return 'limit dot_i16x8';
  if (unit !== 'GFLOP/s') return null;
  return subject === 'shoal relaxed' ? 'limit relaxed FMA' : 'limit mul+add';
}

interface Row {
  readonly name: string;
  readonly subject: string;
  readonly unit: string;
  /** By round; a round in which it failed is missing. */
  readonly values: Map<number, number>;
}

interface Ratio {
  readonly peer: string;
  readonly ratio: number;
  /** That holds the median with 95 %; null for too few rounds. */
  readonly interval: readonly [number, number] | null;
}

export class Report {
  readonly #rows: Row[] = [];
  /** The first of each subject at each workload. */
  readonly #failures: { readonly name: string; readonly subject: string; readonly error: string }[] = [];

  add(name: string, subject: string, round: number, value: number, unit: string): void {
    let row = this.#rows.find((row) => row.name === name && row.subject === subject);
    if (row === undefined) {
      row = { name, subject, unit, values: new Map() };
      this.#rows.push(row);
    }
    row.values.set(round, value);
  }

  fail(name: string, subject: string, error: unknown): void {
    if (this.#failures.some((failure) => failure.name === name && failure.subject === subject)) return;
    const [message = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    this.#failures.push({ name, subject, error: message });
  }

  get hasFailed(): boolean {
    return this.#failures.length > 0;
  }

  print(): void {
    for (const row of this.#sorted()) {
      const values = [...row.values.values()];
      const spread = `${figure(Math.min(...values))}–${figure(Math.max(...values))}`;
      console.log(`${row.name.padEnd(22)} ${row.subject.padEnd(16)} ${figure(median(values)).padStart(9)} ${row.unit.padEnd(9)} ${spread.padStart(17)}  ${this.#ratios(row).map(words).join(', ')}`.trimEnd());
    }
    for (const { name, subject, error } of this.#failures) console.log(`failed: ${name}, ${subject}: ${error}`);
  }

  /** A line for each ratio, or one without where there is none; and one without a value for each failure. */
  json(): string {
    const lines = this.#sorted().flatMap((row): object[] => {
      const about = { name: row.name, subject: row.subject, value: median([...row.values.values()]), unit: row.unit };
      const ratios = this.#ratios(row);
      return ratios.length === 0 ? [{ ...about, ratio: null, peer: null, interval: null }] : ratios.map((ratio) => ({ ...about, ...ratio }));
    });
    const failures = this.#failures.map((failure) => ({ ...failure, value: null, unit: null, ratio: null, peer: null, interval: null }));
    return `${JSON.stringify([...lines, ...failures], null, 2)}\n`;
  }

  /** Rows of one workload together, ours first. */
  #sorted(): Row[] {
    const names = [...new Set(this.#rows.map((row) => row.name))];
    const rank = ({ subject }: Row): number => Number(!isOurs(subject));
    return names.flatMap((name) => this.#rows.filter((row) => row.name === name).sort((a, b) => rank(a) - rank(b)));
  }

  /** Of ours to each peer, over the rounds that both have. */
  #ratios(row: Row): Ratio[] {
    if (!isOurs(row.subject)) return [];
    const peers = this.#rows.filter((other) => other.name === row.name && !isOurs(other.subject));
    const limits = this.#rows.filter((other) => other.name === limit(row));
    return [...peers, ...limits].map((other) => {
      const paired = [...row.values].flatMap(([round, value]) => {
        const theirs = other.values.get(round);
        return theirs === undefined ? [] : [value / theirs];
      });
      const peer = peers.includes(other) ? other.subject : other.name;
      return { peer, ratio: median(paired), interval: medianInterval(paired) };
    });
  }
}

function words({ peer, ratio, interval }: Ratio): string {
  const between = interval === null ? '' : ` (${interval.map((bound) => bound.toFixed(2)).join('–')})`;
  return `${ratio.toFixed(2)}${between} of ${peer}`;
}

/** Four digits that count. */
function figure(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value.toPrecision(3);
}
