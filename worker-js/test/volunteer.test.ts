import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../src/internal/consent.ts';
import type { CoreEvent } from '../src/internal/core.ts';
import { coreLimits } from '../src/internal/data-limits.ts';
import type { Engine, EngineHost } from '../src/internal/engine.ts';
import { VolunteerError } from '../src/internal/errors.ts';
import { nextState, unitEvent } from '../src/internal/session.ts';
import { PageVolunteer } from '../src/internal/volunteer.ts';
import type { DataLimits, VolunteerEvent, VolunteerState } from '../src/public/types.ts';

class RecordedEngine implements Engine {
  readonly calls: string[] = [];
  readonly host: EngineHost;
  stopping: Promise<void> = Promise.resolve();

  constructor(host: EngineHost) {
    this.host = host;
  }

  async stop(): Promise<void> {
    this.calls.push('stop');
    await this.stopping;
  }

  setPaused(paused: boolean): void {
    this.calls.push(paused ? 'pause' : 'resume');
  }

  setPower(power: string): void {
    this.calls.push(power);
  }

  setLimits(limits: DataLimits): void {
    this.calls.push(JSON.stringify(limits));
  }

  async connectionStats(): Promise<null> {
    this.calls.push('stats');
    return null;
  }
}

interface Bench {
  readonly volunteer: PageVolunteer;
  readonly engines: RecordedEngine[];
  readonly events: VolunteerEvent[];
  readonly clock: { now: number };
  readonly cache: { cleared: number };
  readonly store: MemoryStore;
  /** Who is told that another tab has changed the agreement. */
  readonly watching: Set<() => void>;
}

function bench(gate: Promise<void> = Promise.resolve(), failure?: VolunteerError): Bench {
  const engines: RecordedEngine[] = [];
  const events: VolunteerEvent[] = [];
  const clock = { now: 1_700_000_000_000 };
  const cache = { cleared: 0 };
  const store = new MemoryStore();
  const watching = new Set<() => void>();
  const volunteer = new PageVolunteer(
    { power: 'gentle' },
    {
      store,
      now: () => clock.now,
      watchConsent: (listener) => {
        watching.add(listener);
        return () => watching.delete(listener);
      },
      clearCache: async () => {
        cache.cleared += 1;
      },
      startEngine: async (_, host) => {
        await gate;
        if (failure !== undefined) throw failure;
        const engine = new RecordedEngine(host);
        engines.push(engine);
        return engine;
      },
    },
  );
  volunteer.on((event) => events.push(event));
  return { volunteer, engines, events, clock, cache, store, watching };
}

const kinds = (events: VolunteerEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'state' ? [event.state.kind] : []));

test('nothing starts without consent', async () => {
  const { volunteer, engines, events } = bench();
  await volunteer.start();
  assert.equal(engines.length, 0);
  assert.deepEqual(kinds(events), ['failed']);
  assert.equal(events.find((event) => event.type === 'error')?.error.code, 'consent_missing');
});

test('nothing starts after consent has ended', async () => {
  const { volunteer, engines, events, clock } = bench();
  volunteer.consent.give();
  clock.now += 1e12;
  await volunteer.start();
  assert.equal(engines.length, 0);
  assert.equal(events.find((event) => event.type === 'error')?.error.code, 'consent_expired');
});

test('start, work and stop', async () => {
  const { volunteer, engines, events } = bench();
  volunteer.consent.give();
  await volunteer.start();
  await volunteer.start();
  assert.equal(engines.length, 1, 'a second start changes nothing');
  engines[0]?.host.emit({ type: 'state', state: { kind: 'working' } });
  volunteer.setPower('full');
  volunteer.setPaused(true);
  await volunteer.stop();
  assert.deepEqual(engines[0]?.calls, ['gentle', '{}', 'full', 'pause', 'stop']);
  assert.deepEqual(kinds(events), ['starting', 'working', 'stopping', 'idle']);
});

test('limits reach the engine, before and while it runs, and those that cannot work reach nobody', async () => {
  const { volunteer, engines } = bench();
  volunteer.consent.give();
  volunteer.setLimits({ cacheBytes: 0 });
  await volunteer.start();
  volunteer.setLimits({ maxDownBytesPerSecond: 125_000 });
  const bad: [DataLimits, RegExp][] = [
    [{ maxDownBytesPerSecond: 4095 }, /maxDownBytesPerSecond is 4095; a whole number of 4096 or more/],
    [{ maxUpBytesPerSecond: Infinity }, /maxUpBytesPerSecond is Infinity; .* 4096 or more/],
    [{ cacheBytes: -1 }, /cacheBytes is -1; .* 0 or more/],
    [{ cacheBytes: 1.5 }, /cacheBytes is 1\.5;/],
  ];
  for (const [limits, words] of bad) assert.throws(() => volunteer.setLimits(limits), words);
  assert.deepEqual(engines[0]?.calls, ['gentle', '{"cacheBytes":0}', '{"maxDownBytesPerSecond":125000}']);
});

test('limits are bytes and bytes a second to the core', () => {
  assert.deepEqual(coreLimits({}), { stored_bytes: 536_870_912, max_down: null, max_up: null });
  const limits = { cacheBytes: 0, maxDownBytesPerSecond: 4096, maxUpBytesPerSecond: 1e9 };
  assert.deepEqual(coreLimits(limits), { stored_bytes: 0, max_down: 4096, max_up: 1e9 });
});

