// Functions that WGSL lacks, or lets adapters compute with an error beyond what a tolerant unit may have: its sin and cos
// are only good to 2⁻¹¹, its tanh overflows.

// x less the nearest multiple of π/2, in three parts (Cody & Waite); k mod 4 says which quarter.
fn reduced(x: f32) -> vec2<f32> {
    let k = round(x * 0.6366197723675814);
    let r = fma(k, -7.549789415861596e-8, fma(k, -1.5707962512969971, x));
    return vec2(fma(k, -5.390302953474087e-15, r), k - 4.0 * floor(k * 0.25));
}

fn sin_near_zero(r: f32) -> f32 {
    let s = r * r;
    return r + r * s * (-0.16666654611 + s * (0.0083321608736 - s * 0.00019515295891));
}

fn cos_near_zero(r: f32) -> f32 {
    let s = r * r;
    return 1.0 - 0.5 * s + s * s * (0.041666645683 + s * (-0.0013887316255 + s * 0.000024433157118));
}

fn sine(x: f32, quarter: f32) -> f32 {
    let r = reduced(x);
    let at = (r.y + quarter) % 4.0;
    let value = select(sin_near_zero(r.x), cos_near_zero(r.x), at == 1.0 || at == 3.0);
    return select(value, -value, at >= 2.0);
}

fn own_sin(x: f32) -> f32 { return sine(x, 0.0); }

fn own_cos(x: f32) -> f32 { return sine(x, 1.0); }

fn own_tanh(x: f32) -> f32 {
    let s = x * x;
    let near = x * (1.0 - s * (0.33333333 - s * (0.13333333 - s * (0.053968254 - s * 0.021869489))));
    let e = exp(-2.0 * min(abs(x), 20.0));
    return select(sign(x) * (1.0 - e) / (1.0 + e), near, abs(x) < 0.25);
}

// A series near zero, Abramowitz & Stegun 7.1.26 elsewhere.
fn own_erf(x: f32) -> f32 {
    let s = x * x;
    let series = 1.0 - s * (0.33333333 - s * (0.1 - s * (0.023809524 - s * (0.0046296296 - s * 0.00075757576))));
    let t = 1.0 / (1.0 + 0.3275911 * abs(x));
    let sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return select(sign(x) * (1.0 - sum * exp(-min(s, 87.0))), 1.1283791670955126 * x * series, abs(x) < 0.5);
}

fn own_sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-max(x, -87.0))); }

// WGSL leaves powers of negative numbers open.
fn own_pow(a: f32, b: f32) -> f32 {
    if b == 0.0 { return 1.0; }
    if a > 0.0 { return pow(a, b); }
    if a == 0.0 { return select(1.0 / a, 0.0, b > 0.0); }
    let whole = round(b);
    if whole != b { return sqrt(a); }
    let value = pow(-a, b);
    return select(value, -value, abs(whole - 2.0 * floor(whole * 0.5)) == 1.0);
}
