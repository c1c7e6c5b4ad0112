/** A program that listens: where, and how much processor time it has used. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { cpuMs } from '../../proc.ts';

const LISTENING = 'listening ';

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
    return cpuMs(this.#child.pid ?? -1);
  }

  /** Programs of the bench end with their standard input. */
  async stop(): Promise<void> {
    this.#child.stdin.end();
    await this.#exited;
  }
}
