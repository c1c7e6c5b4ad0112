import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Api } from '../src/api.ts';
import { blobJob, OUTPUTS_LEN, PARAMETERS_LEN, SHARDS_LEN } from '../src/blob-job.ts';
import { Cdn } from '../src/cdn.ts';
import type { Program } from '../src/process.ts';
import { Swarm } from '../src/swarm.ts';

/** What the relay sends of each blob in any case: the first credit, and 0.4 % for the hashes, rounded up. */
const FIRST_LEN = 256 * 1024;
const HASHES_SHARE = 0.005;

/** Shards and parameters, each with its beginning and its hashes. The parameters are below the size that pays. */
const SPARED_LEN = 4 * FIRST_LEN + HASHES_SHARE * SHARDS_LEN + PARAMETERS_LEN * (1 + HASHES_SHARE) + FIRST_LEN;

interface Stats {
  readonly event: string;
  readonly fetched_bytes: number;
  readonly cached_blobs: number;
}

async function blobBytes(api: Api, direction: 'in' | 'out'): Promise<number> {
  const line = (await api.metrics()).split('\n').find((text) => text.startsWith(`shoal_relay_blob_bytes_total{direction="${direction}"}`));
  return Number(line?.split(' ')[1] ?? 0);
}

async function runJob(swarm: Swarm): Promise<void> {
  await swarm.finished(await swarm.api.submit(await blobJob(swarm.api)));
}

/** The last statistics that a worker with `--json` printed. */
function stats(worker: Program): Stats {
  const lines = readFileSync(worker.log, 'utf8').split('\n').filter((line) => line.includes('"fetched_bytes"'));
  return JSON.parse(lines.at(-1) ?? '{}') as Stats;
}

async function throughCdn(trusted: boolean): Promise<{ cdn: Cdn; sent: number }> {
  await using cdn = await Cdn.start();
  await using swarm = await Swarm.start({ args: ['--blob-sources', cdn.template] });
  cdn.origin = swarm.relay.url;
  swarm.native(trusted ? { env: { SSL_CERT_FILE: cdn.authority } } : {});
  await runJob(swarm);
  return { cdn, sent: await blobBytes(swarm.api, 'out') };
}

test('a worker fetches large blobs from a CDN over HTTPS, and the relay sends beginnings and hashes', async () => {
  const { cdn, sent } = await throughCdn(true);
  assert.ok(sent <= SPARED_LEN, `${sent} bytes from the relay, ${SPARED_LEN} at most`);
  assert.ok(cdn.sentBytes >= SHARDS_LEN - 4 * FIRST_LEN, `${cdn.sentBytes} bytes from the CDN`);
});

test('a CDN whose certificate is not trusted is not used, and the relay sends everything', async () => {
  const { cdn, sent } = await throughCdn(false);
  assert.equal(cdn.parts, 0);
  assert.ok(cdn.refusedHandshakes > 0, 'it was tried');
  assert.ok(sent >= SHARDS_LEN, `${sent} bytes from the relay`);
});

test('a private relay names no sources', async () => {
  const args = ['--blob-sources', 'https://cdn.example/{id}'];
  await assert.rejects(Swarm.start({ private: true, args }), /blob_sources is .* while private is true/);
});

test('a worker keeps to its rates, and its cache outlives it', async () => {
  await using swarm = await Swarm.start();
  const rate = 2_000_000;
  const up = 1_000_000;
  const cache = ['--json', '--cache-dir', join(swarm.relay.dir, 'cache'), '--cache-bytes', '100MB'];
  const first = swarm.native({ args: [...cache, '--max-down', '2MB', '--max-up', '1MB'] });
  const begun = performance.now();
  await runJob(swarm);
  const elapsed = (performance.now() - begun) / 1000;
  const [sent, taken] = [await blobBytes(swarm.api, 'out'), await blobBytes(swarm.api, 'in')];
  assert.ok(sent >= SHARDS_LEN, `${sent} bytes were sent`);
  assert.ok(taken >= OUTPUTS_LEN, `${taken} bytes were taken`);
  // A quarter of a second's worth passes at once; amounts are those of the whole job, its computing included.
  assert.ok(sent <= rate * (elapsed + 0.25), `${sent} bytes down in ${elapsed} s`);
  assert.ok(taken <= up * (elapsed + 0.25), `${taken} bytes up in ${elapsed} s`);
  assert.equal(await first.stop(), 0);

  const second = swarm.native({ args: cache });
  await runJob(swarm);
  await second.stop();
  assert.equal(await blobBytes(swarm.api, 'out'), sent, 'everything was in the cache');
  assert.equal(stats(second).fetched_bytes, 0);
  assert.ok(stats(second).cached_blobs >= 4, `${stats(second).cached_blobs} blobs from the cache`);
});
