import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { test } from 'node:test';
import { ApiFailure } from '../src/api.ts';
import { digitsJob, EXACT_ONLY, MODEL } from '../src/digits.ts';
import { seeded } from '../src/random.ts';
import { safetensors } from '../src/safetensors.ts';
import { countedOnce, Swarm } from '../src/swarm.ts';

const TRAINING = { ...EXACT_ONLY, rounds: 3 };

interface Document {
  model: { input: number[]; layers: Record<string, unknown>[] };
  data: Record<string, unknown>;
  training: Record<string, unknown>;
  scheduling: Record<string, unknown>;
}

/** What is broken, how, and the code and words that the relay must answer with. */
const BROKEN: readonly (readonly [string, (document: Document) => unknown, string, RegExp])[] = [
  ['not JSON', () => '{"name": "digits"', 'job_malformed', /EOF|line/],
  ['an unknown operation', (d) => (d.model.layers[1] = { op: 'lstm' }), 'job_malformed', /lstm/],
  ['an unknown field', (d) => (d.training['learnig_rate'] = 1), 'job_malformed', /learnig_rate/],
  ['no rounds', (d) => (d.training['rounds'] = 0), 'job_out_of_range', /training\.rounds is 0/],
  ['a share above one', (d) => (d.scheduling['max_worker_share'] = 1.5), 'job_out_of_range', /max_worker_share is 1\.5/],
  ['too many layers', (d) => (d.model.layers = Array.from({ length: 2000 }, () => ({ op: 'relu' }))), 'job_out_of_range', /2000/],
  ['an oversized tensor', (d) => (d.model.layers[6] = { op: 'dense', units: 4_000_000_000 }), 'model_invalid', /\d/],
  ['a kernel above its image', (d) => (d.model.layers[0] = { op: 'conv2d', out_channels: 8, kernel: 99 }), 'model_invalid', /\d/],
  ['a model that ends in a picture', (d) => (d.model.layers = d.model.layers.slice(0, 2)), 'model_invalid', /./],
  ['data that nobody uploaded', (d) => (d.data['train'] = 'ab'.repeat(32)), 'blob_missing', /data\.train/],
  ['an id that is none', (d) => (d.data['train'] = 'xyz'), 'job_malformed', /./],
];

test('every broken job is refused with its name, and the relay goes on', async () => {
  await using swarm = await Swarm.start();
  const good = await digitsJob(swarm.api, TRAINING);
  for (const [what, spoil, code, words] of BROKEN) {
    const document = structuredClone(good) as Document;
    const spoilt = spoil(document);
    const body = typeof spoilt === 'string' && spoilt.startsWith('{') ? spoilt : JSON.stringify(document);
    await assert.rejects(swarm.api.submit(body), (error) => {
      assert.ok(error instanceof ApiFailure, `${what}: ${String(error)}`);
      assert.equal(error.code, code, `${what}: ${error.message}`);
      assert.match(error.message, words, what);
      return true;
    });
  }
  assert.deepEqual(await swarm.api.jobs(), [], 'nothing of it was kept');
});

test('data that do not fit the model are refused with their name', async () => {
  await using swarm = await Swarm.start();
  const good = (await digitsJob(swarm.api, TRAINING)) as Document;
  const labels = { name: 'y', shape: [20], data: Int32Array.from({ length: 20 }, (_, i) => i % 10) };
  const blobs = {
    'not safetensors': Buffer.from('these are no tensors at all'),
    'a header longer than the file': Buffer.from([255, 255, 255, 255, 0, 0, 0, 0, 123, 125]),
    'another shape': safetensors([{ name: 'x', shape: [20, 1, 4, 4], data: new Float32Array(320) }, labels]),
    'no labels': safetensors([{ name: 'x', shape: [20, 1, 8, 8], data: new Float32Array(1280) }]),
    'a label out of range': safetensors([
      { name: 'x', shape: [20, 1, 8, 8], data: new Float32Array(1280) },
      { ...labels, data: new Int32Array(20).fill(10) },
    ]),
    'fewer samples than units': safetensors([
      { name: 'x', shape: [2, 1, 8, 8], data: new Float32Array(128) },
      { name: 'y', shape: [2], data: new Int32Array(2) },
    ]),
  };
  for (const [what, blob] of Object.entries(blobs)) {
    const train = await swarm.api.putBlob(blob);
    await assert.rejects(swarm.api.submit({ ...good, data: { train } }), (error) => {
      assert.ok(error instanceof ApiFailure, `${what}: ${String(error)}`);
      assert.equal(error.code, 'data_invalid', `${what}: ${error.message}`);
      return true;
    });
  }
  assert.equal(MODEL.input.length, 3);
});

