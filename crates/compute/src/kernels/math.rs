//! exp and log from basic operations alone, the same bits on every target, without a branch, so that a loop over a slice
//! becomes vectors. Method and coefficients: S. Moshier, Cephes Mathematical Library, single precision `expf` and `logf`
//! (range reduction by ln 2 in two parts, then a minimax polynomial), accurate to about 2 units in the last place.

/// Adding and subtracting 1.5·2²³ rounds to the nearest integer, ties to even, for |x| < 2²².
const ROUND: f32 = 12_582_912.0;
/// ln 2, high part: few bits, so that n·LN2_HIGH is exact.
const LN2_HIGH: f32 = 0.693_359_4;
/// ln 2 − LN2_HIGH.
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Above it e^x is beyond the greatest f32.
const EXP_MAX: f32 = 88.722_84;
/// Below it e^x rounds to zero.
const EXP_MIN: f32 = -103.972_08;

/// 2^n for −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// e^x.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Within the range the clamps change nothing; beyond it the result is chosen at the end.
    let inside = if x > EXP_MAX { EXP_MAX } else { x };
    let inside = if inside < EXP_MIN { EXP_MIN } else { inside };
    let shifted = inside * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (inside - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    let y = (p * (r * r) + r) + 1.0;
    // Two factors, so that neither is out of range when the result is subnormal or near the greatest f32. The integer is
    // what the rounding left in the low bits.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let y = y * power_of_two(half) * power_of_two(n.wrapping_sub(half));
    let y = if x > EXP_MAX { f32::INFINITY } else { y };
    let y = if x < EXP_MIN { 0.0 } else { y };
    if x.is_nan() { x } else { y }
}

/// ln x; −∞ at zero, NaN below.
#[inline(always)]
pub(crate) fn log(x: f32) -> f32 {
    // A subnormal is scaled into the normal range first: 2²³ exactly.
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = x * if subnormal { 8_388_608.0 } else { 1.0 };
    let bits = scaled.to_bits();
    let e = ((bits >> 23) as i32).wrapping_sub(if subnormal { 126 + 23 } else { 126 });
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let low = mantissa < std::f32::consts::FRAC_1_SQRT_2;
    let e = e.wrapping_sub(i32::from(low)) as f32;
    let m = (mantissa + if low { mantissa } else { 0.0 }) - 1.0;
    let z = m * m;
    let mut p = 7.037_683_6e-2;
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p * m + c;
    }
    let mut y = (p * m) * z;
    y += e * LN2_LOW;
    y -= 0.5 * z;
    let y = (m + y) + e * LN2_HIGH;
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    // NaN as well.
    if x >= 0.0 { y } else { f32::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance from the true value in units of the last place of the result.
    fn ulps(got: f32, expected: f64) -> f64 {
        let ulp = f64::from(f32::from_bits((expected.abs() as f32).to_bits() + 1)) - f64::from(expected.abs() as f32);
        (f64::from(got) - expected).abs() / ulp
    }

    #[test]
    fn exp_is_within_two_ulps_over_its_range() {
        for step in 0..=400_000u32 {
            let x = -103.0 + 191.5 * (step as f32 / 400_000.0);
            let error = ulps(exp(x), f64::from(x).exp());
            assert!(error <= 2.0, "exp({x}) is off by {error} ulps");
        }
    }

    #[test]
    fn log_is_within_two_ulps_over_its_range() {
        for bits in (1..0x7f80_0000u32).step_by(9973) {
            let x = f32::from_bits(bits);
            let expected = f64::from(x).ln();
            let error = ulps(log(x), expected);
            assert!(error <= 2.0, "log({x:e}) is off by {error} ulps");
        }
    }

    #[test]
    fn edges() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(exp(-104.0), 0.0);
        assert_eq!(log(1.0), 0.0);
        assert_eq!(log(0.0), f32::NEG_INFINITY);
        assert!(log(-1.0).is_nan() && exp(f32::NAN).is_nan());
    }
}
