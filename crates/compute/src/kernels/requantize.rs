//! Fixed-point scaling of integers: x·m / 2^shift, rounded half away from zero, within a range. Written once; each level
//! of instructions compiles it to its own vectors.
#![allow(unsafe_code, reason = "a loop is compiled for a level that the machine has")]

use super::lanes::{IntegerKernel, Lanes, Level};

/// An integer type that a result may have.
pub(crate) trait Narrow: Copy {
    /// The same number; the range of a requantisation is within the type.
    fn narrow(x: i32) -> Self;
}

impl Narrow for i32 {
    #[inline(always)]
    fn narrow(x: i32) -> Self {
        x
    }
}

impl Narrow for i8 {
    #[inline(always)]
    fn narrow(x: i32) -> Self {
        x as i8
    }
}

impl Narrow for u8 {
    #[inline(always)]
    fn narrow(x: i32) -> Self {
        x as u8
    }
}

/// How results are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scaling {
    /// Bits that are dropped, from 1 to 62.
    pub(crate) shift: u32,
    pub(crate) low: i32,
    pub(crate) high: i32,
}

impl Scaling {
    /// One element. Half is added to a product at or above zero, and one less than half to one below, so that the shift,
    /// which rounds down, rounds both away from zero.
    #[inline(always)]
    pub(crate) fn of(self, x: i32, multiplier: i32) -> i32 {
        let product = i64::from(x) * i64::from(multiplier);
        let half = 1i64 << (self.shift - 1);
        let scaled = (product + half + (product >> 63)) >> self.shift;
        scaled.clamp(self.low.into(), self.high.into()) as i32
    }

    /// Each element with its multiplier.
    pub(crate) fn run<T: Narrow>(self, level: Level, x: &[i32], multiplier: &[i32], y: &mut [T]) {
        // SAFETY: the kernel has slices alone.
        unsafe { level.run_integers(Loop { scaling: self, x, multiplier, y }) }
    }
}

struct Loop<'a, T> {
    scaling: Scaling,
    x: &'a [i32],
    multiplier: &'a [i32],
    y: &'a mut [T],
}

impl<T: Narrow> IntegerKernel for Loop<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Lanes<Element = i32>>(self) {
        for ((y, x), multiplier) in self.y.iter_mut().zip(self.x).zip(self.multiplier) {
            *y = T::narrow(self.scaling.of(*x, *multiplier));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the definition, in more bits than the product has.
    fn plain(scaling: Scaling, x: i32, multiplier: i32) -> i32 {
        let product = i128::from(x) * i128::from(multiplier);
        let rounded = ((product.abs() + (1 << (scaling.shift - 1))) >> scaling.shift) * product.signum();
        rounded.clamp(scaling.low.into(), scaling.high.into()) as i32
    }

    #[test]
    fn every_level_rounds_half_away_from_zero_and_saturates() {
        let edges = [0, 1, -1, 2, -2, 3, -3, 127, -128, 1 << 30, (1 << 30) + 1, i32::MAX, i32::MIN, i32::MIN + 1];
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Of every length, so that ties and small results are many.
            (state as i32) >> (state >> 27)
        };
        let mut pairs: Vec<(i32, i32)> = edges.iter().flat_map(|a| edges.map(|b| (*a, b))).collect();
        pairs.extend((0..997).map(|_| (next(), next())));
        let (x, multiplier): (Vec<i32>, Vec<i32>) = pairs.into_iter().unzip();
        for shift in 1..=62 {
            for (low, high) in [(i32::MIN, i32::MAX), (-128, 127), (0, 100), (-5, -5)] {
                let scaling = Scaling { shift, low, high };
                let expected: Vec<i32> = x.iter().zip(&multiplier).map(|(x, m)| plain(scaling, *x, *m)).collect();
                for level in Level::available() {
                    let mut wide = vec![0i32; x.len()];
                    scaling.run(level, &x, &multiplier, &mut wide);
                    assert_eq!(wide, expected, "{scaling:?} {level:?}");
                    if low >= -128 && high <= 127 {
                        let mut narrow = vec![0i8; x.len()];
                        scaling.run(level, &x, &multiplier, &mut narrow);
                        assert!(
                            narrow.iter().zip(&expected).all(|(a, b)| i32::from(*a) == *b),
                            "{scaling:?} {level:?}"
                        );
                    }
                }
            }
        }
    }
}
