/**
 * What the core could do at all, as a module assembled at start: each loop keeps its numbers in registers, with as many
 * independent sums as hide an instruction's latency. Nothing of its kind can be faster in WebAssembly on this core.
 */
import binaryen from 'binaryen';
import { ACCUMULATORS, LIMIT_STEPS, READ_BYTES } from './browser/workloads.ts';

const PAGE_BYTES = 65_536;
const VECTOR_BYTES = 16;

/** A loop whose step updates each accumulator; the accumulators' sum is returned, so that nothing is left out. */
function loop(name: string, constants: string, step: (accumulator: string) => string): string {
  const accumulators = Array.from({ length: ACCUMULATORS }, (_, index) => `$s${String(index)}`);
  const locals = accumulators.map((accumulator) => `(local ${accumulator} v128)`).join(' ');
  const body = accumulators.map((accumulator) => `(local.set ${accumulator} ${step(accumulator)})`).join('\n');
  return `(func (export "${name}") (result i32) (local $i i32) (local $f v128) (local $t v128) ${locals}
    ${constants}
    (loop $again ${body}
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const ${String(LIMIT_STEPS)}))))
    (i32x4.extract_lane 0 ${sum(accumulators)}))`;
}

function sum(accumulators: readonly string[]): string {
  return accumulators.map((accumulator) => `(local.get ${accumulator})`).reduce((all, next) => `(v128.xor ${all} ${next})`);
}

/** Converges to 1, never to a denormal number, which would be slow. */
const HALVES = '(local.set $f (v128.const f32x4 0.5 0.5 0.5 0.5)) (local.set $t (v128.const f32x4 0.5 0.5 0.5 0.5))';
const INTEGERS = '(local.set $f (v128.const i16x8 3 5 7 11 13 17 19 23)) (local.set $t (v128.const i16x8 2 4 6 8 10 12 14 16))';

/** Reads all of the memory in steps of as many vectors as there are accumulators. */
function read(): string {
  const accumulators = Array.from({ length: 8 }, (_, index) => `$s${String(index)}`);
  const locals = accumulators.map((accumulator) => `(local ${accumulator} v128)`).join(' ');
  const body = accumulators.map(
    (accumulator, index) =>
      `(local.set ${accumulator} (v128.xor (local.get ${accumulator}) (v128.load offset=${String(index * VECTOR_BYTES)} (local.get $i))))`,
  );
  return `(func (export "memory read") (result i32) (local $i i32) ${locals}
    (loop $again ${body.join('\n')}
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const ${String(accumulators.length * VECTOR_BYTES)})))
        (i32.const ${String(READ_BYTES)}))))
    (i32x4.extract_lane 0 ${sum(accumulators)}))`;
}

export function assembleLimits(): Uint8Array {
  const text = `(module (memory (export "memory") ${String(READ_BYTES / PAGE_BYTES)})
    ${loop('mul+add', HALVES, (s) => `(f32x4.add (f32x4.mul (local.get ${s}) (local.get $f)) (local.get $t))`)}
    ${loop('relaxed FMA', HALVES, (s) => `(f32x4.relaxed_madd (local.get ${s}) (local.get $f) (local.get $t))`)}
    ${loop('dot_i16x8', INTEGERS, (s) => `(i32x4.add (i32x4.dot_i16x8_s (local.get ${s}) (local.get $f)) (local.get $t))`)}
    ${read()})`;
  const module = binaryen.parseText(text);
  try {
    module.setFeatures(binaryen.Features.All);
    if (module.validate() !== 1) throw new Error('the loops of the limits are not valid WebAssembly');
    return module.emitBinary();
  } finally {
    module.dispose();
  }
}
