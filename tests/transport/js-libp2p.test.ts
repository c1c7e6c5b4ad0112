/**
 * js-libp2p against us, in all the combinations that both can be in. Today it speaks webrtc-direct version 1 alone, as
 * dialler and as listener, in Node and in browsers; should it learn version 2, `SPOKEN` fails and these tests want
 * another look.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import '../src/transport/with-resolvers.ts';
import { dial, echoOff, pingMs, startNode } from '../src/transport/js-libp2p.ts';
import { ask, chromiumPage, connect } from '../src/transport/pages.ts';
import { Peer } from '../src/transport/peer.ts';
import { jsLibp2pSite, oursSite } from '../src/transport/site.ts';

const ECHOED_BYTES = 4 * 1024 * 1024;

test('js-libp2p in Node dials our listener', async () => {
  await using peer = await Peer.start();
  const node = await startNode();
  try {
    const connection = await dial(node, peer.address);
    assert.ok((await pingMs(node, connection)) < 5_000);
    await echoOff(connection, ECHOED_BYTES);
    assert.deepEqual(await peer.says('connected '), [node.peerId.toString()]);
  } finally {
    await node.stop();
  }
  await peer.says('closed ');
});

test('js-libp2p in Chromium dials our listener', async () => {
  await using peer = await Peer.start();
  await using site = await jsLibp2pSite();
  await using page = await chromiumPage(site.origin);
  await page.call('tryOut', peer.address, ECHOED_BYTES);
  assert.equal((await peer.says('connected ')).length, 1);
  await peer.says('closed ');
});

test('our node in a worker dials a js-libp2p listener', async () => {
  const node = await startNode(['/ip4/127.0.0.1/udp/0/webrtc-direct']);
  try {
    await using site = await oursSite();
    await using page = await chromiumPage(site.origin);
    const [address] = node.getMultiaddrs();
    await connect(page, 0, String(address));
    await ask(page, 0, { do: 'echo', bytes: ECHOED_BYTES });
    const [connection] = node.getConnections();
    assert.ok(connection !== undefined, 'no connection at the listener');
    await echoOff(connection, ECHOED_BYTES);
  } finally {
    await node.stop();
  }
});

test('js-libp2p dials itself, so that what it speaks is known', async () => {
  const [listener, dialler] = [await startNode(['/ip4/127.0.0.1/udp/0/webrtc-direct']), await startNode()];
  try {
    const connection = await dial(dialler, String(listener.getMultiaddrs()[0]));
    await pingMs(dialler, connection);
    await echoOff(connection, ECHOED_BYTES);
  } finally {
    await Promise.all([listener.stop(), dialler.stop()]);
  }
});
