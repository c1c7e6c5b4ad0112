//! Activations and elementary functions, composed of primitives.

use shoal_graph::{Binary, Unary};

use super::{
    call::{Call, one},
    context::{Lowering, Made},
    table::Results,
    value::Value,
};

/// Those of one input.
pub(super) fn activation(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let alpha = |default| call.float("alpha", default);
    if call.op() == "Relu" && !call.input(0)?.element.is_float() {
        return one(low.with(Binary::Max, call.input(0)?, 0.0));
    }
    let x = call.floats(0)?;
    one(match call.op() {
        "Relu" => low.unary(Unary::Relu, x),
        "LeakyRelu" => {
            let scaled = low.scale(x, alpha(0.01))?;
            low.below_zero(x, &scaled)
        }
        "ThresholdedRelu" => {
            let is_above = low.less(&Value::scalar(x.element, alpha(1.0)), x)?;
            low.select(&is_above, x, &Value::scalar(x.element, 0.0))
        }
        "Elu" => low.elu(x, alpha(1.0), 1.0, 1.0),
        "Celu" => low.elu(x, alpha(1.0), alpha(1.0), 1.0),
        // The constants are those of Klambauer et al. 2017.
        "Selu" => low.elu(x, alpha(1.673_263_192_176_818_8), 1.0, call.float("gamma", 1.050_700_902_938_842_8)),
        "Gelu" if call.text("approximate", "none") == "tanh" => {
            let square = low.mul(x, x)?;
            let cube = low.mul(&square, x)?;
            let cube = low.scale(&cube, 0.044_715)?;
            let inner = low.add(x, &cube)?;
            let inner = low.scale(&inner, (2.0 / std::f64::consts::PI).sqrt())?;
            let tanh = low.unary(Unary::Tanh, &inner)?;
            low.half_of_one_plus(x, &tanh)
        }
        "Gelu" => {
            let scaled = low.scale(x, std::f64::consts::FRAC_1_SQRT_2)?;
            let erf = low.unary(Unary::Erf, &scaled)?;
            low.half_of_one_plus(x, &erf)
        }
        "HardSigmoid" => low.hard_sigmoid(x, alpha(0.2), call.float("beta", 0.5)),
        "HardSwish" => {
            let gate = low.hard_sigmoid(x, 1.0 / 6.0, 0.5)?;
            low.mul(x, &gate)
        }
        "Swish" => {
            let scaled = low.scale(x, alpha(1.0))?;
            let gate = low.unary(Unary::Sigmoid, &scaled)?;
            low.mul(x, &gate)
        }
        "Mish" => {
            let inner = low.softplus(x)?;
            let tanh = low.unary(Unary::Tanh, &inner)?;
            low.mul(x, &tanh)
        }
        "Softplus" => low.softplus(x),
        "Softsign" => {
            let size = low.unary(Unary::Abs, x)?;
            let below = low.plus(&size, 1.0)?;
            low.div(x, &below)
        }
        "Shrink" => low.shrink(x, call.float("lambd", 0.5), call.float("bias", 0.0)),
        other => unreachable!("{other} is no activation"),
    })
}

/// x below zero is multiplied by a slope, aligned at the last axis or given a channel.
pub(super) fn prelu(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    let scaled = low.mul(x, slope)?;
    one(low.below_zero(x, &scaled))
}

/// Elementary functions without a primitive.
pub(super) fn elementary(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    one(match call.op() {
        "Tan" => {
            let (sin, cos) = (low.unary(Unary::Sin, x)?, low.unary(Unary::Cos, x)?);
            low.div(&sin, &cos)
        }
        "Sinh" | "Cosh" => {
            let minus = low.unary(Unary::Neg, x)?;
            let (up, down) = (low.unary(Unary::Exp, x)?, low.unary(Unary::Exp, &minus)?);
            let both = if call.op() == "Sinh" { low.sub(&up, &down)? } else { low.add(&up, &down)? };
            low.scale(&both, 0.5)
        }
        "Asinh" => {
            let (size, sign) = (low.unary(Unary::Abs, x)?, low.unary(Unary::Sign, x)?);
            let log = low.log_with_root(&size, 1.0)?;
            low.mul(&log, &sign)
        }
        "Acosh" => low.log_with_root(x, -1.0),
        "Atanh" => {
            let ratio = low.ratio_about_one(x)?;
            let log = low.unary(Unary::Log, &ratio)?;
            low.scale(&log, -0.5)
        }
        "Atan" => low.atan(x),
        // The angle whose half has the tangent √((1 − x)/(1 + x)).
        "Acos" => {
            let ratio = low.ratio_about_one(x)?;
            let root = low.unary(Unary::Sqrt, &ratio)?;
            let half = low.atan(&root)?;
            low.scale(&half, 2.0)
        }
        _ => {
            let square = low.mul(x, x)?;
            let rest = low.scale(&square, -1.0)?;
            let rest = low.plus(&rest, 1.0)?;
            let root = low.unary(Unary::Sqrt, &rest)?;
            let tangent = low.div(x, &root)?;
            low.atan(&tangent)
        }
    })
}

