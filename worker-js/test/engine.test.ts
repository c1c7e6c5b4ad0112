import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { startEngine, type EngineHost } from '../src/internal/engine.ts';
import type { VolunteerEvent } from '../src/public/types.ts';

const JOIN = { network: 'n', relay: 'r', addresses: ['/ip4/127.0.0.1/tcp/1/ws'], private: false, chain: null };

interface Bench {
  readonly url: string;
  readonly host: EngineHost;
  readonly events: VolunteerEvent[];
  /** What a start did, in order. */
  readonly steps: string[];
}

/** A relay that answers, and a page that changes its mind at one step. */
async function bench(t: TestContext, unwantedAt: string): Promise<Bench> {
  const steps: string[] = [];
  const events: VolunteerEvent[] = [];
  const step = (name: string): void => {
    steps.push(name);
  };
  const server: Server = createServer((_, response) => {
    step('relay');
    response.end(JSON.stringify(JOIN));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const page = {
    location: { protocol: 'http:', origin: 'http://page.example' },
    navigator: {},
    // A browser that forbids databases: the key lives as long as the worker.
    indexedDB: {
      open: () => {
        step('key');
        throw new Error('forbidden');
      },
    },
    Worker: class {
      constructor() {
        step('worker');
      }
      postMessage(): void {}
      terminate(): void {}
    },
  };
  for (const [name, value] of Object.entries(page)) {
    Object.defineProperty(globalThis, name, { value, configurable: true });
    t.after(() => Reflect.deleteProperty(globalThis, name));
  }
  const host: EngineHost = {
    emit: (event) => events.push(event),
    state: () => ({ kind: 'starting', step: 'relay' }),
    isWanted: () => !steps.includes(unwantedAt) && unwantedAt !== 'nothing',
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, host, events, steps };
}

test('a start that stays wanted makes an engine', async (t) => {
  const { url, host, steps } = await bench(t, 'never');
  assert.notEqual(await startEngine({ relayUrl: url }, host), null);
  assert.deepEqual(steps, ['relay', 'key', 'worker']);
});

for (const [unwantedAt, expected] of [
  ['nothing', []],
  ['relay', ['relay']],
  ['key', ['relay', 'key']],
] as const) {
  test(`a start that is no longer wanted ends there: ${unwantedAt}`, async (t) => {
    const { url, host, events, steps } = await bench(t, unwantedAt);
    assert.equal(await startEngine({ relayUrl: url }, host), null);
    assert.deepEqual(steps, expected);
    assert.equal(events.some((event) => event.type === 'state'), false);
  });
}
