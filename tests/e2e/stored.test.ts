/** What a tab keeps on disk between visits, and how it takes the loss of it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BrowserContext } from 'playwright-core';
import { launch, type Browser } from 'puppeteer-core';
import { startProfile, Tab } from '../src/browser.ts';
import { digitsJob, EXACT_ONLY } from '../src/digits.ts';
import { fillUp, flipBit, removeEntry, storedBlobs } from '../src/private-files.ts';
import { countedOnce, Swarm } from '../src/swarm.ts';
import { findFirefox } from '../src/transport/pages.ts';
import { until } from '../src/wait.ts';

/** The tab works alone, and no lease lapses while its browser is started again. */
const ALONE = { max_worker_share: 1, lease_ms: 600_000 };

/** Rounds of few steps: the shards are the same in each of them, the parameters are new. */
const TRAINING = { ...EXACT_ONLY, rounds: 4, units_per_round: 6, local_steps: 5 };

/** Bytes of the samples of all shards: four fifths of the data, 64 pixels and a label each, without their headers. */
const SHARDS_LEN = Math.floor((1797 * 4) / 5) * 65 * 4;

/** Frames and hashes around blobs, and what is fetched twice when a browser is closed at an unlucky moment. */
const SLACK = 1.25;

/** A browser profile on disk. */
class Profile implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'shoal-profile-'));
  #context: BrowserContext | null = null;

  async start(): Promise<BrowserContext> {
    this.#context = await startProfile(this.#folder);
    return this.#context;
  }

  async close(): Promise<void> {
    await this.#context?.close();
    this.#context = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The same of Firefox, in which a page is opened and started at once. */
class FirefoxProfile implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'shoal-firefox-'));
  readonly #executablePath: string;
  #browser: Browser | null = null;

  constructor(executablePath: string) {
    this.#executablePath = executablePath;
  }

  async startWorking(link: string): Promise<void> {
    const executablePath = this.#executablePath;
    this.#browser = await launch({ browser: 'firefox', executablePath, headless: true, userDataDir: this.#folder });
    const page = await this.#browser.newPage();
    await page.goto(link);
    await page.locator('button.main').click();
  }

  async close(): Promise<void> {
    await this.#browser?.close();
    this.#browser = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Lets a tab do the first round of a job, and closes its browser. */
async function firstVisit(swarm: Swarm, profile: Profile, prepare: (tab: Tab) => Promise<void> = async () => {}): Promise<string> {
  const tab = await Tab.open(await profile.start(), swarm.relay.link);
  await prepare(tab);
  await tab.start();
  await tab.connected();
  const job = await swarm.api.submit(await digitsJob(swarm.api, TRAINING, ALONE));
  await until('a round is done', 120_000, async () => (await swarm.api.job(job)).rounds_done, (rounds) => rounds >= 1);
  await profile.close();
  return job;
}

/** Bytes of the shards and of what else every round needs again, and of one round's parameters. */
function sizes(blobs: readonly { readonly bytes: number }[]): { readonly lasting: number; readonly parameters: number } {
  const shards = blobs.slice(0, TRAINING.units_per_round);
  const [parameters] = blobs.slice(TRAINING.units_per_round);
  assert.ok(parameters !== undefined && shards.every(({ bytes }) => bytes > 2 * parameters.bytes), JSON.stringify(blobs));
  return { lasting: shards.reduce((sum, { bytes }) => sum + bytes, 0), parameters: parameters.bytes };
}

test('a browser that comes back fetches nothing that it has stored', async () => {
  await using swarm = await Swarm.start();
  await using profile = new Profile();
  const job = await firstVisit(swarm, profile);
  const before = await swarm.api.blobBytes('out');

  const tab = await Tab.open(await profile.start(), swarm.relay.link);
  const { lasting, parameters } = sizes(await storedBlobs(tab.page));
  assert.ok(before >= lasting, 'the shards came over the network, once');
  await tab.start();
  const status = await swarm.finished(job);
  countedOnce(await swarm.api.receipts(job), status);
  const fetched = (await swarm.api.blobBytes('out')) - before;
  assert.ok(fetched > 0, 'new parameters were fetched');
  assert.ok(fetched <= TRAINING.rounds * parameters * SLACK, `${fetched} bytes were fetched, parameters have ${parameters}`);
  assert.ok(fetched < lasting, 'which is less than the shards have');
  assert.deepEqual(tab.errors, []);
});

/** Over WebSocket, because Firefox sends no WebRTC to a loopback address. */
test('Firefox, too, fetches nothing that it has stored', async (t) => {
  const firefox = findFirefox();
  if (firefox === null) return t.skip('no Firefox; `cargo xtask setup` says how to get it');
  await using swarm = await Swarm.start({ webRtc: false });
  await using profile = new FirefoxProfile(firefox);
  await profile.startWorking(swarm.relay.link);
  const job = await swarm.api.submit(await digitsJob(swarm.api, TRAINING, ALONE));
  await until('a round is done', 120_000, async () => (await swarm.api.job(job)).rounds_done, (rounds) => rounds >= 1);
  await profile.close();
  const before = await swarm.api.blobBytes('out');

  await profile.startWorking(swarm.relay.link);
  const status = await swarm.finished(job);
  countedOnce(await swarm.api.receipts(job), status);
  const fetched = (await swarm.api.blobBytes('out')) - before;
  const parameters = (await swarm.api.model(job)).length;
  assert.ok(before >= SHARDS_LEN, `${before} bytes were fetched at first`);
  assert.ok(fetched <= TRAINING.rounds * parameters * SLACK, `${fetched} bytes were fetched, parameters have ${parameters}`);
  assert.ok(fetched < SHARDS_LEN, 'which is less than the shards have');
});

test('a tab that keeps nothing fetches everything again', async () => {
  await using swarm = await Swarm.start();
  await using profile = new Profile();
  const job = await firstVisit(swarm, profile, async (tab) => {
    await tab.openDataSettings();
    await tab.page.getByRole('radio', { name: 'Nothing' }).check();
  });
  const before = await swarm.api.blobBytes('out');
  const tab = await Tab.open(await profile.start(), swarm.relay.link);
  assert.deepEqual(await storedBlobs(tab.page), []);
  await tab.start();
  await swarm.finished(job);
  const fetched = (await swarm.api.blobBytes('out')) - before;
  assert.ok(fetched >= SHARDS_LEN, `${fetched} bytes were fetched, the shards have ${SHARDS_LEN} at least`);
  assert.deepEqual(await storedBlobs(tab.page), [], 'the choice was kept');
});

test('a flipped bit is noticed, and what is damaged or gone is fetched again and nothing else', async () => {
  await using swarm = await Swarm.start();
  await using profile = new Profile();
  const job = await firstVisit(swarm, profile);

  const tab = await Tab.open(await profile.start(), swarm.relay.link);
  const blobs = await storedBlobs(tab.page);
  const { parameters } = sizes(blobs);
  const [flipped, removed] = blobs;
  assert.ok(flipped !== undefined && removed !== undefined);
  await flipBit(tab.page, flipped.name);
  await removeEntry(tab.page, removed.name);
  const damaged = (await storedBlobs(tab.page)).find(({ name }) => name === flipped.name);
  assert.notEqual(damaged?.sha256, flipped.sha256);

  const before = await swarm.api.blobBytes('out');
  await tab.start();
  const status = await swarm.finished(job);
  countedOnce(await swarm.api.receipts(job), status);
  assert.ok(status.workers.every(({ rejected_units }) => rejected_units === 0), 'nothing was computed from wrong bytes');
  const fetched = (await swarm.api.blobBytes('out')) - before;
  const lost = flipped.bytes + removed.bytes;
  assert.ok(fetched >= lost, `${fetched} bytes were fetched, ${lost} were lost`);
  assert.ok(fetched <= (lost + TRAINING.rounds * parameters) * SLACK, `${fetched} bytes were fetched, ${lost} were lost`);
  const after = await storedBlobs(tab.page);
  for (const { name, sha256 } of [flipped, removed]) {
    assert.equal(after.find((blob) => blob.name === name)?.sha256, sha256, 'it is stored again, whole');
  }
});

test('a browser that clears the site while it works costs a transfer and nothing else', async () => {
  await using swarm = await Swarm.start();
  const tab = await swarm.tab();
  const job = await swarm.api.submit(await digitsJob(swarm.api, TRAINING, ALONE));
  await swarm.accepted(job, TRAINING.units_per_round);
  const before = await storedBlobs(tab.page);
  sizes(before);
  const cdp = await tab.page.context().newCDPSession(tab.page);
  const storageTypes = 'file_systems,other';
  await cdp.send('Storage.clearDataForOrigin', { origin: swarm.relay.url, storageTypes });
  const status = await swarm.finished(job);
  countedOnce(await swarm.api.receipts(job), status);
  assert.deepEqual(tab.errors, []);
  // The shards are in the tab's memory; another job's come by the network.
  const next = await swarm.api.submit(await digitsJob(swarm.api, { ...TRAINING, rounds: 1, seed: 2 }, ALONE));
  await swarm.finished(next);
  const after = await storedBlobs(tab.page);
  sizes(after);
  const shards = new Set(before.slice(0, TRAINING.units_per_round).map(({ name }) => name));
  assert.deepEqual(after.filter(({ name }) => shards.has(name)), [], 'the site was cleared');
});

test('a quota that is used up is survived', async () => {
  await using swarm = await Swarm.start();
  const tab = await Tab.open(await swarm.browser(), swarm.relay.link);
  const cdp = await tab.page.context().newCDPSession(tab.page);
  const quotaSize = 8_000_000;
  const room = 150_000;
  await cdp.send('Storage.overrideQuotaForOrigin', { origin: swarm.relay.url, quotaSize });
  await fillUp(tab.page, quotaSize - room);
  await tab.start();
  await tab.connected();
  const job = await swarm.api.submit(await digitsJob(swarm.api, TRAINING, ALONE));
  const status = await swarm.finished(job);
  countedOnce(await swarm.api.receipts(job), status);
  const fetched = await swarm.api.blobBytes('out');
  assert.ok(fetched > 2 * room, `the quota would have held all ${fetched} bytes`);
  const stored = (await storedBlobs(tab.page)).reduce((sum, { bytes }) => sum + bytes, 0);
  assert.ok(stored <= room, `${stored} bytes are stored where ${room} fit`);
  assert.deepEqual(tab.errors, []);
});

test('an agreement that is withdrawn in one tab ends the other tab of the site, and nothing is kept', async () => {
  await using swarm = await Swarm.start();
  await using profile = new Profile();
  const context = await profile.start();
  const other = await Tab.join(context, swarm.relay.link);
  const job = await swarm.api.submit(await digitsJob(swarm.api, { ...TRAINING, rounds: 1 }, ALONE));
  await swarm.finished(job);
  assert.ok((await storedBlobs(other.page)).length > 0);

  const tab = await Tab.open(context, swarm.relay.link);
  await tab.page.getByRole('button', { name: 'Withdraw' }).click();
  await until('the other tab has ended', 20_000, () => other.state(), (state) => state === 'idle');
  await until('nothing is kept', 20_000, () => storedBlobs(other.page), (blobs) => blobs.length === 0);
  await other.page.getByText('you can withdraw it here at any time').waitFor();
  assert.deepEqual([...tab.errors, ...other.errors], []);
});

test('what is stored is shown and cleared from the page, while it works too', async () => {
  await using swarm = await Swarm.start();
  const tab = await swarm.tab();
  await tab.openDataSettings();
  const shown = tab.page.locator('[data-value="stored"]');
  const job = await swarm.api.submit(await digitsJob(swarm.api, { ...TRAINING, rounds: 1 }, ALONE));
  await swarm.finished(job);
  await until('the page shows it', 20_000, () => shown.innerText(), (text) => /^[\d.]+\s(KiB|MiB)$/.test(text));

  await tab.page.getByRole('button', { name: 'Clear' }).click();
  await until('the page shows that it is gone', 20_000, () => shown.innerText(), (text) => text === 'nothing');
  assert.deepEqual(await storedBlobs(tab.page), []);

  // Other shards, because those of the first job are in the tab's memory.
  const next = await swarm.api.submit(await digitsJob(swarm.api, { ...TRAINING, rounds: 1, seed: 2 }, ALONE));
  await swarm.finished(next);
  assert.ok((await storedBlobs(tab.page)).length > 0, 'the tab goes on, and stores what comes');
  await tab.page.getByRole('radio', { name: 'Nothing' }).check();
  await until('nothing is kept', 20_000, () => storedBlobs(tab.page), (blobs) => blobs.length === 0);

  await tab.page.getByRole('radio', { name: '128 MiB' }).check();
  const last = await swarm.api.submit(await digitsJob(swarm.api, { ...TRAINING, rounds: 1, seed: 3 }, ALONE));
  await swarm.finished(last);
  assert.ok((await storedBlobs(tab.page)).length > 0, 'the new limit holds at once');
  await tab.page.getByRole('button', { name: 'Withdraw' }).click();
  await until('nothing is kept without an agreement', 20_000, () => storedBlobs(tab.page), (blobs) => blobs.length === 0);
  assert.deepEqual(tab.errors, []);
});
