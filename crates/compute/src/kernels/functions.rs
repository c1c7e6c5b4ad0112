//! tanh, erf, sigmoid, sin, cos and pow from basic operations alone, the same bits on every target, without a branch, so
//! that a loop over a slice becomes vectors. tanh follows Cephes (`tanhf`) and erf N. Juffa's minimax polynomials, both in
//! f32; sin, cos and pow are computed in f64 and rounded once.

use super::math::exp;

/// Adding and subtracting 1.5·2⁵² rounds an f64 to the nearest integer, ties to even, for |x| < 2⁵¹; before the
/// subtraction the low bits are that integer.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// 1 / (1 + e^−x), within 2 units in the last place.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    // e^−|x| neither overflows nor cancels; the numerator keeps the small values of a negative x.
    let e = exp(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    let sum = 1.0 + e;
    let y = numerator / sum;
    // What the sum lost in rounding, to first order.
    y - y * (e - (sum - 1.0)) / sum
}

/// Within 3 units in the last place.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let magnitude = x.abs();
    let z = x * x;
    let mut p = -5.704_988_7e-3;
    for c in [2.063_908_8e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = p * z + c;
    }
    let small = p * z * x + x;
    let large = 1.0 - 2.0 / (exp(magnitude + magnitude) + 1.0);
    (if magnitude < 0.625 { small } else { large }).copysign(x)
}

/// Within 3 units in the last place.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let magnitude = x.abs();
    let z = x * x;
    let mut p = -5.967_617e-4;
    for c in [4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_25e-1, -3.761_253_4e-1, 1.283_791_7e-1] {
        p = p * z + c;
    }
    let small = p * x + x;
    // Beyond 4 the result rounds to one.
    let t = if magnitude > 4.0 { 4.0 } else { magnitude };
    let mut q = -1.728_534_7e-5;
    for c in [3.831_971_3e-4, -3.883_964_4e-3, 2.425_462_2e-2, -1.067_778_8e-1, -6.348_467e-1, -1.287_175_1e-1] {
        q = q * t + c;
    }
    let large = (1.0 - exp(q * t - t)).copysign(x);
    if magnitude > 0.927_734_4 { large } else { small }
}

/// Within 1 unit in the last place for |x| ≤ 10⁶. Beyond, the argument's remainder is off by |x|·2⁻⁵² at most, and past
/// 2⁵⁰ the result is only known to be in [−1, 1]. NaN at infinities.
#[inline(always)]
pub(crate) fn sin(x: f32) -> f32 {
    let (quarter, sine, cosine) = circle(x);
    let y = if quarter & 1 == 0 { sine } else { cosine };
    let y = (if quarter & 2 == 0 { y } else { -y }) as f32;
    // −0 would lose its sign in the reduction.
    if x == 0.0 { x } else { y }
}

/// As [`sin`].
#[inline(always)]
pub(crate) fn cos(x: f32) -> f32 {
    let (quarter, sine, cosine) = circle(x);
    let y = if quarter & 1 == 0 { cosine } else { sine };
    (if quarter.wrapping_add(1) & 2 == 0 { y } else { -y }) as f32
}

/// The nearest multiple of π/2, and sine and cosine of what is left.
#[inline(always)]
fn circle(x: f32) -> (u64, f64, f64) {
    /// π/2: 33 bits, so that multiples up to 2²⁰ of it are exact, then what is missing.
    const HIGH: f64 = 1.570_796_326_734_125_6;
    const LOW: f64 = 6.077_100_506_506_192e-11;
    let x = f64::from(x);
    let shifted = x * std::f64::consts::FRAC_2_PI + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * HIGH) - n * LOW;
    let r = if r > 0.8 { 0.8 } else { r };
    let r = if r < -0.8 { -0.8 } else { r };
    let z = r * r;
    // Taylor's series: the next terms are below 10⁻¹² of the result.
    let mut s = 1.0 / 6_227_020_800.0;
    for c in [-1.0 / 39_916_800.0, 1.0 / 362_880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0] {
        s = s * z + c;
    }
    let mut c = 1.0 / 479_001_600.0;
    for k in [-1.0 / 3_628_800.0, 1.0 / 40_320.0, -1.0 / 720.0, 1.0 / 24.0, -0.5] {
        c = c * z + k;
    }
    (shifted.to_bits(), s * z * r + r, c * z + 1.0)
}

