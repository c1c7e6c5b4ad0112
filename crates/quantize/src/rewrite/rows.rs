//! Sums along axes, softmax and norms.

use shoal_compute::{Data, Tensor};
use shoal_graph::{DType, Node, Op, Reduction, Unary};

use super::{
    Refusal, Rewriter, WIDE,
    forms::{HALF_WIDE, PLACES},
    functions::unary_of,
};
use crate::{
    form::{Form, Scaled, Scales},
    norms::Norm,
};

/// Sums of integers stay below.
pub(super) const MOST: f64 = 2_147_483_647.0;
/// e^−x is below half of a 255th from here on.
const EXPONENTIAL_RANGE: f64 = 6.25;
/// The most elements of a norm: their sum, and x times their number, have 31 bits.
const MOST_NORM_WIDTH: u32 = 1 << 15;

impl Rewriter<'_> {
    pub(super) fn reduce(&mut self, node: &Node, reduction: Reduction, axes: &[u32]) -> Result<Form, Refusal> {
        let source = node.inputs[0];
        let count: f64 = axes.iter().map(|axis| f64::from(self.shape(source)[*axis as usize])).product();
        let terms = if reduction == Reduction::Sum { count } else { 1.0 };
        if reduction == Reduction::Product || terms * f64::from(WIDE) > MOST {
            return Err(Refusal::Unsupported("its results have more than 31 bits"));
        }
        let mut x = self.plain(source)?;
        let is_fit = match reduction {
            Reduction::Sum => x.scales.axis.is_none_or(|axis| !axes.contains(&(axis as u32))),
            _ => x.scales.single().is_some_and(|scale| scale > 0.0),
        };
        if !is_fit || x.bound * terms > MOST {
            x = self.wide(source)?;
            if x.bound * terms > MOST {
                return Err(Refusal::Unsupported("its results have more than 31 bits"));
            }
        }
        let value = self.b.apply(node.op.clone(), &[x.value])?;
        let axis = x.scales.axis.map(|axis| axis - axes.iter().filter(|other| (**other as usize) < axis).count());
        let scales = Scales { axis, ..x.scales };
        Ok(Form::Scaled(Scaled { value, scales, bound: x.bound * terms, is_relu: false }))
    }

    /// 255·e^(x − greatest) from a table, and the sums of these.
    pub(super) fn softmax(&mut self, node: &Node) -> Result<Form, Refusal> {
        let source = node.inputs[0];
        let mut x = self.plain(source)?;
        if x.scales.single().is_none_or(|scale| scale <= 0.0) || x.bound * 2.0 > MOST {
            x = self.wide(source)?;
        }
        let last = self.shape(source).len() as u32 - 1;
        let greatest = self.b.reduce(Reduction::Max, x.value, &[last])?;
        let below = self.b.sub(greatest, x.value)?;
        let step = EXPONENTIAL_RANGE / f64::from(PLACES - 1);
        let below = Scaled { value: below, bound: x.bound * 2.0, ..x };
        let places = self.requantized(&below, step, [0, PLACES - 1], DType::I32)?;
        let powers: Vec<f64> = (0..PLACES).map(|place| -f64::from(place) * step).collect();
        let entries = unary_of(Unary::Exp, &powers).iter().map(|x| (255.0 * x).round() as u8).collect();
        let table = self.weight("exponentials", Tensor::new([PLACES as u32], Data::U8(entries)))?;
        let weights = self.b.apply(Op::Gather { axis: 0 }, &[table, places.value])?;
        let wide = self.b.cast(weights, DType::I32)?;
        let sums = self.summed(wide, &[last])?;
        Ok(Form::Softmax { weights, sums })
    }

    /// c·2^15 / √(Σ c²/2^L), c of 15 bits and L the bits of the width: every sum has 31 bits at most.
    pub(crate) fn norm(&mut self, norm: Norm) -> Result<Form, Refusal> {
        let x = self.wide(norm.x)?;
        let shape = self.shape(norm.x);
        let (last, width) = (shape.len() as u32 - 1, shape[shape.len() - 1]);
        if width > MOST_NORM_WIDTH {
            return Err(Refusal::Unsupported("its sums have more than 31 bits"));
        }
        let scale = self.facts.range(norm.centred).greatest / HALF_WIDE;
        let centred = if norm.x == norm.centred {
            self.requantized(&x, scale, [-WIDE, WIDE], DType::I32)?
        } else {
            let count = self.number(width as i32)?;
            let sum = self.summed(x.value, &[last])?;
            let times = self.b.mul(x.value, count)?;
            let value = self.b.sub(times, sum)?;
            let scales = x.scales.map(|own| own / f64::from(width));
            let bound = x.bound * 2.0 * f64::from(width);
            self.requantized(&Scaled { value, scales, bound, is_relu: false }, scale, [-WIDE, WIDE], DType::I32)?
        };
        let bits = width.next_power_of_two().trailing_zeros();
        let part = f64::from(bits).exp2();
        let square = self.b.mul(centred.value, centred.value)?;
        let square = Scaled { value: square, scales: Scales::one(1.0), bound: 1.1e9, is_relu: false };
        let square = self.requantized(&square, part, [0, i32::MAX], DType::I32)?;
        let mut total = self.summed(square.value, &[last])?;
        // Of the mean, or of the sum.
        let divisor = if norm.is_mean { f64::from(width) } else { 1.0 };
        let epsilon = (norm.epsilon * divisor / (scale * scale * part)).round().min(f64::from(1 << 24));
        if epsilon >= 1.0 {
            let epsilon = self.number(epsilon as i32)?;
            total = self.b.add(total, epsilon)?;
        }
        let root = self.b.unary(Unary::Sqrt, total)?;
        let long = self.number(1 << 15)?;
        let long = self.b.mul(centred.value, long)?;
        let value = self.b.div(long, root)?;
        let scales = Scales::one((divisor / part).sqrt() / 32_768.0);
        Ok(Form::Scaled(Scaled { value, scales, bound: 65_536.0 * part.sqrt(), is_relu: false }))
    }
}
