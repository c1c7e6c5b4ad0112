//! The vocabulary of the lowering functions: primitive operations on values, with ONNX's element types carried along.

use shoal_graph::{Binary, DType, Op, Reduction, Unary};

use super::{
    context::{Lowering, Made},
    value::Value,
};
use crate::{element::Element, error::NodeError};

impl Lowering<'_> {
    pub(super) fn unary(&mut self, unary: Unary, x: &Value) -> Made {
        self.emit(Op::Unary(unary), &[x], x.element)
    }

    /// An operation on two values of one element type; narrow integers wrap.
    pub(super) fn binary(&mut self, binary: Binary, a: &Value, b: &Value) -> Made {
        if binary.is_comparison() {
            return self.emit(Op::Binary(binary), &[a, b], Element::Bool);
        }
        let made = self.emit(Op::Binary(binary), &[a, b], a.element)?;
        let grows = matches!(binary, Binary::Add | Binary::Sub | Binary::Mul);
        if grows && a.element.is_narrow() { self.wrap(&made, a.element) } else { Ok(made) }
    }

    pub(super) fn add(&mut self, a: &Value, b: &Value) -> Made {
        self.binary(Binary::Add, a, b)
    }

    pub(super) fn sub(&mut self, a: &Value, b: &Value) -> Made {
        self.binary(Binary::Sub, a, b)
    }

    pub(super) fn mul(&mut self, a: &Value, b: &Value) -> Made {
        self.binary(Binary::Mul, a, b)
    }

    pub(super) fn div(&mut self, a: &Value, b: &Value) -> Made {
        self.binary(Binary::Div, a, b)
    }

    /// x combined with a number of its type.
    pub(super) fn with(&mut self, binary: Binary, x: &Value, number: f64) -> Made {
        self.binary(binary, x, &Value::scalar(x.element, number))
    }

    pub(super) fn scale(&mut self, x: &Value, factor: f64) -> Made {
        if factor == 1.0 { Ok(x.clone()) } else { self.with(Binary::Mul, x, factor) }
    }

    pub(super) fn plus(&mut self, x: &Value, number: f64) -> Made {
        self.with(Binary::Add, x, number)
    }

    /// Truth value of its opposite.
    pub(super) fn not(&mut self, x: &Value) -> Made {
        self.with(Binary::Xor, x, 1.0)
    }

    pub(super) fn less(&mut self, a: &Value, b: &Value) -> Made {
        self.binary(Binary::Less, a, b)
    }

    pub(super) fn select(&mut self, condition: &Value, a: &Value, b: &Value) -> Made {
        self.emit(Op::Where, &[condition, a, b], a.element)
    }

    /// The low bits of an i32 as a narrower type.
    pub(super) fn wrap(&mut self, x: &Value, to: Element) -> Made {
        let made = match to {
            Element::U8 => self.with(Binary::And, x, 255.0)?,
            Element::U16 => self.with(Binary::And, x, 65_535.0)?,
            Element::I8 => self.wrap_signed(x, 128.0)?,
            Element::I16 => self.wrap_signed(x, 32_768.0)?,
            _ => x.clone(),
        };
        Ok(Value { element: to, ..made })
    }

    fn wrap_signed(&mut self, x: &Value, half: f64) -> Made {
        let x = Value { element: Element::I32, ..x.clone() };
        let shifted = self.plus(&x, half)?;
        let low = self.with(Binary::And, &shifted, half * 2.0 - 1.0)?;
        self.plus(&low, -half)
    }

    /// The same numbers in another type.
    pub(super) fn cast(&mut self, x: &Value, to: Element) -> Made {
        let (from, is_known) = (x.element, x.data().is_some());
        match (from.is_float(), to.is_float()) {
            (true, true) if is_known => self.emit(Op::Cast { to: DType::F32 }, &[x], to),
            (false, false) if is_known && to != Element::Bool => self.emit(Op::Cast { to: DType::I32 }, &[x], to),
            (true, true) => Ok(Value { element: to, ..x.clone() }),
            _ if from == to => Ok(x.clone()),
            _ if to == Element::Bool => {
                let is_zero = self.with(Binary::Equal, x, 0.0)?;
                self.not(&is_zero)
            }
            (false, true) => self.emit(Op::Cast { to: DType::F32 }, &[x], to),
            (true, false) => self.emit(Op::Cast { to: DType::I32 }, &[x], to),
            (false, false) if to.is_narrow() && from != Element::Bool => self.wrap(x, to),
            (false, false) => Ok(Value { element: to, ..x.clone() }),
        }
    }

    pub(super) fn float(&mut self, x: &Value) -> Made {
        if x.element.is_float() { Ok(x.clone()) } else { self.cast(x, Element::F32) }
    }

    pub(super) fn reshape(&mut self, x: &Value, shape: &[u32]) -> Made {
        if x.shape == shape {
            return Ok(x.clone());
        }
        self.emit(Op::Reshape { shape: shape.to_vec() }, &[x], x.element)
    }

    pub(super) fn transpose(&mut self, x: &Value, axes: &[u32]) -> Made {
        if axes.iter().copied().eq(0..x.rank() as u32) {
            return Ok(x.clone());
        }
        self.emit(Op::Transpose { axes: axes.to_vec() }, &[x], x.element)
    }

    /// Swaps two axes.
    pub(super) fn swap(&mut self, x: &Value, a: usize, b: usize) -> Made {
        let mut axes: Vec<u32> = (0..x.rank() as u32).collect();
        axes.swap(a, b);
        self.transpose(x, &axes)
    }

    pub(super) fn broadcast(&mut self, x: &Value, shape: &[u32]) -> Made {
        if x.shape == shape {
            return Ok(x.clone());
        }
        self.emit(Op::Broadcast { shape: shape.to_vec() }, &[x], x.element)
    }

    /// `len` elements along an axis, from `start`, every `step`th.
    pub(super) fn slice(&mut self, x: &Value, axis: usize, start: u32, step: i32, len: u32) -> Made {
        let mut shape = x.shape.clone();
        let (mut starts, mut steps) = (vec![0; shape.len()], vec![1; shape.len()]);
        if step == 1 && start == 0 && shape[axis] == len {
            return Ok(x.clone());
        }
        (shape[axis], starts[axis], steps[axis]) = (len, start, step);
        self.emit(Op::Slice { starts, steps, shape }, &[x], x.element)
    }

    pub(super) fn pad(&mut self, x: &Value, low: &[u32], high: &[u32], value: f64) -> Made {
        if low.iter().chain(high).all(|n| *n == 0) {
            return Ok(x.clone());
        }
        let interior = vec![0; x.rank()];
        self.emit(Op::Pad { low: low.to_vec(), high: high.to_vec(), interior, value: value as f32 }, &[x], x.element)
    }

    /// Empty parts are left out; many are joined in stages.
    pub(super) fn concat(&mut self, parts: &[Value], axis: usize) -> Made {
        let Some(first) = parts.first() else { return Err(NodeError::MissingInput { index: 0, name: String::new() }) };
        let full: Vec<&Value> = parts.iter().filter(|part| part.shape.get(axis) != Some(&0)).collect();
        match full.as_slice() {
            [] => return Ok(first.clone()),
            [one] => return Ok((*one).clone()),
            _ => {}
        }
        let op = Op::Concat { axis: axis as u32 };
        if full.len() <= shoal_graph::limits::MAX_CONCAT {
            return self.emit(op, &full, first.element);
        }
        let stages = full.chunks(shoal_graph::limits::MAX_CONCAT);
        let joined = stages.map(|stage| self.emit(op.clone(), stage, first.element)).collect::<Result<Vec<_>, _>>()?;
        self.concat(&joined, axis)
    }

    pub(super) fn gather(&mut self, x: &Value, indices: &Value, axis: usize) -> Made {
        self.emit(Op::Gather { axis: axis as u32 }, &[x, indices], x.element)
    }

    /// Combined over axes, which stay with dimension 1 if they are kept.
    pub(super) fn reduce(&mut self, reduction: Reduction, x: &Value, axes: &[usize], keep: bool) -> Made {
        if axes.is_empty() {
            return Ok(x.clone());
        }
        let numbers = axes.iter().map(|axis| *axis as u32).collect();
        let reduced = self.emit(Op::Reduce { reduction, axes: numbers }, &[x], x.element)?;
        if !keep {
            return Ok(reduced);
        }
        let mut shape = x.shape.clone();
        axes.iter().for_each(|axis| shape[*axis] = 1);
        self.reshape(&reduced, &shape)
    }

    pub(super) fn mean(&mut self, x: &Value, axes: &[usize], keep: bool) -> Made {
        let count: u64 = axes.iter().map(|axis| u64::from(x.shape[*axis])).product();
        let sum = self.reduce(Reduction::Sum, x, axes, keep)?;
        self.with(Binary::Div, &sum, count as f64)
    }

    /// Each element's position along an axis.
    pub(super) fn iota(&mut self, axis: usize, shape: &[u32]) -> Made {
        self.emit(Op::Iota { axis: axis as u32, shape: shape.to_vec() }, &[], Element::I32)
    }

    /// a·b over the last two dimensions, all dimensions before them equal.
    pub(super) fn product(&mut self, a: &Value, b: &Value, trans_a: bool, trans_b: bool) -> Made {
        self.emit(Op::MatMul { trans_a, trans_b }, &[a, b], a.element)
    }

    pub(super) fn softmax(&mut self, x: &Value) -> Made {
        self.emit(Op::Softmax, &[x], x.element)
    }
}
