import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tab } from '../src/browser.ts';
import { digitsJob, EXACT_ONLY } from '../src/digits.ts';
import { Swarm } from '../src/swarm.ts';
import { until } from '../src/wait.ts';

test('before the click nothing connects, nothing computes, and no program is loaded', async () => {
  await using swarm = await Swarm.start();
  await swarm.api.submit(await digitsJob(swarm.api, { ...EXACT_ONLY, rounds: 1 }));
  const tab = await Tab.open(await swarm.browser(), swarm.relay.link);
  assert.equal(await tab.state(), 'idle');
  assert.ok(tab.requests.every((url) => url.startsWith(`${swarm.relay.url}/`)), 'nothing is asked of anybody else');
  const early = tab.requests.filter((url) => /\/v1\/|worker|engine|\.wasm/.test(url));
  assert.deepEqual(early, []);
  assert.equal(tab.page.workers().length, 0);
  assert.deepEqual(await swarm.api.workers(), []);

  await tab.start();
  await tab.connected();
  assert.equal(tab.page.workers().length, 1);
  assert.deepEqual(tab.errors, []);
});

test('Stop ends the worker script, and the relay sees it go', async () => {
  await using swarm = await Swarm.start();
  const tab = await swarm.tab();
  await swarm.workers(1);
  await tab.stop();
  await until('the page is idle', 10_000, () => tab.state(), (state) => state === 'idle');
  // The page is idle as soon as it has let the script go; the browser ends it a moment later.
  await until('the worker script has ended', 10_000, () => tab.page.workers().length, (count) => count === 0);
  await until(
    'the relay has no worker',
    10_000,
    async () => (await swarm.api.workers()).filter(({ connected }) => connected).length,
    (connected) => connected === 0,
  );
});

test('a private swarm takes whoever opens its link and nobody else', async () => {
  await using swarm = await Swarm.start({ private: true });
  const stranger = await Tab.open(await swarm.browser(), `${swarm.relay.url}/`);
  await stranger.start();
  await until('the stranger is refused', 20_000, () => stranger.state(), (state) => state === 'failed');
  assert.match(await stranger.words(), /private/);

  const wrong = Buffer.from(JSON.stringify({ secret: Buffer.alloc(32, 1).toString('base64url') })).toString('base64url');
  const guesser = await Tab.open(await swarm.browser(), `${swarm.relay.url}/#join=${wrong}`);
  await guesser.start();
  await until('the guesser is refused', 20_000, () => guesser.state(), (state) => state === 'failed');

  const invited = await swarm.tab();
  await invited.connected();
  await swarm.workers(1);
});

test('a page without its relay says so and can be started again', async () => {
  await using swarm = await Swarm.start();
  const tab = await Tab.open(await swarm.browser(), swarm.relay.link);
  const failed = (): Promise<unknown> =>
    until('the page has failed', 20_000, () => tab.state(), (state) => state === 'failed');

  await swarm.relay.kill();
  await tab.start();
  await failed();
  assert.match(await tab.words(), /could not be loaded/, 'the program comes from the relay, too');
  await swarm.relay.restart();
  await tab.start();
  await tab.connected();

  await tab.stop();
  await until('the page is idle', 10_000, () => tab.state(), (state) => state === 'idle');
  await swarm.relay.kill();
  await tab.start();
  await failed();
  assert.match(await tab.words(), /cannot be reached/);
  await swarm.relay.restart();
  await tab.start();
  await tab.connected();
});
