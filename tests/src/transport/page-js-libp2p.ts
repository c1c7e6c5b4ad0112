/** A page with js-libp2p, for a real browser. */
import { dial, echoOff, pingMs, startNode } from './js-libp2p.ts';

/** Dials, pings and echoes so many bytes; milliseconds of the ping. */
async function tryOut(address: string, bytes: number): Promise<number> {
  await using node = await startNode();
  const connection = await dial(node, address);
  const took = await pingMs(node, connection);
  await echoOff(connection, bytes);
  return took;
}

Object.assign(globalThis, { tryOut });
