/** Test pages, bundled and served from loopback: what a browser loads instead of the volunteers' page. */
import { createServer, type Server } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { build } from 'esbuild';
import { TRANSPORT_DIR } from '../environment.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** By path without the slash in front. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

export class Site implements AsyncDisposable {
  /** Without a slash at the end. */
  readonly origin: string;
  readonly #server: Server;

  private constructor(server: Server, origin: string) {
    this.#server = server;
    this.origin = origin;
  }

  static async serve(files: Files): Promise<Site> {
    const server = createServer(({ url }, response) => {
      const path = new URL(url ?? '/', 'http://site').pathname.slice(1);
      const file = files[path === '' ? 'index.html' : path];
      response.setHeader('content-type', TYPES[extname(path === '' ? 'index.html' : path)] ?? 'text/plain');
      response.writeHead(file === undefined ? 404 : 200).end(file);
    });
    const origin = await new Promise<string>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        if (typeof address === 'object' && address !== null) resolve(`http://127.0.0.1:${address.port}`);
      });
    });
    return new Site(server, origin);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** A page that offers `ask`: our transport in a worker. */
export async function oursSite(): Promise<Site> {
  return Site.serve({
    'index.html': page('page.js'),
    'page.js': await bundle('page-ours.ts'),
    'worker.js': await bundle('worker.ts'),
    'webrtc_peer_bg.wasm': await readFile(join(TRANSPORT_DIR, 'webrtc_peer_bg.wasm')),
  });
}

/** A page that offers `tryOut`: js-libp2p. */
export async function jsLibp2pSite(): Promise<Site> {
  return Site.serve({ 'index.html': page('page.js'), 'page.js': await bundle('page-js-libp2p.ts') });
}

function page(script: string): string {
  return `<!doctype html><meta charset="utf-8" /><title>test</title><script type="module" src="${script}"></script>`;
}

/** One module with everything that a source file imports; relative to this folder, or absolute. */
export async function bundle(source: string): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: import.meta.dirname,
    entryPoints: [source],
    alias: { '#webrtc-peer': join(TRANSPORT_DIR, 'webrtc_peer.js') },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    write: false,
    logLevel: 'error',
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error(`${source} bundles to nothing`);
  return file.text;
}