test('what an engine says after the stop is not heard', async () => {
  const { volunteer, engines, events } = bench();
  volunteer.consent.give();
  await volunteer.start();
  await volunteer.stop();
  const before = events.length;
  engines[0]?.host.emit({ type: 'state', state: { kind: 'working' } });
  assert.equal(events.length, before);
  assert.equal(volunteer.state.kind, 'idle');
});

test('a stop during the start wins, and ends the engine that comes late', async () => {
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const { volunteer, engines } = bench(gate);
  volunteer.consent.give();
  const starting = volunteer.start();
  await volunteer.stop();
  open();
  await starting;
  assert.deepEqual(engines[0]?.calls, ['stop']);
  assert.equal(volunteer.state.kind, 'idle');
});

test('a failure is a state with its code, and another start is possible', async () => {
  const { volunteer, events } = bench(undefined, new VolunteerError('no_webrtc', 'no WebRTC here'));
  volunteer.consent.give();
  await volunteer.start();
  await volunteer.start();
  assert.deepEqual(kinds(events), ['starting', 'failed', 'starting', 'failed']);
  assert.deepEqual(volunteer.state, { kind: 'failed', error: { code: 'no_webrtc', message: 'no WebRTC here' } });
});

test('withdrawing consent stops a running volunteer and removes what was stored', async () => {
  const { volunteer, engines, cache } = bench();
  volunteer.consent.give();
  await volunteer.start();
  await volunteer.consent.withdraw();
  assert.deepEqual(engines[0]?.calls.at(-1), 'stop');
  assert.equal(cache.cleared, 1);
  assert.equal(volunteer.consent.status().kind, 'missing');
});

test('withdrawing during a stop waits for it before it removes what was stored', async () => {
  let open = (): void => undefined;
  const { volunteer, engines, cache } = bench();
  volunteer.consent.give();
  await volunteer.start();
  const [engine] = engines;
  assert.ok(engine !== undefined);
  engine.stopping = new Promise<void>((resolve) => {
    open = resolve;
  });
  const stopping = volunteer.stop();
  const withdrawing = volunteer.consent.withdraw();
  await new Promise(setImmediate);
  assert.equal(cache.cleared, 0);
  open();
  await Promise.all([stopping, withdrawing]);
  assert.equal(cache.cleared, 1);
});

test('withdrawing in another tab stops this one and removes what it stored', async () => {
  const { volunteer, engines, cache, store, watching } = bench();
  volunteer.consent.give();
  await volunteer.start();
  const tell = async (): Promise<void> => {
    for (const listener of watching) listener();
    await new Promise(setImmediate);
  };
  await tell();
  assert.equal(volunteer.state.kind, 'starting', 'an agreement that is given anew changes nothing');
  store.removeItem('shoal.consent');
  await tell();
  assert.equal(engines[0]?.calls.at(-1), 'stop');
  assert.equal(volunteer.state.kind, 'idle');
  assert.equal(cache.cleared, 1);
  assert.equal(watching.size, 0, 'a volunteer that does not run has nothing to end');
});

const UNIT = { unit: 'aa', job: 'bb', round: 1, index: 2, class: 'exact', reference_ops: 5 };

test('states follow the core', () => {
  const events: CoreEvent[] = [
    { type: 'connecting', attempt: 0 },
    { type: 'connected', relay: 'r', network: 'n', node: 'k', transport: 'webrtc' },
    { type: 'waiting', reason: 'no job' },
    { type: 'leased', lease: 'l', duration_ms: 1, ...UNIT },
    { type: 'computing', lease: 'l', backend: 'cpu', ...UNIT },
    { type: 'disconnected', reason: 'gone', retry_ms: 500 },
    { type: 'connecting', attempt: 1 },
    { type: 'connected', relay: 'r', network: 'n', node: 'k', transport: 'webrtc' },
  ];
  let state: VolunteerState = { kind: 'starting', step: 'program' };
  const seen: string[] = [];
  for (const event of events) {
    const next = nextState(state, event);
    if (next !== null) {
      state = next;
      seen.push(next.kind);
    }
  }
  assert.deepEqual(seen, ['connecting', 'waiting', 'waiting', 'working', 'reconnecting', 'waiting']);
});

test('a paused, stopping or failed volunteer is not woken by what is still under way', () => {
  const computing: CoreEvent = { type: 'computing', lease: 'l', backend: 'cpu', ...UNIT };
  for (const state of [{ kind: 'paused', by: 'page' }, { kind: 'stopping' }, { kind: 'idle' }] as const) {
    assert.equal(nextState(state, computing), null, state.kind);
  }
});

test('verdicts become unit events', () => {
  const unit = { type: 'unit', job: 'bb', round: 1, index: 2, class: 'exact', referenceOps: 5 };
  assert.deepEqual(unitEvent({ type: 'accepted', receipt: '00', ...UNIT }), { ...unit, outcome: 'accepted' });
  const rejected: CoreEvent = { type: 'rejected', outcome: 'wrong_result', reason: '', ...UNIT };
  assert.deepEqual(unitEvent(rejected), { ...unit, outcome: 'rejected', why: 'wrong_result' });
  assert.equal(unitEvent({ type: 'stopped' }), null);
});