/// x^y within 1 unit in the last place, with the special values of IEEE 754: 1 for y = ±0 and for x = 1 whatever the
/// other is, a negative x only with an integer y.
#[inline(always)]
pub(crate) fn pow(x: f32, y: f32) -> f32 {
    let (wide_x, wide_y) = (f64::from(x), f64::from(y));
    let t = wide_y * log2(wide_x.abs());
    let t = if t > 200.0 { 200.0 } else { t };
    let t = if t < -200.0 { -200.0 } else { t };
    let size = if y == 0.0 || x.abs() == 1.0 { 1.0 } else { exp2(t) as f32 };
    // From 2⁵⁰ on every f32 is an even integer.
    let steps = wide_y.abs();
    let steps = if steps > 1_125_899_906_842_624.0 { 1_125_899_906_842_624.0 } else { steps };
    let rounded = steps + ROUND;
    let whole = rounded - ROUND == steps;
    let odd = whole && rounded.to_bits() & 1 == 1;
    let negative = x.is_sign_negative();
    let signed = if negative && odd { -size } else { size };
    let imaginary = x < 0.0 && !whole && x != f32::NEG_INFINITY;
    let unordered = (x.is_nan() || y.is_nan()) && y != 0.0 && x != 1.0;
    if imaginary || unordered { f32::NAN } else { signed }
}

/// Of a positive f64 that is an f32, with a relative error below 2⁻⁴⁸; −∞ at 0, ∞ at ∞.
#[inline(always)]
fn log2(x: f64) -> f64 {
    /// Bits of √½: mantissas from there to √2 have the exponent 0.
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    let shifted = x.to_bits().wrapping_add(ONE - ROOT_HALF);
    // The exponent as a float without a conversion of 64-bit integers, which few vector sets have.
    let exponent = f64::from_bits((shifted >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0);
    let mantissa = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT_HALF));
    // log m = 2·atanh((m − 1) / (m + 1)); the next term is below 10⁻¹⁵ of the sum.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let mut p = 1.0 / 19.0;
    for c in [1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0] {
        p = p * z + c;
    }
    let y = exponent + (p * z * s + s) * (2.0 * std::f64::consts::LOG2_E);
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    if x == f64::INFINITY { x } else { y }
}

