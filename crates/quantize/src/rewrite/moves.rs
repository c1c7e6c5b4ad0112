//! Operations that move elements: they move the integers.

use shoal_graph::{DType, Node, Op, ValueId};

use super::{Refusal, Rewriter};
use crate::form::{Form, Scaled, Scales, Table};

impl Rewriter<'_> {
    pub(super) fn moved(&mut self, node: &Node) -> Result<Form, Refusal> {
        if let Op::Concat { .. } = node.op {
            return self.concat(node);
        }
        let source = node.inputs[0];
        match self.form(source)? {
            Form::Table(table) if !matches!(node.op, Op::Pad { .. }) => {
                let places = self.b.apply(node.op.clone(), &[table.places])?;
                Ok(Form::Table(Table { places, root: None, ..table }))
            }
            Form::Softmax { weights, sums } if matches!(node.op, Op::Reshape { .. }) => {
                self.reshaped_softmax(node, weights, sums)
            }
            Form::Scaled(x) if matches!(node.op, Op::Reshape { .. }) => {
                if let Some(scales) = reshaped(&x.scales, self.shape(source), self.shape(node.output)) {
                    let value = self.b.apply(node.op.clone(), &[x.value])?;
                    return Ok(Form::Scaled(Scaled { value, scales, ..x }));
                }
                self.moved_single(node)
            }
            Form::Scaled(x) if matches!(node.op, Op::Broadcast { .. }) => {
                let ranks = [self.shape(source), self.shape(node.output)].map(<[u32]>::len);
                let axis = x.scales.axis.map(|axis| axis + ranks[1] - ranks[0]);
                let value = self.b.apply(node.op.clone(), &[x.value])?;
                let scales = Scales { axis, ..x.scales };
                Ok(Form::Scaled(Scaled { value, scales, ..x }))
            }
            _ => self.moved_single(node),
        }
    }

    fn moved_single(&mut self, node: &Node) -> Result<Form, Refusal> {
        let x = self.for_moving(node.inputs[0], node.output)?;
        match &node.op {
            Op::Pad { low, high, interior, value } if *value == 0.0 => {
                let x = self.widened(&x)?;
                let (low, high, interior) = (low.clone(), high.clone(), interior.clone());
                let made = self.b.apply(Op::Pad { low, high, interior, value: 0.0 }, &[x.value])?;
                Ok(Form::Scaled(Scaled { value: made, ..x }))
            }
            Op::Pad { .. } => Err(Refusal::Unsupported("it pads with a number other than zero")),
            op => {
                let value = self.b.apply(op.clone(), &[x.value])?;
                Ok(Form::Scaled(Scaled { value, ..x }))
            }
        }
    }

    fn reshaped_softmax(&mut self, node: &Node, weights: ValueId, sums: ValueId) -> Result<Form, Refusal> {
        let (from, to) = (self.shape(node.inputs[0]), self.shape(node.output));
        if from.last() != to.last() {
            return self.moved_single(node);
        }
        let mut kept = to.to_vec();
        *kept.last_mut().expect("a softmax has an axis") = 1;
        let (weights, sums) = (self.b.reshape(weights, to)?, self.b.reshape(sums, &kept)?);
        Ok(Form::Softmax { weights, sums })
    }

    /// One scale: bytes where only products read the result, else 15 bits.
    pub(super) fn for_moving(&mut self, source: ValueId, made: ValueId) -> Result<Scaled, Refusal> {
        if let Form::Scaled(x) = self.form(source)?
            && !x.is_relu
            && x.scales.single().is_some_and(|scale| scale > 0.0)
            && (!self.is_for_products[made.index()] || self.b.value_type(x.value).dtype == DType::I8)
        {
            return Ok(x);
        }
        if self.is_for_products[made.index()] { self.bytes(source) } else { self.wide(source) }
    }

    /// All under the greatest scale.
    fn concat(&mut self, node: &Node) -> Result<Form, Refusal> {
        let is_bytes = self.is_for_products[node.output.index()];
        let (most, to) = if is_bytes { (127, DType::I8) } else { (super::WIDE, DType::I32) };
        let parts = node.inputs.iter().map(|value| if is_bytes { self.bytes(*value) } else { self.wide(*value) });
        let parts = parts.collect::<Result<Vec<Scaled>, Refusal>>()?;
        let scale = parts.iter().map(|part| part.scales.values[0]).fold(0.0, f64::max);
        let mut values = Vec::new();
        for part in &parts {
            let part = if part.scales.values[0] == scale && part.bound <= f64::from(most) {
                part.clone()
            } else {
                self.requantized(part, scale, [-most, most], to)?
            };
            values.push(part.value);
        }
        let value = self.b.apply(node.op.clone(), &values)?;
        Ok(Form::Scaled(Scaled { value, scales: Scales::one(scale), bound: f64::from(most), is_relu: false }))
    }
}

/// The same scales under another shape: where their axis is still one, between as many elements before and after.
fn reshaped(scales: &Scales, from: &[u32], to: &[u32]) -> Option<Scales> {
    let Some(axis) = scales.axis else { return Some(scales.clone()) };
    let before: u64 = from[..axis].iter().map(|dim| u64::from(*dim)).product();
    let mut passed = 1;
    for (at, dim) in to.iter().enumerate() {
        if passed == before && *dim == from[axis] {
            return Some(Scales { axis: Some(at), ..scales.clone() });
        }
        passed *= u64::from(*dim);
    }
    None
}
