/** The figures of a soak and what was wrong, gathered while it runs. */
import type { Log } from './log.ts';

export interface Figure {
  readonly name: string;
  readonly subject: string;
  readonly value: number;
  readonly unit: string;
  /** To what the figure is compared with, where there is something. */
  readonly ratio: number | null;
}

/** What makes a figure one of this run. */
export interface Provenance {
  readonly seed: number;
  readonly commit: string;
  /** Whether files differed from the commit. */
  readonly dirty: boolean;
  readonly quick: boolean;
}

export class Report {
  readonly faults: string[] = [];
  readonly #figures: Figure[] = [];
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  add(name: string, subject: string, value: number, unit: string, ratio: number | null = null): void {
    this.#figures.push({ name, subject, value, unit, ratio });
    const compared = ratio === null ? '' : `  ratio ${ratio.toFixed(2)}`;
    this.#log.say(`${name}, ${subject}: ${format(value)} ${unit}${compared}`);
  }

  /** Something that must not be: the soak goes on, and fails at its end. */
  fault(what: string): void {
    this.faults.push(what);
    this.#log.say(`FAULT ${what}`);
  }

  json(provenance: Provenance): string {
    return `${JSON.stringify({ ...provenance, faults: this.faults, figures: this.#figures }, null, 2)}\n`;
  }
}

function format(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}