impl Lowering<'_> {
    /// `other` where x is below zero, else x.
    fn below_zero(&mut self, x: &Value, other: &Value) -> Made {
        let is_below = self.with(Binary::Less, x, 0.0)?;
        self.select(&is_below, other, x)
    }

    /// γ·x, and γ·α·(e^(x/β) − 1) below zero.
    fn elu(&mut self, x: &Value, alpha: f64, beta: f64, gamma: f64) -> Made {
        let below = self.with(Binary::Min, x, 0.0)?;
        let below = self.scale(&below, 1.0 / beta)?;
        let below = self.unary(Unary::Exp, &below)?;
        let below = self.plus(&below, -1.0)?;
        let below = self.scale(&below, alpha)?;
        let made = self.below_zero(x, &below)?;
        self.scale(&made, gamma)
    }

    fn half_of_one_plus(&mut self, x: &Value, y: &Value) -> Made {
        let y = self.plus(y, 1.0)?;
        let product = self.mul(x, &y)?;
        self.scale(&product, 0.5)
    }

    fn hard_sigmoid(&mut self, x: &Value, alpha: f64, beta: f64) -> Made {
        let line = self.scale(x, alpha)?;
        let line = self.plus(&line, beta)?;
        let line = self.with(Binary::Min, &line, 1.0)?;
        self.with(Binary::Max, &line, 0.0)
    }

    /// ln(1 + e^x) without overflow.
    pub(super) fn softplus(&mut self, x: &Value) -> Made {
        let size = self.unary(Unary::Abs, x)?;
        let minus = self.unary(Unary::Neg, &size)?;
        let small = self.unary(Unary::Exp, &minus)?;
        let small = self.plus(&small, 1.0)?;
        let small = self.unary(Unary::Log, &small)?;
        let positive = self.unary(Unary::Relu, x)?;
        self.add(&positive, &small)
    }

    fn shrink(&mut self, x: &Value, threshold: f64, bias: f64) -> Made {
        let (down, up) = (self.plus(x, -bias)?, self.plus(x, bias)?);
        let is_above = self.less(&Value::scalar(x.element, threshold), x)?;
        let is_below = self.with(Binary::Less, x, -threshold)?;
        let rest = self.select(&is_below, &up, &Value::scalar(x.element, 0.0))?;
        self.select(&is_above, &down, &rest)
    }

    /// ln(x + √(x² + c)).
    fn log_with_root(&mut self, x: &Value, c: f64) -> Made {
        let square = self.mul(x, x)?;
        let inner = self.plus(&square, c)?;
        let root = self.unary(Unary::Sqrt, &inner)?;
        let sum = self.add(x, &root)?;
        self.unary(Unary::Log, &sum)
    }

    /// (1 − x)/(1 + x).
    fn ratio_about_one(&mut self, x: &Value) -> Made {
        let minus = self.scale(x, -1.0)?;
        let (above, below) = (self.plus(&minus, 1.0)?, self.plus(x, 1.0)?);
        self.div(&above, &below)
    }

    /// By Cephes' `atanf`: the argument is brought within ±tan(π/8), where a polynomial is within 2 units in the last
    /// place.
    fn atan(&mut self, x: &Value) -> Made {
        let (size, sign) = (self.unary(Unary::Abs, x)?, self.unary(Unary::Sign, x)?);
        let scalar = |number| Value::scalar(x.element, number);
        let is_large = self.less(&scalar(2.414_213_562_373_095), &size)?;
        let is_middle = self.less(&scalar(0.414_213_562_373_095), &size)?;
        let inverse = self.unary(Unary::Reciprocal, &size)?;
        let inverse = self.scale(&inverse, -1.0)?;
        let turned = self.ratio_about_one(&size)?;
        let turned = self.scale(&turned, -1.0)?;
        let argument = self.select(&is_middle, &turned, &size)?;
        let argument = self.select(&is_large, &inverse, &argument)?;
        let base = self.select(&is_middle, &scalar(std::f64::consts::FRAC_PI_4), &scalar(0.0))?;
        let base = self.select(&is_large, &scalar(std::f64::consts::FRAC_PI_2), &base)?;
        let square = self.mul(&argument, &argument)?;
        let mut sum = self.scale(&square, 8.053_744_495_38e-2)?;
        for coefficient in [-1.387_768_560_32e-1, 1.997_771_064_78e-1, -3.333_294_915_39e-1] {
            sum = self.plus(&sum, coefficient)?;
            sum = self.mul(&sum, &square)?;
        }
        sum = self.plus(&sum, 1.0)?;
        let angle = self.mul(&sum, &argument)?;
        let angle = self.add(&base, &angle)?;
        self.mul(&angle, &sign)
    }
}
