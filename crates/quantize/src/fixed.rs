//! Real factors as fixed-point multipliers: factor ≈ multiplier / 2^shift.

/// Multipliers that share a shift.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Factors {
    pub(crate) multipliers: Vec<i32>,
    pub(crate) shift: u32,
}

const MOST_SHIFT: i32 = 62;

/// The greatest factor gets 31 bits, so that its relative error is 2^−31 at most. A factor beyond 2^30 becomes the greatest
/// there is: what it scales is cut off anyway.
pub(crate) fn factors(real: &[f64]) -> Factors {
    let greatest = real.iter().fold(0.0f64, |greatest, x| greatest.max(x.abs()));
    let exponent = if greatest > 0.0 { greatest.min(1e300).log2().floor() as i32 } else { 0 };
    let shift = (30 - exponent).clamp(1, MOST_SHIFT);
    let unit = f64::from(shift).exp2();
    // A float that is beyond an integer becomes its nearest.
    let multipliers = real.iter().map(|x| (x * unit).round().clamp(-2_147_483_647.0, 2_147_483_647.0) as i32).collect();
    Factors { multipliers, shift: shift as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiplier_is_within_a_unit_of_its_factor() {
        for factor in [1.0, 0.999_999, 1e-6, 123_456.0, 0.5, -0.3, 1e9] {
            let Factors { multipliers, shift } = factors(&[factor]);
            let made = f64::from(multipliers[0]) / f64::from(shift).exp2();
            assert!((made - factor).abs() <= factor.abs() * 1e-9, "{factor}: {multipliers:?} >> {shift}");
        }
        assert_eq!(factors(&[1e38]), Factors { multipliers: vec![i32::MAX], shift: 1 });
        assert_eq!(factors(&[0.0]).multipliers, [0]);
        assert_eq!(factors(&[1.0, 0.25]), Factors { multipliers: vec![1 << 30, 1 << 28], shift: 30 });
    }
}
