/** A program that listens: where, and how much processor time it has used. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

const LISTENING = 'listening ';

/** Linux counts processor time in hundredths of a second, whatever the kernel's own clock does. */
const MS_PER_TICK = 10;

export class Peer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #addresses: AsyncIterator<string>;
  readonly #exited: Promise<void>;

  constructor(program: string, args: readonly string[]) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#addresses = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
    this.#exited = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }

  /** The next address that it says it listens at. */
  async address(): Promise<string> {
    const { value, done } = await this.#addresses.next();
    if (done === true || !value.startsWith(LISTENING)) throw new Error(`no address from ${this.#child.spawnargs.join(' ')}: ${String(value)}`);
    return value.slice(LISTENING.length);
  }

  /** Asks it for another one. */
  async ask(line: string): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    return this.address();
  }

  /** Milliseconds of processor time used so far, all threads, user and system. */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${String(this.#child.pid)}/stat`, 'utf8');
    // The name, in parentheses, may contain anything; the fields after it are numbered from 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = (number: number): number => Number(fields[number - 3]);
    return (ticks(14) + ticks(15)) * MS_PER_TICK;
  }

  /** Programs of the bench end with their standard input. */
  async stop(): Promise<void> {
    this.#child.stdin.end();
    await this.#exited;
  }
}
