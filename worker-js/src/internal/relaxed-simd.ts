/** Whether the engine knows relaxed SIMD, in which the core is faster at tolerant work. */

/** `(module (func (param v128) (drop (f32x4.relaxed_madd (local.get 0) (local.get 0) (local.get 0)))))` */
export const RELAXED_SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 1, 123, 0, 3, 2, 1, 0, 10, 14, 1, 12, 0, 32, 0, 32, 0, 32, 0, 253, 133, 2, 26, 11,
);

export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(RELAXED_SIMD);
}