/// 2^t for |t| ≤ 200.
#[inline(always)]
fn exp2(t: f64) -> f64 {
    let shifted = t + ROUND;
    let r = (t - (shifted - ROUND)) * std::f64::consts::LN_2;
    // Taylor's series: the next term is below 10⁻¹⁴.
    let mut p = 1.0 / 39_916_800.0;
    for c in [
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = p * r + c;
    }
    // ROUND's low bits are zero but for those of t's integer.
    f64::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance from the true value in units of the last place of the result.
    fn ulps(got: f32, expected: f64) -> f64 {
        let size = expected.abs() as f32;
        let ulp = f64::from(f32::from_bits(size.to_bits() + 1)) - f64::from(size);
        (f64::from(got) - expected).abs() / ulp
    }

    /// Every `step`-th f32 of either sign up to `last`.
    fn floats(last: f32, step: usize) -> impl Iterator<Item = f32> {
        (0..=last.to_bits()).step_by(step).flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
    }

    fn worst(last: f32, bound: f64, f: impl Fn(f32) -> f32, reference: impl Fn(f64) -> f64) {
        let mut worst = (0.0, 0.0);
        for x in floats(last, 4993) {
            let error = ulps(f(x), reference(f64::from(x)));
            if error > worst.0 || error.is_nan() {
                worst = (error, x);
            }
        }
        assert!(worst.0 <= bound, "off by {} ulps at {:e}", worst.0, worst.1);
    }

    /// erf by its series, which converges everywhere and cancels little below 3; beyond by the continued fraction of erfc.
    fn erf_reference(x: f64) -> f64 {
        let a = x.abs();
        if a < 2.5 {
            let (mut sum, mut term, mut n) = (x, x, 0.0);
            while term.abs() > 1e-18 * sum.abs() {
                n += 1.0;
                term *= -x * x / n;
                sum += term / (2.0 * n + 1.0);
            }
            return sum * std::f64::consts::FRAC_2_SQRT_PI;
        }
        let mut fraction = 0.0;
        for k in (1..200).rev() {
            fraction = f64::from(k) / 2.0 / (a + fraction);
        }
        (1.0 - (-a * a).exp() / ((a + fraction) * std::f64::consts::PI.sqrt())).copysign(x)
    }

    #[test]
    fn sigmoid_is_within_two_ulps() {
        worst(88.0, 2.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
        assert_eq!((sigmoid(f32::INFINITY), sigmoid(f32::NEG_INFINITY), sigmoid(0.0)), (1.0, 0.0, 0.5));
        assert!(sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_three_ulps() {
        worst(f32::MAX, 3.0, tanh, f64::tanh);
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)), (1.0, -1.0));
        assert_eq!(tanh(-0.0).to_bits(), (-0.0f32).to_bits());
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn erf_is_within_three_ulps() {
        worst(10.0, 3.0, erf, erf_reference);
        assert_eq!((erf(f32::INFINITY), erf(f32::MIN)), (1.0, -1.0));
        assert_eq!(erf(-0.0).to_bits(), (-0.0f32).to_bits());
        assert!(erf(f32::NAN).is_nan());
    }

    #[test]
    fn sin_and_cos_are_within_one_ulp_up_to_a_million() {
        worst(1e6, 1.0, sin, f64::sin);
        worst(1e6, 1.0, cos, f64::cos);
        // Next to multiples of π/2, where almost everything cancels.
        for n in 1..20_000u32 {
            let near = (f64::from(n) * std::f64::consts::FRAC_PI_2) as f32;
            for x in [near, f32::from_bits(near.to_bits() + 1), f32::from_bits(near.to_bits() - 1)] {
                assert!(ulps(sin(x), f64::from(x).sin()) <= 1.0, "sin({x})");
                assert!(ulps(cos(x), f64::from(x).cos()) <= 1.0, "cos({x})");
            }
        }
        assert_eq!((sin(-0.0).to_bits(), cos(-0.0)), ((-0.0f32).to_bits(), 1.0));
        assert!(sin(f32::INFINITY).is_nan() && cos(f32::NEG_INFINITY).is_nan() && sin(f32::NAN).is_nan());
        assert!([1e9, 1e20, f32::MAX].iter().all(|x| sin(*x).abs() <= 1.0 && cos(*x).abs() <= 1.0));
    }

    #[test]
    fn pow_is_within_one_ulp() {
        let bases = (0..=f32::MAX.to_bits()).step_by(199_999).map(f32::from_bits);
        for x in bases.chain([0.999_999_94, 1.000_000_1, 2.0, 10.0]) {
            for y in [-150.0, -37.5, -3.0, -1.0, -0.5, -1e-3, 1e-6, 0.333_333_34, 0.5, 1.0, 2.0, 2.5, 17.0, 88.0, 1e6] {
                let expected = f64::from(x).powf(f64::from(y));
                let got = pow(x, y);
                if expected > f64::from(f32::MAX) * (1.0 + 2f64.powi(-25)) {
                    assert_eq!(got, f32::INFINITY, "{x:e}^{y}");
                } else {
                    assert!(ulps(got, expected) <= 1.0, "{x:e}^{y} = {expected:e}, got {got:e}");
                }
            }
        }
    }

    #[test]
    fn pow_has_the_special_values_of_ieee_754() {
        let values = [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 16_777_215.0, 16_777_216.0, 1e-40, 1e30, f32::INFINITY, f32::NAN];
        for x in values.into_iter().flat_map(|x| [x, -x]) {
            for y in values.into_iter().flat_map(|y| [y, -y]) {
                let (got, expected) = (pow(x, y), f64::from(x).powf(f64::from(y)) as f32);
                let same = got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan());
                let near = ulps(got, f64::from(x).powf(f64::from(y))) <= 1.0;
                assert!(same || near, "{x:e}^{y:e}: {got:e}, not {expected:e}");
            }
        }
    }
}
