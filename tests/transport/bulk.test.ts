/**
 * 64 MiB each way between a tab and our native listener, out of a dedicated worker, in real browsers. They move as blobs,
 * as in the network itself, because a browser cannot stop an SCTP peer and the blob protocol has the credit window for
 * it. What arrives is compared byte by byte in the tab, by its BLAKE3 hash at the listener.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ask, chromiumPage, connect, findFirefox, firefoxPage, outwardAddress, type TestPage } from '../src/transport/pages.ts';
import { Peer } from '../src/transport/peer.ts';
import { oursSite } from '../src/transport/site.ts';

const BULK_BYTES = 64 * 1024 * 1024;
const ECHOED_BYTES = 1024 * 1024;
/** Enough to use every SCTP stream id of a connection more than once. */
const SHORT_STREAMS = 400;

test('64 MiB each way in Chromium', async (t) => {
  await using peer = await Peer.start({ blobBytes: BULK_BYTES });
  await using site = await oursSite();
  await using page = await chromiumPage(site.origin);
  await moveEverything(t, page, peer);
});

/**
 * Firefox gathers no loopback candidate unless `media.peerconnection.ice.loopback` is set, and even then sends nothing to
 * a loopback address; so the listener is at the address that the machine's default route leaves from.
 */
test('64 MiB each way in Firefox', async (t) => {
  const firefox = findFirefox();
  if (firefox === null) return t.skip('no Firefox; `cargo xtask setup` says how to get it');
  const host = await outwardAddress();
  if (host === null) return t.skip('no default route, and Firefox sends nothing to a loopback address');
  await using peer = await Peer.start({ host, blobBytes: BULK_BYTES });
  await using site = await oursSite();
  await using page = await firefoxPage(firefox, site.origin);
  await moveEverything(t, page, peer);
});

/** In a browser that cannot transfer data channels, messages go through a port instead. */
test('data channels that cannot be transferred are proxied', async (t) => {
  const bytes = 16 * ECHOED_BYTES;
  await using peer = await Peer.start({ blobBytes: bytes });
  await using site = await oursSite();
  await using page = await chromiumPage(site.origin);
  await page.call('refuseTransfer');
  await connect(page, 0, peer.address);
  await ask(page, 0, { do: 'echo', bytes: ECHOED_BYTES });
  report(t, 'down', bytes, await ask(page, 0, { do: 'download', blob: peer.blob, bytes }));
  report(t, 'up', bytes, await ask(page, 0, { do: 'upload', bytes }));
  // The handshake's channel, the pings', and one per direction and transfer.
  assert.ok(Number(await page.call('refusedTransfers')) >= 5);
});

async function moveEverything(t: TestContext, page: TestPage, peer: Peer): Promise<void> {
  const { connectMs, pingMs } = await connect(page, 0, peer.address);
  t.diagnostic(`connected in ${connectMs} ms, ping ${pingMs.toFixed(1)} ms`);
  await ask(page, 0, { do: 'echo', bytes: ECHOED_BYTES });
  report(t, 'down', BULK_BYTES, await ask(page, 0, { do: 'download', blob: peer.blob, bytes: BULK_BYTES }));
  report(t, 'up', BULK_BYTES, await ask(page, 0, { do: 'upload', bytes: BULK_BYTES }));
  await ask(page, 0, { do: 'shortStreams', count: SHORT_STREAMS });
  assert.deepEqual(peer.said('closed '), [], 'one connection carried everything');
  assert.deepEqual([peer.said('serve failed'), peer.said('take failed')], [[], []]);
}

function report(t: TestContext, direction: string, bytes: number, tookMs: unknown): void {
  assert.ok(typeof tookMs === 'number' && tookMs > 0);
  t.diagnostic(`${bytes / 2 ** 20} MiB ${direction} in ${tookMs} ms, ${(bytes / 1e3 / tookMs).toFixed(1)} MB/s`);
}
