/**
 * What a stranger's first packet may do to a listener. It is answered only if everything about it is right; and a wrong
 * one takes nothing: neither one of the first contacts that its source address is granted, nor room for a handshake. Each
 * wrong kind is sent more often than either is granted, and a right one is answered after it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Peer } from '../src/transport/peer.ts';
import { check, Udp, type Check } from '../src/transport/stun.ts';

/** Above the listener's 64 first contacts at once of a source and its 256 unfinished handshakes. */
const TIMES = 300;

const PASSWORD = 'abcdefghijklmnopqrstuvwx';
const V2 = `libp2p+webrtc+v2/${PASSWORD}`;

const V1_BROKEN = `libp2p+webrtc+v1/${PASSWORD}\r\na=x`;

/** A username, and the password that it would imply if it were one. */
const WRONG: Readonly<Record<string, readonly [string, string]>> = {
  'an unknown version': [`libp2p+webrtc+v3/${PASSWORD}:abcd`, `libp2p+webrtc+v3/${PASSWORD}`],
  'no version': [`${PASSWORD}:abcd`, PASSWORD],
  'a version that is cut': [`libp2p+webrtc+v2:abcd`, 'libp2p+webrtc+v2'],
  'version 1 with two different fragments': [`libp2p+webrtc+v1/${PASSWORD}:abcd`, `libp2p+webrtc+v1/${PASSWORD}`],
  'version 1 and a short random part': ['libp2p+webrtc+v1/abcd:libp2p+webrtc+v1/abcd', 'libp2p+webrtc+v1/abcd'],
  'no second fragment': [V2, V2],
  'a second fragment below four characters': [`${V2}:abc`, V2],
  'a second fragment above 256 characters': [`${V2}:${'a'.repeat(257)}`, V2],
  'a password below 22 characters': ['libp2p+webrtc+v2/tooshort:abcd', 'libp2p+webrtc+v2/tooshort'],
  'a character that ICE has not': [`libp2p+webrtc+v2/${PASSWORD}?:abcd`, `libp2p+webrtc+v2/${PASSWORD}?`],
  'a line end in the first fragment': [`libp2p+webrtc+v2/${PASSWORD}\r\na=x:abcd`, `libp2p+webrtc+v2/${PASSWORD}\r\na=x`],
  'a line end in the second fragment': [`${V2}:abcd\r\na=candidate`, V2],
  'line ends in both fragments of version 1': [`${V1_BROKEN}:${V1_BROKEN}`, V1_BROKEN],
  'nothing': ['', V2],
  'a signature with another password': [`${V2}:abcd`, `libp2p+webrtc+v2/${PASSWORD}z`],
};

for (const [what, [username, password]] of Object.entries(WRONG)) {
  test(`a first packet with ${what} is not answered and takes nothing`, async () => {
    await using peer = await Peer.start();
    await using udp = await Udp.bind();
    for (let i = 0; i < TIMES; i += 1) await udp.send(check(username, password).datagram, peer.port);
    // Of the same source, behind all the wrong ones.
    const right = check(`${V2}:abcd`, V2);
    await udp.send(right.datagram, peer.port);
    await udp.awaitAnswer(right);
    assert.deepEqual(udp.answered(), [right.transaction]);
  });
}

test('right first packets of one source are answered up to its limit', async () => {
  await using peer = await Peer.start();
  await using udp = await Udp.bind();
  const checks: Check[] = [];
  for (let i = 0; i < TIMES; i += 1) {
    const next = check(`${V2}:client${i}`, V2);
    checks.push(next);
    await udp.send(next.datagram, peer.port);
  }
  const [first] = checks;
  assert.ok(first !== undefined);
  await udp.awaitAnswer(first);
  // The last first contact comes when the tokens are used up; a check of a connection that exists needs none.
  const again = check(`${V2}:client0`, V2);
  await udp.send(again.datagram, peer.port);
  await udp.awaitAnswer(again);
  assert.ok(udp.answered().length < TIMES, `${udp.answered().length} first contacts of one source were answered`);
});
