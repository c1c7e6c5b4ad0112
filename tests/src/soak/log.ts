/** What the soak says while it runs: to the terminal, and all of it to a file. */
import { appendFileSync, writeFileSync } from 'node:fs';

export class Log {
  readonly #file: string | null;
  readonly #started = performance.now();

  /** Begins the file anew. */
  constructor(file: string | null) {
    this.#file = file;
    if (file !== null) writeFileSync(file, '');
  }

  say(text: string): void {
    const line = `${((performance.now() - this.#started) / 1000).toFixed(0).padStart(5)} s  ${text}\n`;
    process.stderr.write(line);
    if (this.#file !== null) appendFileSync(this.#file, line);
  }
}
