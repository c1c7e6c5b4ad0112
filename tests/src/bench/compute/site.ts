/** The bench's page, its workers and what the subjects fetch, on a port of the loopback interface. */
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { assembleLimits } from './limits.ts';
import { STARTS } from './subjects.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

const BROWSER = join(import.meta.dirname, 'browser');
const PAGE = '<!doctype html><title>bench</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>';

/** A browser may keep what it was given: a warm start reads it from there. */
const KEEP = 'max-age=3600';

export class Site {
  readonly #server: Server;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #folders: ReadonlyMap<string, string>;
  readonly #gzipped = new Map<string, number>();
  #requested: string[] = [];

  private constructor(files: ReadonlyMap<string, Uint8Array>, folders: ReadonlyMap<string, string>) {
    this.#files = files;
    this.#folders = folders;
    this.#server = createServer((request, response) => {
      const url = request.url ?? '/';
      this.#requested.push(url);
      this.#read(url).then(
        (content) => {
          response.setHeader('content-type', TYPES[extname(url) || '.html'] ?? 'application/octet-stream');
          response.setHeader('cache-control', KEEP);
          response.end(content);
        },
        () => response.writeHead(404).end(),
      );
    });
  }

  /** Serves the bench and the given folders, by the name that their files' paths begin with. */
  static async start(folders: ReadonlyMap<string, string>): Promise<Site> {
    const files = new Map<string, Uint8Array>([
      ['/', new TextEncoder().encode(PAGE)],
      ['/limits.wasm', assembleLimits()],
    ]);
    const { outputFiles } = await build({
      entryPoints: ['page', 'worker', ...STARTS.map(({ script }) => `start/${script}`)].map((name) => ({
        in: join(BROWSER, `${name}.ts`),
        out: basename(name),
      })),
      bundle: true,
      minify: true,
      splitting: false,
      format: 'esm',
      target: 'es2022',
      outdir: '/',
      write: false,
      define: { 'process.env.NODE_ENV': '"production"' },
      external: ['node:*', 'fs', 'path', 'util', 'crypto', 'worker_threads', 'perf_hooks', 'os'],
    });
    for (const { path, contents } of outputFiles) files.set(path, contents);
    const site = new Site(files, folders);
    await new Promise<void>((resolve) => site.#server.listen(0, '127.0.0.1', () => resolve()));
    return site;
  }

  get origin(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** Whether a folder is served and is there. */
  has(folder: string): boolean {
    const path = this.#folders.get(folder);
    return path !== undefined && existsSync(path);
  }

  /** Gzipped bytes of what was asked for since this was last called, but for the page's own. */
  async takeRequested(): Promise<number> {
    const urls = new Set(this.#requested.filter((url) => url !== '/' && url !== '/page.js'));
    this.#requested = [];
    const sizes = await Promise.all([...urls].map((url) => this.#gzip(url)));
    return sizes.reduce((total, size) => total + size, 0);
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #read(url: string): Promise<Uint8Array> {
    const file = this.#files.get(url);
    if (file !== undefined) return file;
    const [, folder = '', name = ''] = url.split('/');
    const path = this.#folders.get(folder);
    if (path === undefined) throw new Error(`no ${url}`);
    return readFile(join(path, basename(name)));
  }

  async #gzip(url: string): Promise<number> {
    const size = this.#gzipped.get(url) ?? gzipSync(await this.#read(url), { level: 9 }).length;
    this.#gzipped.set(url, size);
    return size;
  }
}
