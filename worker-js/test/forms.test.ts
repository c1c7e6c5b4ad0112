import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBase64Url } from '../src/internal/base64url.ts';
import { isChecksummedAddress } from '../src/internal/checksum.ts';
import { joinSecretBytes, joinSecretOf } from '../src/internal/join-link.ts';
import { isPayoutAddress } from '../src/internal/payout.ts';
import { parseJoinInfo, tabAddresses } from '../src/internal/relay.ts';
import { Throughput } from '../src/internal/throughput.ts';

const encode = (text: string): string => Buffer.from(text).toString('base64url');

test('base64url decodes what Node encodes and refuses the rest', () => {
  for (const len of [0, 1, 2, 3, 32, 255]) {
    const bytes = Uint8Array.from({ length: len }, (_, i) => (i * 167) & 255);
    assert.deepEqual(fromBase64Url(Buffer.from(bytes).toString('base64url')), bytes);
  }
  for (const bad of ['a', 'ab=', 'a+b', 'a/b', 'ab c']) assert.equal(fromBase64Url(bad), null, bad);
});

test('a join link carries its secret in the fragment', () => {
  const secret = Buffer.alloc(32, 0xfb).toString('base64url');
  const link = joinSecretOf(`#join=${encode(JSON.stringify({ secret }))}`);
  assert.deepEqual(link, { kind: 'secret', secret });
  assert.deepEqual(joinSecretBytes(secret), new Uint8Array(32).fill(0xfb));
});

test('a fragment without a link and a damaged link are told apart', () => {
  for (const none of ['', '#', '#jobs']) assert.deepEqual(joinSecretOf(none), { kind: 'none' }, none);
  const short = encode(JSON.stringify({ secret: encode('too short') }));
  for (const bad of ['', '!', encode('not json'), encode('7'), encode('{"secret":7}'), short]) {
    assert.deepEqual(joinSecretOf(`#join=${bad}`), { kind: 'malformed' }, bad);
  }
});

// Addresses of EIP-55.
const CHECKSUMMED = [
  '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
  '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
  '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
  '0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb',
  '0x52908400098527886E0F7030069857D2E4169EE7',
  '0xde709f2102306220921060314715629080e2fb77',
];

test('payout addresses are checked down to their checksum', () => {
  for (const address of CHECKSUMMED) {
    assert.ok(isPayoutAddress(address) && isChecksummedAddress(address), address);
    assert.ok(isChecksummedAddress(address.toLowerCase()), address);
  }
  assert.ok(!isChecksummedAddress('0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD'));
  for (const bad of [
    '',
    '0x',
    `0x${'0'.repeat(40)}`,
    `0x${'1'.repeat(39)}`,
    `0x${'1'.repeat(41)}`,
    `0x${'g'.repeat(40)}`,
  ]) {
    assert.ok(!isPayoutAddress(bad) && !isChecksummedAddress(bad), bad);
  }
});

const JOIN = {
  network: 'shoal-main',
  relay: 'ab'.repeat(32),
  addresses: ['/ip4/127.0.0.1/tcp/1/p2p/x', '/ip4/127.0.0.1/udp/1/webrtc-direct/certhash/u/p2p/x'],
  private: false,
};

test('join info is taken apart, and its addresses for tabs are found', () => {
  const info = parseJoinInfo(JOIN);
  assert.ok(info !== null);
  assert.equal(info.chain, null);
  assert.deepEqual(tabAddresses(info, { hasWebRtc: true, isHttps: false }), [JOIN.addresses[1]]);
  const chain = { chain_id: 31337, rpc_url: 'http://127.0.0.1:1', token: '0x1', distributor: '0x2' };
  assert.equal(parseJoinInfo({ ...JOIN, chain })?.chain?.chainId, 31337);
});

test('a tab is given what its page may open', () => {
  const webrtc = '/ip4/192.0.2.1/udp/1/webrtc-direct/certhash/u/p2p/x';
  const near = ['/ip4/127.0.0.1/tcp/1/ws/p2p/x', '/ip6/::1/tcp/1/ws/p2p/x', '/dns/localhost/tcp/1/ws/p2p/x'];
  const far = ['/ip4/192.0.2.1/tcp/1/ws/p2p/x', '/dns4/127.0.0.1.example/tcp/1/ws/p2p/x', '/ip4/192.0.2.127/tcp/1/ws'];
  const secure = ['/dns/relay.example/tcp/443/tls/ws/p2p/x', '/dns4/relay.example/tcp/443/wss/p2p/x'];
  const native = ['/ip4/127.0.0.1/tcp/1/p2p/x', '/ip4/127.0.0.1/udp/1/quic-v1/p2p/x', '/ip4/127.0.0.1/tcp/1/tls/p2p/x'];
  const info = { ...JOIN, chain: null, addresses: [webrtc, ...near, ...far, ...secure, ...native] };
  const given = (hasWebRtc: boolean, isHttps: boolean): string[] => tabAddresses(info, { hasWebRtc, isHttps });
  assert.deepEqual(given(true, false), [webrtc, ...near, ...far, ...secure]);
  assert.deepEqual(given(true, true), [webrtc, ...near, ...secure]);
  assert.deepEqual(given(false, true), [...near, ...secure]);
});

test('anything else is no join info', () => {
  const bad: unknown[] = [
    null,
    [],
    'x',
    {},
    { ...JOIN, addresses: [1] },
    { ...JOIN, private: 'no' },
    { ...JOIN, chain: {} },
  ];
  for (const body of bad) assert.equal(parseJoinInfo(body), null, JSON.stringify(body));
});

test('throughput is the slope over the window and falls to nothing at rest', () => {
  const throughput = new Throughput();
  assert.equal(throughput.perSecond(0), 0);
  for (let second = 0; second <= 60; second += 1) throughput.add(second * 1000, second * 500);
  assert.ok(Math.abs(throughput.perSecond(60_000) - 500) < 1);
  assert.ok(throughput.perSecond(68_000) < 400);
  assert.equal(throughput.perSecond(200_000), 0);
  throughput.add(201_000, 0);
  throughput.add(202_000, 700);
  assert.equal(throughput.perSecond(202_000), 700);
});
