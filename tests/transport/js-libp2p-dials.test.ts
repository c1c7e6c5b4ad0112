/**
 * js-libp2p dials our listener. libp2p 3.3 and @libp2p/webrtc 6.0 speak webrtc-direct version 1 alone, as dialler and as
 * listener, in Node and in browsers; the first test fails when that changes, and the others then want a second version
 * beside it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import '../src/transport/with-resolvers.ts';
import { dial, echoOff, pingMs, startNode } from '../src/transport/js-libp2p.ts';
import { chromiumPage } from '../src/transport/pages.ts';
import { Peer } from '../src/transport/peer.ts';
import { jsLibp2pSite } from '../src/transport/site.ts';
import { Udp, usernameOf } from '../src/transport/stun.ts';
import { until } from '../src/wait.ts';

const ECHOED_BYTES = 4 * 1024 * 1024;
/** A check is sent as soon as the descriptions are set. */
const CHECK_LIMIT_MS = 10_000;

test('js-libp2p speaks version 1 today', async () => {
  await using peer = await Peer.start();
  await using udp = await Udp.bind();
  await using js = await startNode();
  // Somebody who never answers, so that the first check says all there is to know.
  const nobody = peer.address.replace(`/udp/${peer.port}/`, `/udp/${udp.port}/`);
  const stop = new AbortController();
  const dialled = assert.rejects(dial(js, nobody, stop.signal));
  const username = await until(
    'a connectivity check comes',
    CHECK_LIMIT_MS,
    () => udp.received.map(usernameOf).find((name) => name !== null) ?? '',
    (name) => name !== '',
  );
  stop.abort();
  await dialled;
  assert.match(username, /^(libp2p\+webrtc\+v1\/[a-zA-Z0-9+/]+):\1$/);
});

test('js-libp2p in Node dials our listener', async () => {
  await using peer = await Peer.start();
  {
    await using js = await startNode();
    const connection = await dial(js, peer.address);
    assert.ok((await pingMs(js, connection)) > 0);
    await echoOff(connection, ECHOED_BYTES);
    assert.deepEqual(await peer.says('connected '), [js.peerId.toString()]);
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
