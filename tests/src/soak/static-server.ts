/** A plain static HTTP server with one file, which serves ranges of it, as any storage of files does. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

const RANGE = /^bytes=(\d+)-(\d+)$/;

export class StaticServer {
  readonly #server: Server;
  readonly #bytes: Uint8Array;
  /** Bytes of the file that it has handed out. */
  sent = 0;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  static async start(bytes: Uint8Array): Promise<StaticServer> {
    const server = new StaticServer(bytes);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  /** As a relay is told of it. */
  get template(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the server does not listen');
    return `http://127.0.0.1:${String(address.port)}/{id}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const size = this.#bytes.length;
    const [, first, last] = RANGE.exec(request.headers.range ?? '') ?? [];
    const [start, end] = first === undefined ? [0, size] : [Number(first), Math.min(Number(last) + 1, size)];
    if (start >= end) {
      response.writeHead(416, { 'content-range': `bytes */${String(size)}` }).end();
      return;
    }
    this.sent += end - start;
    const headers = { 'content-type': 'application/octet-stream', 'content-length': end - start };
    const range = { 'content-range': `bytes ${String(start)}-${String(end - 1)}/${String(size)}` };
    response.writeHead(first === undefined ? 200 : 206, first === undefined ? headers : { ...headers, ...range });
    response.end(this.#bytes.subarray(start, end));
  }
}
