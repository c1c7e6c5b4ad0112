/** Free ports of this machine, so that a relay can come back at the same place after it was killed. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** A port that is free for TCP and UDP. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await bindTcp();
    if (await isFreeForUdp(port)) return port;
  }
}

function bindTcp(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function isFreeForUdp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(false));
    socket.bind(port, '127.0.0.1', () => socket.close(() => resolve(true)));
  });
}
