import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore, type KeyValueStore } from '../src/internal/consent.ts';
import { LastTransport, MAX_REMEMBERED, MEMORY_MS, SLOW_BYTES_PER_S } from '../src/internal/last-transport.ts';

interface Surroundings {
  now: number;
  network: string;
}

function bench(store: KeyValueStore = new MemoryStore()): { readonly last: LastTransport; readonly around: Surroundings } {
  const around: Surroundings = { now: 1_700_000_000_000, network: 'wifi' };
  const last = new LastTransport(
    store,
    () => around.now,
    () => around.network,
  );
  return { last, around };
}

test('the winner is recalled for its relay and its kind of network', () => {
  const { last, around } = bench();
  assert.equal(last.recall('a'), null);
  last.remember('a', 'websocket', 'websocket');
  assert.equal(last.recall('a'), 'websocket');
  assert.equal(last.recall('b'), null);
  around.network = 'cellular';
  assert.equal(last.recall('a'), null);
  last.remember('a', 'webrtc', 'webrtc');
  around.network = 'wifi';
  assert.equal(last.recall('a'), 'websocket');
  last.remember('a', 'webrtc', 'webrtc');
  assert.equal(last.recall('a'), 'webrtc', 'the newest counts');
});

test('what was remembered ends, and so does what a clock set back left in the future', () => {
  const { last, around } = bench();
  last.remember('a', 'websocket', 'websocket');
  around.now += MEMORY_MS - 1;
  assert.equal(last.recall('a'), 'websocket');
  around.now += 1;
  assert.equal(last.recall('a'), null);
  around.now -= 2 * MEMORY_MS;
  assert.equal(last.recall('a'), null);
});

test('the memory is short', () => {
  const store = new MemoryStore();
  const { last } = bench(store);
  for (let i = 0; i <= MAX_REMEMBERED; i += 1) last.remember(`relay ${i}`, 'webrtc', 'webrtc');
  assert.equal(last.recall('relay 0'), null);
  assert.equal(last.recall('relay 1'), 'webrtc');
  assert.equal((JSON.parse(store.getItem('shoal.transport') ?? '') as unknown[]).length, MAX_REMEMBERED);
});

test('a store that was tampered with, is full or forbidden reads as no memory', () => {
  for (const stored of ['', '{', '7', '[7]', '[{"relay":"a"}]', '[{"relay":"a","network":"wifi","transport":"smoke","atMs":1,"rates":{}}]']) {
    const store = new MemoryStore();
    store.setItem('shoal.transport', stored);
    const { last } = bench(store);
    assert.equal(last.recall('a'), null, stored);
    last.remember('a', 'websocket', 'websocket');
    assert.equal(last.recall('a'), 'websocket', stored);
  }
  const refuse = (): never => {
    throw new Error('forbidden');
  };
  const { last } = bench({ getItem: refuse, setItem: refuse, removeItem: refuse });
  last.remember('a', 'websocket', 'websocket');
  assert.equal(last.recall('a'), null);
});

test('a winner that is fast enough stays, and one that is slow lets the other try', () => {
  const { last } = bench();
  last.measured('a', 1);
  assert.equal(last.recall('a'), null, 'nothing was reached yet');
  last.remember('a', 'webrtc', 'webrtc');
  last.measured('a', SLOW_BYTES_PER_S);
  assert.equal(last.recall('a'), 'webrtc');
  last.measured('a', SLOW_BYTES_PER_S - 1);
  assert.equal(last.recall('a'), 'websocket');
});

test('once both are measured the faster goes first', () => {
  const { last } = bench();
  last.remember('a', 'webrtc', 'webrtc');
  last.measured('a', 200_000);
  last.remember('a', 'websocket', 'websocket');
  assert.equal(last.recall('a'), 'websocket', 'it won and is not measured yet');
  last.measured('a', 240_000);
  assert.equal(last.recall('a'), 'websocket', 'no clear difference: the winner stays');
  last.measured('a', 100_000);
  assert.equal(last.recall('a'), 'webrtc');
  last.remember('a', 'webrtc', 'webrtc');
  assert.equal(last.recall('a'), 'webrtc');
});

test('one that went first and did not win is not tried again', () => {
  const { last } = bench();
  last.remember('a', 'webrtc', 'webrtc');
  last.measured('a', 10_000);
  assert.equal(last.recall('a'), 'websocket');
  last.remember('a', 'webrtc', 'websocket');
  assert.equal(last.recall('a'), 'webrtc');
});

test('what was measured ends with its own day, though the relay is reached every day', () => {
  const { last, around } = bench();
  last.remember('a', 'websocket', 'webrtc');
  last.measured('a', 10_000);
  assert.equal(last.recall('a'), 'websocket', 'WebRTC did not win');
  around.now += MEMORY_MS - 1;
  last.remember('a', 'websocket', 'websocket');
  last.measured('a', 10_000);
  around.now += 1;
  assert.equal(last.recall('a'), 'webrtc', 'it deserves another try');
});
