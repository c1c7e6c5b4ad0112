/** A relay process on ports and a data folder of its own; it can be killed at any instant and started again. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Api, type JoinInfo } from './api.ts';
import { WEB_DIST, program } from './environment.ts';
import { freePort } from './ports.ts';
import { Program } from './process.ts';
import { until } from './wait.ts';

/** A relay starts in well under a second; a local chain takes a few. */
const START_LIMIT_MS = 60_000;

export interface RelayOptions {
  /** Whether rewards go to a chain: a local anvil, started by the relay. */
  readonly rewards?: boolean;
  readonly epochSeconds?: number;
  readonly private?: boolean;
  /** Whether it listens for webrtc-direct, WebSocket, QUIC and TCP; true if left out. */
  readonly webRtc?: boolean;
  readonly ws?: boolean;
  readonly quic?: boolean;
  readonly tcp?: boolean;
  /** Folder of the page; the one that was built for volunteers unless a test brings its own. */
  readonly webDir?: string;
  readonly args?: readonly string[];
}

interface Ready {
  readonly join: JoinInfo;
  readonly http: string;
  readonly join_secret_file?: string;
}

export class Relay {
  readonly dir: string;
  readonly api: Api;
  readonly url: string;
  readonly #args: readonly string[];
  #process: Program | null = null;
  #ready: Ready | null = null;

  private constructor(dir: string, url: string, args: readonly string[]) {
    this.dir = dir;
    this.url = url;
    this.api = new Api(url);
    this.#args = args;
  }

  static async start(options: RelayOptions = {}): Promise<Relay> {
    const dir = mkdtempSync(join(tmpdir(), 'shoal-e2e-'));
    const [http, swarm, second] = [await freePort(), await freePort(), await freePort()];
    const args = [
      ['--data-dir', join(dir, 'data')],
      ['--http-addr', `127.0.0.1:${http}`],
      ['--tcp-addr', options.tcp ?? true ? `127.0.0.1:${swarm}` : 'off'],
      ['--webrtc-addr', options.webRtc ?? true ? `127.0.0.1:${swarm}` : 'off'],
      ['--quic-addr', options.quic ?? true ? `127.0.0.1:${second}` : 'off'],
      ['--ws-addr', options.ws ?? true ? `127.0.0.1:${second}` : 'off'],
      ['--web-dir', options.webDir ?? WEB_DIST],
      ['--rewards', String(options.rewards ?? false)],
      ['--epoch-seconds', String(options.epochSeconds ?? 60)],
      ...((options.private ?? false) ? [['--private']] : []),
      ...(options.args ?? []).map((arg) => [arg]),
    ].flat();
    const relay = new Relay(dir, `http://127.0.0.1:${http}`, args);
    await relay.restart();
    return relay;
  }

  /** Starts the process again on the same data and ports; it must not be running. */
  async restart(): Promise<void> {
    const readyFile = join(this.dir, 'ready.json');
    rmSync(readyFile, { force: true });
    const child = new Program(program('shoal-relay'), [...this.#args, '--ready-file', readyFile], join(this.dir, 'relay.log'));
    this.#process = child;
    await until('the relay listens', START_LIMIT_MS, () => {
      if (!child.isRunning) return 'ended';
      return existsSync(readyFile) ? 'ready' : 'starting';
    }, (state) => state !== 'starting');
    if (!child.isRunning) throw new Error(`the relay ended while starting:\n${child.tail()}`);
    this.#ready = JSON.parse(readFileSync(readyFile, 'utf8')) as Ready;
  }

  get join(): JoinInfo {
    if (this.#ready === null) throw new Error('the relay has not started');
    return this.#ready.join;
  }

  /** The link that a volunteer opens; with the secret of a private swarm. */
  get link(): string {
    const secret = this.secret;
    if (secret === null) return `${this.url}/`;
    const join = JSON.stringify({ secret: secret.toString('base64url') });
    return `${this.url}/#join=${Buffer.from(join).toString('base64url')}`;
  }

  get secret(): Buffer | null {
    const file = this.#ready?.join_secret_file;
    return file === undefined ? null : Buffer.from(readFileSync(file, 'utf8').trim(), 'hex');
  }

  get isRunning(): boolean {
    return this.#process?.isRunning ?? false;
  }

  /** Of the running process; -1 if there is none. */
  get pid(): number {
    return this.#process?.pid ?? -1;
  }

  get log(): string {
    return this.#process?.log ?? '';
  }

  /** Writes a job's model to a file, as its consumer would, and returns the file's path. */
  async modelFile(job: string): Promise<string> {
    const file = join(this.dir, `${job}.safetensors`);
    writeFileSync(file, await this.api.model(job));
    return file;
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }

  /** Stops it and forgets its data; keeps them if the test failed and says where they are. */
  async dispose(): Promise<void> {
    await this.stop();
    if (process.env['SHOAL_KEEP'] === undefined) rmSync(this.dir, { recursive: true, force: true });
    else console.log(`kept ${this.dir}`);
  }
}
