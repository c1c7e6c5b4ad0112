/**
 * The other end of `http.rs`: an HTTP server of another origin than the tests', which remembers what it was asked. Prints
 * its origin when it listens; the port is its argument, or any.
 */
import { createServer } from 'node:http';

const LENGTH = 1024 * 1024;
const BYTES = Buffer.from(Uint8Array.from({ length: LENGTH }, (_, i) => (i * 31) ^ (i >> 8)));
const SHARED = { 'access-control-allow-origin': '*' };

/** Requests but those for this list, in order: `{ method, path, headers, over }`. */
const seen = [];

const server = createServer((request, response) => {
  const { method, url: path, headers } = request;
  if (path === '/seen') return void response.writeHead(200, SHARED).end(JSON.stringify(seen));
  const entry = { method, path, headers, over: false };
  seen.push(entry);
  response.on('close', () => {
    entry.over = true;
  });
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  const part = BYTES.subarray(Number(from), Number(to) + 1);
  const partial = { 'content-range': `bytes ${from}-${to}/${LENGTH}`, 'content-length': part.length };
  const answers = {
    '/bytes': () => response.writeHead(206, { ...SHARED, ...partial }).end(part),
    '/landing': () => response.writeHead(206, { ...SHARED, ...partial }).end(part),
    '/unshared': () => response.writeHead(206, partial).end(part),
    '/whole': () => response.writeHead(200, SHARED).end(BYTES),
    '/away': () => response.writeHead(302, { ...SHARED, location: '/landing' }).end(),
    '/short': () => response.writeHead(206, { ...SHARED, ...partial }).write(part.subarray(1), () => response.destroy()),
    '/endless': () => pour(response.writeHead(206, SHARED)),
    '/silent': () => undefined,
    '/cookie': () => {
      const credentials = { 'access-control-allow-origin': headers.origin, 'access-control-allow-credentials': 'true' };
      response.writeHead(200, { ...credentials, 'set-cookie': 'visitor=1; Path=/' }).end();
    },
  };
  (answers[path] ?? (() => response.writeHead(404, SHARED).end()))();
});

/** As much as the other end takes, until it has gone. */
function pour(response) {
  while (!response.destroyed && response.write(BYTES));
  if (!response.destroyed) response.once('drain', () => pour(response));
}

const listen = (port) => server.listen(port, '127.0.0.1');
server.once('error', () => listen(0));
server.on('listening', () => console.log(`http://127.0.0.1:${server.address().port}`));
listen(Number(process.argv[2] ?? 0));
