//! Interim.
pub(crate) fn sin(x: f32) -> f32 {
    f64::from(x).sin() as f32
}
pub(crate) fn cos(x: f32) -> f32 {
    f64::from(x).cos() as f32
}
pub(crate) fn tanh(x: f32) -> f32 {
    f64::from(x).tanh() as f32
}
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + super::math::exp(-x))
}
pub(crate) fn pow(a: f32, b: f32) -> f32 {
    f64::from(a).powf(f64::from(b)) as f32
}
/// Abramowitz & Stegun 7.1.26 in f64 by series.
pub(crate) fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    if x.abs() > 6.0 {
        return x.signum() as f32;
    }
    let (mut sum, mut term, mut n) = (x, x, 0.0f64);
    while term.abs() > 1e-17 * sum.abs() && n < 200.0 {
        n += 1.0;
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    (sum * std::f64::consts::FRAC_2_SQRT_PI) as f32
}
