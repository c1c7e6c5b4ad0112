/**
 * js-libp2p against us, in every combination that both can be in. libp2p 3.3 and @libp2p/webrtc 6.0 speak webrtc-direct
 * version 1 alone, as dialler and as listener, in Node and in browsers; the first test fails when that changes, and the
 * others then want a second version beside it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import '../src/transport/with-resolvers.ts';
import { dial, echoOff, pingMs, startNode, type Node } from '../src/transport/js-libp2p.ts';
import { ask, chromiumPage, connect } from '../src/transport/pages.ts';
import { example, Peer } from '../src/transport/peer.ts';
import { jsLibp2pSite, oursSite } from '../src/transport/site.ts';
import { Udp, usernameOf } from '../src/transport/stun.ts';
import { until } from '../src/wait.ts';

const ECHOED_BYTES = 4 * 1024 * 1024;
const LISTEN = ['/ip4/127.0.0.1/udp/0/webrtc-direct'];
/** A check is sent as soon as the descriptions are set. */
const CHECK_LIMIT_MS = 10_000;
/** A native dialler connects and echoes in a second. */
const DIALLER_LIMIT_MS = 60_000;

test('js-libp2p speaks version 1 today', async () => {
  await using peer = await Peer.start();
  await using udp = await Udp.bind();
  await using js = await Js.start();
  // Somebody who never answers, so that the first check says all there is to know.
  const nobody = peer.address.replace(`/udp/${peer.port}/`, `/udp/${udp.port}/`);
  const stop = new AbortController();
  const dialled = assert.rejects(dial(js.node, nobody, stop.signal));
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
    await using js = await Js.start();
    const connection = await dial(js.node, peer.address);
    assert.ok((await pingMs(js.node, connection)) > 0);
    await echoOff(connection, ECHOED_BYTES);
    assert.deepEqual(await peer.says('connected '), [js.node.peerId.toString()]);
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

test('our node in a worker dials a js-libp2p listener, version 2 first', async () => {
  await using js = await Js.start(LISTEN);
  await using site = await oursSite();
  await using page = await chromiumPage(site.origin);
  await connect(page, 0, js.address);
  await ask(page, 0, { do: 'echo', bytes: ECHOED_BYTES });
  const [connection] = js.node.getConnections();
  assert.ok(connection !== undefined, 'no connection at the listener');
  await echoOff(connection, ECHOED_BYTES);
});

test('our native dialler dials a js-libp2p listener', async () => {
  await using js = await Js.start(LISTEN);
  const args = ['dial', js.address, '1', String(ECHOED_BYTES)];
  const { stdout } = await promisify(execFile)(example('webrtc_peer'), args, { timeout: DIALLER_LIMIT_MS });
  assert.match(stdout, new RegExp(`^pinged in \\d+ us\\nechoed ${ECHOED_BYTES}\\n$`));
});

/** A node that is stopped whatever happens. */
class Js implements AsyncDisposable {
  readonly node: Node;

  private constructor(node: Node) {
    this.node = node;
  }

  static async start(listen: readonly string[] = []): Promise<Js> {
    return new Js(await startNode(listen));
  }

  /** Where it listens. */
  get address(): string {
    const [address] = this.node.getMultiaddrs();
    assert.ok(address !== undefined, 'js-libp2p listens nowhere');
    return address.toString();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node.stop();
  }
}
