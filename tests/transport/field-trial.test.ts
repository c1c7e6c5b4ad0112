/**
 * Chromium as it will be: the field trial WebRTC-NoSdpMangleUfrag refuses an offer whose username fragment was rewritten,
 * which is what version 1 of webrtc-direct does. Version 2 connects all the same. That version 1 fails proves that the
 * trial is on; that it succeeds without the trial proves that nothing else makes it fail.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, chromiumPage, connect } from '../src/transport/pages.ts';
import { Peer } from '../src/transport/peer.ts';
import { jsLibp2pSite, oursSite } from '../src/transport/site.ts';

const NO_MANGLING = '--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/';
/** What Chromium says to a rewritten offer. */
const REFUSED = /InvalidModificationError: .* SDP is modified in a non-acceptable way/;
const ECHOED_BYTES = 1024 * 1024;

for (const version of [1, 2] as const) {
  test(`version ${version} connects without the field trial`, async () => {
    await using peer = await Peer.start();
    await using site = await oursSite();
    await using page = await chromiumPage(site.origin);
    await connect(page, 0, peer.address, version);
    await ask(page, 0, { do: 'echo', bytes: ECHOED_BYTES });
  });
}

test('with the field trial version 2 connects and version 1 does not', async (t) => {
  await using peer = await Peer.start();
  await using site = await oursSite();
  await using page = await chromiumPage(site.origin, [NO_MANGLING]);
  await connect(page, 0, peer.address, 2);
  await ask(page, 0, { do: 'echo', bytes: ECHOED_BYTES });
  const said = await connect(page, 1, peer.address, 1).then(() => 'connected', String);
  t.diagnostic(said);
  assert.match(said, REFUSED);
  // What a volunteer's tab does, which names no version.
  await connect(page, 2, peer.address);
  assert.equal(peer.said('connected ').length, 2);
});

test('with the field trial js-libp2p does not connect from Chromium', async (t) => {
  await using peer = await Peer.start();
  await using site = await jsLibp2pSite();
  await using page = await chromiumPage(site.origin, [NO_MANGLING]);
  const said = await page.call('tryOut', peer.address, 1).then(() => 'connected', String);
  t.diagnostic(said);
  assert.match(said, REFUSED);
  assert.deepEqual(peer.said('connected '), []);
});
