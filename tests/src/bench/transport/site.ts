/** The bench's page, its workers and the compiled tab, on a port of the loopback interface. */
import { build } from 'esbuild';
import { createReadStream } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, extname, join } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

const BROWSER = join(import.meta.dirname, 'browser');
const SCRIPTS = ['page', 'shoal-worker', 'websocket-worker'];
const PAGE = '<!doctype html><title>bench</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>';

export class Site {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Serves the bench with the tab's bindings from folder `tab`. */
  static async start(tab: string): Promise<Site> {
    const files = new Map([['/', PAGE]]);
    const { outputFiles } = await build({
      entryPoints: SCRIPTS.map((name) => join(BROWSER, `${name}.ts`)),
      bundle: true,
      minify: true,
      format: 'esm',
      target: 'es2022',
      outdir: '/',
      write: false,
      define: { 'process.env.NODE_ENV': '"production"' },
    });
    for (const { path, text } of outputFiles) files.set(path, text);
    const server = createServer(({ url = '/' }, response) => {
      response.setHeader('content-type', TYPES[extname(url) || '.html'] ?? 'text/plain');
      const file = files.get(url);
      if (file !== undefined) response.end(file);
      else if (url.startsWith('/tab/')) {
        createReadStream(join(tab, basename(url))).on('error', () => response.writeHead(404).end()).pipe(response);
      } else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    return new Site(server);
  }

  get origin(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
