/** A pull-through CDN: HTTPS in front of a relay's own download of blobs, passing ranges on and counting them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signedLocalhostCertificate } from './certificate.ts';

/** Headers of the origin that a CDN passes on. */
const PASSED = ['content-range', 'content-type', 'etag', 'accept-ranges', 'access-control-allow-origin'] as const;

export class Cdn implements AsyncDisposable {
  /** The authority of its certificate, in PEM. */
  readonly authority: string;
  /** Requests answered with a part. */
  parts = 0;
  /** Bytes of those parts. */
  sentBytes = 0;
  /** Connections that failed before a request, for instance because the client does not trust the certificate. */
  refusedHandshakes = 0;
  /** URL of the relay. */
  origin = '';
  readonly #dir: string;
  readonly #server: Server;

  private constructor(dir: string) {
    this.#dir = dir;
    const { authority, cert, key } = signedLocalhostCertificate(dir);
    this.authority = authority;
    const options = { cert: readFileSync(cert), key: readFileSync(key) };
    this.#server = createServer(options, (request, response) => void this.#answer(request, response));
    this.#server.on('tlsClientError', () => (this.refusedHandshakes += 1));
  }

  static async start(): Promise<Cdn> {
    const cdn = new Cdn(mkdtempSync(join(tmpdir(), 'shoal-cdn-')));
    await new Promise<void>((resolve) => cdn.#server.listen(0, '127.0.0.1', resolve));
    return cdn;
  }

  /** What the relay is told. */
  get template(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}/v1/blobs/{id}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { range } = request.headers;
      const init = range === undefined ? {} : { headers: { range } };
      const answer = await fetch(new URL(request.url ?? '/', this.origin), init);
      const body = Buffer.from(await answer.arrayBuffer());
      for (const name of PASSED) {
        const value = answer.headers.get(name);
        if (value !== null) response.setHeader(name, value);
      }
      if (answer.status === 206) {
        this.parts += 1;
        this.sentBytes += body.length;
      }
      response.writeHead(answer.status).end(body);
    } catch {
      response.writeHead(502).end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
