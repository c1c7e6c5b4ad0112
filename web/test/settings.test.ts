import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULTS, dataLimits, parseMbit, parseSettings } from '../src/volunteer/settings.ts';

test('settings of an earlier version are kept, and what is new has its default', () => {
  const earlier = JSON.stringify({ payoutAddress: '0x12', power: 'full', useGpu: false, pauseWhenHidden: true });
  const expected = { ...DEFAULTS, payoutAddress: '0x12', power: 'full', useGpu: false, pauseWhenHidden: true };
  assert.deepEqual(parseSettings(earlier), expected);
});

test('limits that make no sense are replaced by the default', () => {
  for (const bad of [-1, 0.05, 10_001, '5', Number.NaN, {}]) {
    assert.equal(parseSettings(JSON.stringify({ maxDownMbit: bad })).maxDownMbit, null);
  }
  assert.equal(parseSettings('{"diskMegabytes": 511}').diskMegabytes, 512);
  const chosen = { ...DEFAULTS, diskMegabytes: 0, maxDownMbit: 2.5, maxUpMbit: 0.1 } as const;
  assert.deepEqual(parseSettings(JSON.stringify(chosen)), chosen);
});

test('limits are bytes to the package, and no limit is left out', () => {
  assert.deepEqual(dataLimits(DEFAULTS), { cacheBytes: 536_870_912 });
  const limits = { ...DEFAULTS, diskMegabytes: 0, maxDownMbit: 8, maxUpMbit: 0.1 } as const;
  assert.deepEqual(dataLimits(limits), { cacheBytes: 0, maxDownBytesPerSecond: 1_000_000, maxUpBytesPerSecond: 12_500 });
});

test('what is typed is a limit, none, or a mistake', () => {
  for (const [text, mbit] of [['', null], ['  ', null], ['5', 5], ['2.5', 2.5], ['2,5', 2.5], ['.5', 0.5]] as const) {
    assert.equal(parseMbit(text), mbit, text);
  }
  for (const text of ['0', '-1', 'fast', '1e3', '10001', '1.2.3', '0x10', '.']) {
    assert.equal(parseMbit(text), undefined, text);
  }
});
