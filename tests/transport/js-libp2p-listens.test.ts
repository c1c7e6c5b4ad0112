/**
 * We dial a js-libp2p listener, which runs in Node and speaks webrtc-direct version 1 alone. A process has one listener:
 * after it was stopped, a second one does not answer (node-datachannel 0.33).
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import '../src/transport/with-resolvers.ts';
import { echoOff, startNode, type Node } from '../src/transport/js-libp2p.ts';
import { ask, chromiumPage, connect } from '../src/transport/pages.ts';
import { example } from '../src/transport/peer.ts';
import { oursSite } from '../src/transport/site.ts';

const ECHOED_BYTES = 4 * 1024 * 1024;
/** A native dialler connects and echoes in a second. */
const DIALLER_LIMIT_MS = 60_000;

let js: Node;
let address: string;

before(async () => {
  js = await startNode(['/ip4/127.0.0.1/udp/0/webrtc-direct']);
  address = String(js.getMultiaddrs()[0]);
});

after(() => js.stop());

test('our node in a worker dials a js-libp2p listener, version 2 first', async () => {
  await using site = await oursSite();
  await using page = await chromiumPage(site.origin);
  await connect(page, 0, address);
  await ask(page, 0, { do: 'echo', bytes: ECHOED_BYTES });
  const [connection] = js.getConnections();
  assert.ok(connection !== undefined, 'no connection at the listener');
  await echoOff(connection, ECHOED_BYTES);
});

test('our native dialler dials a js-libp2p listener', async () => {
  const args = ['dial', address, '1', String(ECHOED_BYTES)];
  const { stdout } = await promisify(execFile)(example('webrtc_peer'), args, { timeout: DIALLER_LIMIT_MS });
  assert.match(stdout, new RegExp(`^pinged in \\d+ us\\nechoed ${ECHOED_BYTES}\\n$`));
});
