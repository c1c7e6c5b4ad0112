/** Home lines to a relay, one for each worker: `crates/netem/examples/access_lines.rs`. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Relay } from '../relay.ts';

const ROUND_TRIP_MS = 80;
const DOWN_BITS_PER_SECOND = 20_000_000;
const UP_BITS_PER_SECOND = 5_000_000;

export class HomeLines implements Disposable {
  readonly #child: ChildProcess;
  readonly #addresses: readonly string[];

  private constructor(child: ChildProcess, addresses: readonly string[]) {
    this.#child = child;
    this.#addresses = addresses;
  }

  static async open(relay: Relay, count: number): Promise<HomeLines> {
    const program = process.env['SHOAL_ACCESS_LINES'];
    if (program === undefined) throw new Error('SHOAL_ACCESS_LINES is not set: run `cargo xtask scale`');
    const target = relay.join.addresses.map((address) => /^\/ip4\/([\d.]+)\/tcp\/(\d+)\/p2p\/(\w+)$/.exec(address)).find((found) => found !== null);
    if (target === undefined) throw new Error('the relay announces no TCP address');
    const [host = '', port = '', peer = ''] = target.slice(1);
    const args = [`${host}:${port}`, ...[count, ROUND_TRIP_MS, DOWN_BITS_PER_SECOND, UP_BITS_PER_SECOND].map(String)];
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const addresses: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      const [host = '', port = ''] = line.split(':');
      addresses.push(`/ip4/${host}/tcp/${port}/p2p/${peer}`);
      if (addresses.length === count) return new HomeLines(child, addresses);
    }
    throw new Error(`${program} ended after ${String(addresses.length)} of ${String(count)} lines`);
  }

  /** Multiaddress of the relay behind a line. */
  address(index: number): string {
    const address = this.#addresses[index];
    if (address === undefined) throw new Error(`there are ${String(this.#addresses.length)} lines`);
    return address;
  }

  [Symbol.dispose](): void {
    this.#child.stdin?.end();
  }
}
