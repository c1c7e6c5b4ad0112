/** Our native side: the program `webrtc_peer`, an example of `crates/transport`, and what it prints. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TRANSPORT_DIR } from '../environment.ts';
import { Program } from '../process.ts';
import { until } from '../wait.ts';

/** It only binds a socket and hashes a blob. */
const START_LIMIT_MS = 20_000;
/** Longer than the handshake's own limit, after which it would have said what was wrong. */
const SAY_LIMIT_MS = 30_000;

export interface PeerOptions {
  /** Interface address to listen on. */
  readonly host?: string;
  /** Size of the blob that it serves. */
  readonly blobBytes?: number;
}

export class Peer implements AsyncDisposable {
  /** Full multiaddr, with certificate hash and peer id. */
  readonly address: string;
  /** Content address of its blob, in hexadecimal. */
  readonly blob: string;
  readonly #program: Program;
  readonly #dir: string;

  private constructor(program: Program, dir: string, address: string, blob: string) {
    this.#program = program;
    this.#dir = dir;
    this.address = address;
    this.blob = blob;
  }

  static async start({ host = '127.0.0.1', blobBytes = 0 }: PeerOptions = {}): Promise<Peer> {
    const dir = mkdtempSync(join(tmpdir(), 'shoal-transport-'));
    const args = ['listen', `/ip4/${host}/udp/0/webrtc-direct`, String(blobBytes)];
    const program = new Program(example('webrtc_peer'), args, join(dir, 'log'));
    try {
      const [blob, address] = await until(
        'the native peer listens',
        START_LIMIT_MS,
        () => ['blob ', 'listening '].map((start) => said(program, start)[0]),
        ([blob, address]) => blob !== undefined && address !== undefined,
      );
      return new Peer(program, dir, address ?? '', blob ?? '');
    } catch (error) {
      const tail = program.tail();
      await program.kill();
      throw new Error(`the native peer does not start:\n${tail}`, { cause: error });
    }
  }

  get port(): number {
    return Number(/\/udp\/(\d+)\//.exec(this.address)?.[1]);
  }

  /** What it has printed after this beginning of a line, in order. */
  said(start: string): readonly string[] {
    return said(this.#program, start);
  }

  /** Waits until it has printed so many lines with this beginning. */
  async says(start: string, count = 1): Promise<readonly string[]> {
    return until(`the native peer says ${start}`, SAY_LIMIT_MS, () => this.said(start), (lines) => lines.length >= count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** An example program of `crates/transport`. */
export function example(name: string): string {
  const path = join(TRANSPORT_DIR, name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run \`cargo xtask test transport\``);
  return path;
}

function said(program: Program, start: string): string[] {
  const lines = readFileSync(program.log, 'utf8').split('\n').slice(0, -1);
  return lines.filter((line) => line.startsWith(start)).map((line) => line.slice(start.length));
}
