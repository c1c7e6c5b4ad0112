import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONSENT_LIFETIME_MS, CONSENT_VERSION, ConsentKeeper, MemoryStore } from '../src/internal/consent.ts';

function keeper(): { store: MemoryStore; clock: { now: number }; keeper: ConsentKeeper } {
  const store = new MemoryStore();
  const clock = { now: 1_700_000_000_000 };
  return { store, clock, keeper: new ConsentKeeper(store, () => clock.now) };
}

test('nothing stored is no consent', () => {
  assert.deepEqual(keeper().keeper.status(), { kind: 'missing' });
});

test('consent lasts as long as it says and not a millisecond more', () => {
  const { clock, keeper: consent } = keeper();
  consent.give();
  clock.now += CONSENT_LIFETIME_MS - 1;
  assert.equal(consent.status().kind, 'given');
  clock.now += 1;
  assert.deepEqual(consent.status(), { kind: 'expired', expiredAt: new Date(clock.now) });
});

test('withdrawn consent is gone', () => {
  const { keeper: consent } = keeper();
  consent.give();
  consent.withdraw();
  assert.deepEqual(consent.status(), { kind: 'missing' });
});

test('another version, a damaged record, the future and a longer life are no consent', () => {
  const { store, clock, keeper: consent } = keeper();
  consent.give();
  const good: unknown = JSON.parse(store.getItem('shoal.consent') ?? '');
  assert.deepEqual(good, {
    version: CONSENT_VERSION,
    givenAtMs: clock.now,
    expiresAtMs: clock.now + CONSENT_LIFETIME_MS,
  });
  const edits: string[] = [
    JSON.stringify({ ...(good as object), version: CONSENT_VERSION + 1 }),
    JSON.stringify({ ...(good as object), givenAtMs: clock.now + 1 }),
    JSON.stringify({ ...(good as object), expiresAtMs: clock.now + CONSENT_LIFETIME_MS + 1 }),
    JSON.stringify({ ...(good as object), expiresAtMs: '9' }),
    'null',
    '{',
  ];
  for (const edit of edits) {
    store.setItem('shoal.consent', edit);
    assert.deepEqual(consent.status(), { kind: 'missing' }, edit);
  }
});

test('storage that throws is no consent', () => {
  const store = new MemoryStore();
  store.getItem = () => {
    throw new Error('storage is forbidden');
  };
  assert.deepEqual(new ConsentKeeper(store, Date.now).status(), { kind: 'missing' });
});
