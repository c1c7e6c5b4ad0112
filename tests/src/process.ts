/** A child process with its output in a file, ended for sure when the test ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** Enough of a log to see what went wrong. */
const TAIL_LINES = 30;

/** How long a program may take to stop by itself. */
const STOP_LIMIT_MS = 10_000;

const alive = new Set<Program>();

export interface ProgramOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it is told things by its input ({@link Program.tell}); if not, its input is empty. */
  readonly listens?: boolean;
}

export class Program {
  readonly log: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;

  constructor(file: string, args: readonly string[], log: string, options: ProgramOptions = {}) {
    this.log = log;
    const output = openSync(log, 'a');
    const input = (options.listens ?? false) ? 'pipe' : 'ignore';
    this.#child = spawn(file, args, { stdio: [input, output, output], env: { ...process.env, NO_COLOR: '1', ...options.env } });
    closeSync(output);
    this.#exited = new Promise((resolve) => {
      const over = (code: number | null): void => {
        alive.delete(this);
        resolve(code);
      };
      this.#child.once('exit', over);
      this.#child.once('error', () => over(null));
    });
    // Whoever is told something after its end does not hear it; that it ended is seen elsewhere.
    this.#child.stdin?.on('error', () => undefined);
    alive.add(this);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get isRunning(): boolean {
    return alive.has(this);
  }

  /** Exit code, `null` if it was killed or never started. */
  exited(): Promise<number | null> {
    return this.#exited;
  }

  /** Writes a line to its input. */
  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Ends it without a chance to tidy up. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Asks it to stop, and kills it if it does not. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_LIMIT_MS);
    const code = await this.#exited;
    clearTimeout(timer);
    return code;
  }

  tail(): string {
    return readFileSync(this.log, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
  }

  killNow(): void {
    this.#child.kill('SIGKILL');
  }
}

// A test that throws, or is ended at its time limit, must leave nothing behind.
process.on('exit', () => {
  for (const program of alive) program.killNow();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
