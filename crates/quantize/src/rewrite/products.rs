//! Products of bytes: matrices, convolutions, pooling.

use shoal_compute::{Data, Tensor};
use shoal_graph::{DType, Node, Op, ValueId, Window2d};

use super::{Refusal, Rewriter, forms::reals};
use crate::form::{Form, Scaled, Scales};

/// Products of a softmax's bytes times so much stay within 31 bits; see `deferred`.
const MOST_SUM: f64 = 2_147_483_647.0;
/// Greatest magnitude of a factor in two bytes: 127 of the upper one's steps, which the lower one divides in 254.
const MOST_FACTOR: f64 = 16_383.0;

impl Rewriter<'_> {
    pub(super) fn product(&mut self, node: &Node, trans_a: bool, trans_b: bool) -> Result<Form, Refusal> {
        let (a, b) = (node.inputs[0], node.inputs[1]);
        let depth = {
            let shape = self.shape(a);
            f64::from(shape[shape.len() - if trans_a { 2 } else { 1 }])
        };
        let right = match self.form(b)? {
            Form::Known(weight) if weight.shape().len() == 2 => {
                let (bytes, scales) = channels(&weight, usize::from(!trans_b))?;
                let value = self.weight(&self.name_of(b), bytes)?;
                Scaled { value, scales, bound: 127.0, is_relu: false }
            }
            _ => self.bytes(b)?,
        };
        if let (Form::Softmax { weights, sums }, false) = (self.form(a)?, trans_a) {
            return self.deferred(weights, sums, &right, trans_b, depth);
        }
        if self.facts.range(a).loss > self.facts.max_loss {
            return self.two_bytes(a, &right, [trans_a, trans_b], depth);
        }
        let left = self.bytes(a)?;
        let left_value = if trans_a { self.turned(left.value)? } else { left.value };
        let value = self.b.apply(Op::MatMulInteger { trans_b }, &[left_value, right.value])?;
        let left_scale = left.scales.values[0];
        let axis = right.scales.axis.map(|_| self.b.shape(value).len() - 1);
        let scales = Scales { axis, ..right.scales.map(|scale| scale * left_scale) };
        Ok(Form::Scaled(Scaled { value, scales, bound: left.bound * right.bound * depth, is_relu: false }))
    }

    /// A product whose left factor has more bits than a byte: its upper and its lower part are multiplied one after the other.
    /// As many bits as leave the sum 30.
    fn two_bytes(&mut self, a: ValueId, right: &Scaled, trans: [bool; 2], depth: f64) -> Result<Form, Refusal> {
        let [trans_a, trans_b] = trans;
        let most = (f64::from(1 << 30) / (right.bound * depth)).floor().clamp(127.0, MOST_FACTOR);
        let base = (most / 127.0).ceil();
        let x = match self.form(a)? {
            Form::Scaled(x) => x,
            _ => self.wide(a)?,
        };
        let scale = self.facts.range(a).greatest / most;
        let most = most as i32;
        let whole = self.requantized(&x, scale, [-most, most], DType::I32)?;
        let upper = Scaled { scales: Scales::one(1.0), ..whole.clone() };
        let upper = self.requantized(&upper, base, [-127, 127], DType::I8)?;
        let base_value = self.number(base as i32)?;
        let wide = self.b.cast(upper.value, DType::I32)?;
        let wide = self.b.mul(wide, base_value)?;
        let lower = self.b.sub(whole.value, wide)?;
        let lower = self.b.cast(lower, DType::I8)?;
        let mut sums = Vec::new();
        for part in [upper.value, lower] {
            let part = if trans_a { self.turned(part)? } else { part };
            sums.push(self.b.apply(Op::MatMulInteger { trans_b }, &[part, right.value])?);
        }
        let upper = self.b.mul(sums[0], base_value)?;
        let value = self.b.add(upper, sums[1])?;
        let axis = right.scales.axis.map(|_| self.b.shape(value).len() - 1);
        let scales = Scales { axis, ..right.scales.map(|own| own * scale) };
        let bound = f64::from(most) * right.bound * depth;
        Ok(Form::Scaled(Scaled { value, scales, bound, is_relu: false }))
    }

    /// softmax(x)·b, divided by the sums of the exponentials after the product: a byte of them is measured by the greatest of
    /// its row, however many there are.
    fn deferred(
        &mut self,
        weights: ValueId,
        sums: ValueId,
        right: &Scaled,
        trans_b: bool,
        depth: f64,
    ) -> Result<Form, Refusal> {
        let product = self.b.apply(Op::MatMulInteger { trans_b }, &[weights, right.value])?;
        // As many bits more before the division as fit.
        let bits = (MOST_SUM / (255.0 * right.bound * depth)).log2().floor().clamp(0.0, 12.0);
        let factor = bits.exp2();
        let long = self.number(factor as i32)?;
        let long = self.b.mul(product, long)?;
        let value = self.b.div(long, sums)?;
        let axis = right.scales.axis.map(|_| self.b.shape(value).len() - 1);
        let scales = Scales { axis, ..right.scales.map(|scale| scale / factor) };
        Ok(Form::Scaled(Scaled { value, scales, bound: right.bound * factor, is_relu: false }))
    }

    fn turned(&mut self, x: ValueId) -> Result<ValueId, Refusal> {
        let rank = self.b.shape(x).len() as u32;
        let mut axes: Vec<u32> = (0..rank).collect();
        axes.swap(rank as usize - 2, rank as usize - 1);
        Ok(self.b.transpose(x, &axes)?)
    }

    pub(super) fn convolution(&mut self, node: &Node, window: Window2d, groups: u32) -> Result<Form, Refusal> {
        let Form::Known(weight) = self.form(node.inputs[1])? else {
            return Err(Refusal::Unsupported("its weights are computed"));
        };
        let x = self.bytes(node.inputs[0])?;
        let depth: f64 = weight.shape()[1..].iter().map(|dim| f64::from(*dim)).product();
        let (bytes, scales) = channels(&weight, 0)?;
        let kernel = self.weight(&self.name_of(node.inputs[1]), bytes)?;
        let value = self.b.apply(Op::Conv2dInteger { window, groups }, &[x.value, kernel])?;
        let scales = Scales { axis: Some(1), ..scales.map(|scale| scale * x.scales.values[0]) };
        Ok(Form::Scaled(Scaled { value, scales, bound: x.bound * 127.0 * depth, is_relu: false }))
    }

    /// The greatest byte is the byte of the greatest.
    pub(super) fn max_pool(&mut self, node: &Node) -> Result<Form, Refusal> {
        let x = self.bytes(node.inputs[0])?;
        let value = self.b.apply(node.op.clone(), &[x.value])?;
        Ok(Form::Scaled(Scaled { value, ..x }))
    }

    /// A convolution of each channel with ones.
    pub(super) fn sum_pool(&mut self, node: &Node, window: Window2d, kernel: [u32; 2]) -> Result<Form, Refusal> {
        let x = self.bytes(node.inputs[0])?;
        let channels = self.shape(node.inputs[0])[1];
        let len = (channels * kernel[0] * kernel[1]) as usize;
        let ones = Tensor::new([channels, 1, kernel[0], kernel[1]], Data::I8(vec![1; len]));
        let ones = self.weight("ones", ones)?;
        let value = self.b.apply(Op::Conv2dInteger { window, groups: channels }, &[x.value, ones])?;
        let bound = x.bound * f64::from(kernel[0] * kernel[1]);
        Ok(Form::Scaled(Scaled { value, bound, ..x }))
    }

    /// Rows of a known table have a scale each; of anything else, what is gathered keeps its own.
    pub(super) fn gather(&mut self, node: &Node, axis: u32) -> Result<Form, Refusal> {
        let indices = self.whole_operand(node.inputs[1])?;
        match self.form(node.inputs[0])? {
            Form::Known(table) if axis == 0 && table.shape().len() == 2 => {
                let (bytes, scales) = channels(&table, 0)?;
                let scale = self.facts.range(node.output).greatest / super::forms::HALF_WIDE;
                let name = self.name_of(node.inputs[0]);
                let rows = self.weight(&name, bytes)?;
                let made = crate::fixed::factors(&scales.map(|own| own / scale).values);
                let multipliers = Tensor::i32([table.shape()[0], 1], made.multipliers);
                let multipliers = self.weight(&format!("{name}.multiplier"), multipliers)?;
                let rows = self.b.apply(Op::Gather { axis }, &[rows, indices])?;
                let rows = self.b.cast(rows, DType::I32)?;
                let multipliers = self.b.apply(Op::Gather { axis }, &[multipliers, indices])?;
                let (low, high) = (-super::WIDE, super::WIDE);
                let op = Op::Requantize { shift: made.shift, low, high, to: DType::I32 };
                let value = self.b.apply(op, &[rows, multipliers])?;
                let (scales, bound) = (Scales::one(scale), f64::from(super::WIDE));
                Ok(Form::Scaled(Scaled { value, scales, bound, is_relu: false }))
            }
            _ => {
                let x = self.for_moving(node.inputs[0], node.output)?;
                let value = self.b.apply(node.op.clone(), &[x.value, indices])?;
                Ok(Form::Scaled(Scaled { value, ..x }))
            }
        }
    }

    pub(super) fn whole_operand(&mut self, value: ValueId) -> Result<ValueId, Refusal> {
        match self.form(value)? {
            Form::Whole(value) => Ok(value),
            Form::Known(tensor) => Ok(self.weight(&self.name_of(value), tensor)?),
            _ => unreachable!("indices are integers"),
        }
    }
}

/// Bytes with a scale for each place of an axis.
fn channels(weight: &Tensor, axis: usize) -> Result<(Tensor, Scales), Refusal> {
    let values = reals(weight)?;
    let shape = weight.shape();
    let inner: usize = shape[axis + 1..].iter().map(|dim| *dim as usize).product();
    let count = shape[axis] as usize;
    let channel = |position: usize| position / inner % count;
    let mut greatest = vec![0.0f64; count];
    for (position, x) in values.iter().enumerate() {
        let own = &mut greatest[channel(position)];
        *own = own.max(x.abs());
    }
    let scales: Vec<f64> = greatest.iter().map(|most| if *most > 0.0 { most / 127.0 } else { 1.0 }).collect();
    let byte = |(position, x): (usize, &f64)| (x / scales[channel(position)]).round() as i8;
    let data = Data::I8(values.iter().enumerate().map(byte).collect());
    Ok((Tensor::new(shape, data), Scales { axis: Some(axis), values: scales.into() }))
}
