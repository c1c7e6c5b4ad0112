/** A tab that is given HTTPS sources: the browser's own `fetch`, under the policy of the page that the relay serves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blobJob, PARAMETERS_LEN, SHARDS_LEN } from '../src/blob-job.ts';
import { startBrowser, Tab } from '../src/browser.ts';
import { Cdn } from '../src/cdn.ts';
import { countedOnce, Swarm } from '../src/swarm.ts';

/** What the relay sends of each shard in any case: the first credit and the hashes; and the parameters, whole. */
const FIRST_LEN = 256 * 1024;
const SPARED_LEN = 4 * FIRST_LEN + 0.005 * SHARDS_LEN + 2 * PARAMETERS_LEN + FIRST_LEN;

async function throughCdn(flags: readonly string[]): Promise<{ readonly cdn: Cdn; readonly sent: number }> {
  await using cdn = await Cdn.start();
  await using swarm = await Swarm.start({ args: ['--blob-sources', cdn.template] });
  cdn.origin = swarm.relay.url;
  const browser = await startBrowser(flags);
  try {
    await Tab.join(browser, swarm.relay.link);
    const job = await swarm.api.submit(await blobJob(swarm.api));
    const status = await swarm.finished(job);
    countedOnce(await swarm.api.receipts(job), status);
    return { cdn, sent: await swarm.api.blobBytes('out') };
  } finally {
    await browser.close();
  }
}

test('a tab fetches large blobs from a CDN over HTTPS, and the relay sends beginnings and hashes', async () => {
  const { cdn, sent } = await throughCdn(['--ignore-certificate-errors']);
  assert.ok(sent <= SPARED_LEN, `${sent} bytes from the relay, ${SPARED_LEN} at most`);
  assert.ok(cdn.sentBytes >= SHARDS_LEN - 4 * FIRST_LEN, `${cdn.sentBytes} bytes from the CDN`);
});

test('a CDN that the browser does not trust is not used, and the relay sends everything', async () => {
  const { cdn, sent } = await throughCdn([]);
  assert.equal(cdn.parts, 0);
  assert.ok(cdn.refusedHandshakes > 0, 'it was tried');
  assert.ok(sent >= SHARDS_LEN, `${sent} bytes from the relay`);
});