test('garbage on every port does no harm to a job that is running', async () => {
  await using swarm = await Swarm.start();
  swarm.native();
  await swarm.workers(1);
  const job = await swarm.api.submit(await digitsJob(swarm.api, TRAINING));
  const random = seeded(7);
  const swarmPort = portOf(swarm.relay.join.addresses, /\/tcp\/(\d+)\/p2p/);
  const secondPort = portOf(swarm.relay.join.addresses, /\/tcp\/(\d+)\/ws/);
  const httpPort = Number(new URL(swarm.relay.url).port);
  for (let i = 0; i < 60; i += 1) {
    const bytes = Buffer.from(Array.from({ length: 1 + Math.floor(random() * 2_000) }, () => Math.floor(random() * 256)));
    await Promise.all([sendTcp(swarmPort, bytes), sendTcp(httpPort, bytes), sendUdp(swarmPort, bytes)]);
    await Promise.all([sendTcp(secondPort, bytes), sendUdp(secondPort, bytes)]);
    await Promise.all([sendTcp(secondPort, UPGRADE.subarray(0, (i * 5) % UPGRADE.length)), sendTcp(secondPort, UPGRADE, frame(i, bytes))]);
    await Promise.all([sendTcp(swarmPort, MULTISTREAM.subarray(0, 1 + (i % MULTISTREAM.length))), sendUdp(swarmPort, stun(i))]);
  }
  assert.ok(swarm.relay.isRunning);
  assert.ok(await swarm.api.healthy());
  const status = await swarm.finished(job);
  countedOnce(await swarm.api.receipts(job), status);
});

/** How a libp2p connection begins; sent cut short. */
const MULTISTREAM = Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n', 'latin1');

/** How a WebSocket connection begins; sent cut short. */
const UPGRADE = Buffer.from(
  'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
);

/** What an open WebSocket never says: raw bytes, a frame longer than any that is read, a text, a wrong multistream. */
function frame(i: number, bytes: Buffer): Buffer {
  const mask = Buffer.alloc(4);
  const masked = (opcode: number, payload: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, payload]);
  const huge = Buffer.concat([Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), mask, bytes]);
  const text = masked(1, Buffer.from('hello'));
  const wrong = masked(2, bytes.subarray(0, 100));
  return [bytes, huge, text, wrong][i % 4] ?? bytes;
}

/** A STUN binding request with a username of version 2, cut short or with a wrong length. */
function stun(i: number): Buffer {
  const username = Buffer.from('libp2p+webrtc+v2/aaaaaaaaaaaaaaaaaaaaaaaa:bbbb');
  const attribute = Buffer.concat([Buffer.from([0x00, 0x06, 0x00, username.length]), username]);
  const header = Buffer.concat([Buffer.from([0, 1, 0, attribute.length, 0x21, 0x12, 0xa4, 0x42]), Buffer.alloc(12, i)]);
  const whole = Buffer.concat([header, attribute]);
  return whole.subarray(0, 1 + ((i * 7) % whole.length));
}

function portOf(addresses: readonly string[], pattern: RegExp): number {
  const found = addresses.map((address) => pattern.exec(address)?.[1]).find((port) => port !== undefined);
  assert.ok(found !== undefined, `no such address among ${addresses.join(' ')}`);
  return Number(found);
}

/** Sends bytes and, once there is an answer, what comes then. */
function sendTcp(port: number, bytes: Uint8Array, then?: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => (then === undefined ? socket.end(bytes) : socket.write(bytes)));
    if (then !== undefined) socket.once('data', () => socket.end(then));
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
    // The relay may wait for more; what was sent is enough.
    socket.setTimeout(200, () => socket.destroy());
    socket.resume();
  });
}

function sendUdp(port: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.send(bytes, port, '127.0.0.1', () => socket.close(() => resolve()));
  });
}
