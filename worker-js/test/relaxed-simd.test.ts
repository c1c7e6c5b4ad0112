import assert from 'node:assert/strict';
import { test } from 'node:test';
import binaryen from 'binaryen';
import { RELAXED_SIMD } from '../src/internal/relaxed-simd.ts';

test('the module that engines are asked about is the one that its comment says', () => {
  const module = binaryen.parseText(
    '(module (func (param v128) (drop (f32x4.relaxed_madd (local.get 0) (local.get 0) (local.get 0)))))',
  );
  module.setFeatures(binaryen.Features.SIMD128 | binaryen.Features.RelaxedSIMD);
  assert.equal(module.validate(), 1);
  assert.deepEqual(RELAXED_SIMD, Uint8Array.from(module.emitBinary()));
  module.setFeatures(binaryen.Features.SIMD128);
  assert.equal(module.validate(), 0, 'an engine without relaxed SIMD refuses it');
});
