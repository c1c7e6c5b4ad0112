//! Quantised tensors: integers with a scale and a zero point, one for all, for each place of an axis, or for each block
//! along one.

use shoal_graph::{Binary, DType, Op, Reduction, Unary};

use super::{
    call::{Call, axis, one},
    context::{Lowering, Made},
    products::Matrices,
    table::Results,
    value::Value,
};
use crate::{element::Element, error::NodeError};

pub(super) fn quantize(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = low.float(call.input(0)?)?;
    let scale = low.placed(call, call.input(1)?, &x)?;
    let element = match (call.optional(2), call.int("output_dtype", 0)) {
        (Some(zero), _) => zero.element,
        (None, 0) => Element::U8,
        (None, number) => Element::from_number(number as i32)?,
    };
    let zero = match call.optional(2) {
        Some(zero) => low.placed(call, zero, &x)?,
        None => Value::scalar(element, 0.0),
    };
    one(low.quantised(&x, &scale, &zero))
}

pub(super) fn dequantize(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let mut made = low.float(x)?;
    if let Some(zero) = call.optional(2) {
        let zero = low.placed(call, zero, x)?;
        let zero = low.float(&zero)?;
        made = low.sub(&made, &zero)?;
    }
    let placed = low.placed(call, scale, x)?;
    let made = low.mul(&made, &placed)?;
    one(match call.int("output_dtype", 0) {
        0 => low.cast(&made, scale.element),
        number => low.cast(&made, Element::from_number(number as i32)?),
    })
}

/// To u8, over the range of x and zero: y, the scale, the zero point.
pub(super) fn dynamic_quantize(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let all: Vec<usize> = (0..x.rank()).collect();
    let greatest = low.reduce(Reduction::Max, x, &all, false)?;
    let least = low.reduce(Reduction::Min, x, &all, false)?;
    let (greatest, least) = (low.with(Binary::Max, &greatest, 0.0)?, low.with(Binary::Min, &least, 0.0)?);
    let range = low.sub(&greatest, &least)?;
    let scale = low.with(Binary::Div, &range, 255.0)?;
    let zero = low.div(&least, &scale)?;
    let zero = low.scale(&zero, -1.0)?;
    let zero = low.saturated(&zero, Element::U8)?;
    let y = low.quantised(x, &scale, &zero)?;
    Ok(vec![y, scale, zero])
}

pub(super) fn mat_mul_integer(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    one(low.integer_product(call, [0, 1], [2, 3]))
}

/// a, its scale and zero point, b and its, y's.
pub(super) fn quantised_mat_mul(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let sums = low.integer_product(call, [0, 3], [2, 5])?;
    let sums = low.cast(&sums, Element::F32)?;
    let a_scale = low.along_rows(call.input(1)?)?;
    let scale = low.mul(&a_scale, call.input(4)?)?;
    let scaled = low.mul(&sums, &scale)?;
    let (y_scale, zero) = (call.input(6)?.clone(), call.input(7)?.clone());
    one(low.quantised(&scaled, &y_scale, &zero))
}

impl Lowering<'_> {
    /// round(x/scale) + zero within the zero point's type.
    pub(super) fn quantised(&mut self, x: &Value, scale: &Value, zero: &Value) -> Made {
        let scaled = self.div(x, scale)?;
        let rounded = self.unary(Unary::Round, &scaled)?;
        let shift = self.float(zero)?;
        let shifted = self.add(&rounded, &shift)?;
        self.saturated(&shifted, zero.element)
    }

    /// The nearest number of an integer type.
    fn saturated(&mut self, x: &Value, element: Element) -> Made {
        let Some((least, greatest)) = element.range().filter(|_| element.bytes() <= 2) else {
            return Err(NodeError::WrongElement { index: 2, found: element });
        };
        let rounded = self.unary(Unary::Round, x)?;
        let bounded = self.with(Binary::Max, &rounded, least as f64)?;
        let bounded = self.with(Binary::Min, &bounded, greatest as f64)?;
        self.cast(&bounded, element)
    }

    /// A scale or zero point of x: for all, for each place of an axis, or for each block of places.
    fn placed(&mut self, call: &Call<'_>, parameter: &Value, x: &Value) -> Made {
        if parameter.elements() == 1 {
            return self.reshape(parameter, &[]);
        }
        let at = axis(call.int("axis", 1), &x.shape)?;
        let block = call.int("block_size", 0);
        if block > 0 && parameter.rank() == x.rank() {
            self.budget.spend(x.shape[at].into())?;
            let places = (0..i64::from(x.shape[at])).map(|place| place / block);
            return self.gather(parameter, &Value::i64s(places), at);
        }
        if parameter.shape != [x.shape[at]] {
            return Err(call.shapes(1, x.shape.iter().map(|n| i64::from(*n)), "one for each place of the axis"));
        }
        let mut shape = vec![1; x.rank()];
        shape[at] = x.shape[at];
        self.reshape(parameter, &shape)
    }

    /// Parameters of the rows of a matrix.
    fn along_rows(&mut self, x: &Value) -> Made {
        match *x.shape.as_slice() {
            [1] => self.reshape(x, &[]),
            [rows] => self.reshape(x, &[rows, 1]),
            _ => Ok(x.clone()),
        }
    }

    /// (a − its zero)·(b − its zero), exactly: a·b − (row sums of a)·zero − zero·(column sums of b) + K·zero·zero.
    fn integer_product(&mut self, call: &Call<'_>, operands: [usize; 2], zeros: [usize; 2]) -> Made {
        let (a, b) = (call.input(operands[0])?, call.input(operands[1])?);
        for (index, value) in operands.iter().zip([a, b]) {
            if !matches!(value.element, Element::U8 | Element::I8) {
                return Err(NodeError::WrongElement { index: *index, found: value.element });
            }
        }
        let zero = |low: &mut Self, index: usize| match call.optional(zeros[index]) {
            Some(zero) if zero.uniform() != Some(0.0) => low.cast(zero, Element::I32).map(Some),
            _ => Ok(None),
        };
        let a_zero = zero(self, 0)?;
        let a_zero = a_zero.map(|zero| self.along_rows(&zero)).transpose()?;
        let mut b_zero = zero(self, 1)?;
        let mut b = b.clone();
        if b.element == Element::U8 {
            // The primitive takes signed weights: both b and its zero point are moved by 128.
            let wide = self.cast(&b, Element::I32)?;
            b = self.plus(&wide, -128.0)?;
            b.element = Element::I8;
            let moved = b_zero.unwrap_or_else(|| Value::scalar(Element::I32, 0.0));
            b_zero = Some(self.plus(&moved, -128.0)?);
        }
        let (a_is_vector, b_is_vector) = (a.rank() == 1, b.rank() == 1);
        let Matrices { a, b, shape } = self.matrices(call, a, &b)?;
        let inner = a.shape[a.rank() - 1];
        let ids = [self.byte_id(&a)?, self.byte_id(&b)?];
        let mut made = self.apply(Op::MatMulInteger { trans_b: false }, &ids, Element::I32)?;
        let sums = |low: &mut Self, x: &Value, at: usize| {
            let wide = low.cast(x, Element::I32)?;
            low.reduce(Reduction::Sum, &wide, &[at], true)
        };
        let has_rows =
            a_zero.as_ref().is_some_and(|zero| zero.rank() > 1) || b_zero.as_ref().is_some_and(|zero| zero.rank() > 0);
        if has_rows && (a_is_vector || b_is_vector || made.shape != shape && a.rank() != shape.len()) {
            return Err(NodeError::Unsupported("zero points of rows or columns of a batch"));
        }
        if let Some(zero) = &a_zero {
            let columns = sums(self, &b, b.rank() - 2)?;
            let product = self.mul(zero, &columns)?;
            made = self.sub(&made, &product)?;
        }
        if let Some(zero) = &b_zero {
            let rows = sums(self, &a, a.rank() - 1)?;
            let product = self.mul(&rows, zero)?;
            made = self.sub(&made, &product)?;
        }
        if let (Some(a_zero), Some(b_zero)) = (&a_zero, &b_zero) {
            let product = self.mul(a_zero, b_zero)?;
            let product = self.scale(&product, inner.into())?;
            made = self.add(&made, &product)?;
        }
        self.reshape(&made, &shape)
    }

    fn byte_id(&mut self, x: &Value) -> Result<shoal_graph::ValueId, NodeError> {
        let id = self.narrow_id(x)?;
        debug_assert!(matches!(self.builder.value_type(id).dtype, DType::U8 | DType::I8));
        Ok(id)
    }
}
