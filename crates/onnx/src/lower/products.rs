//! Matrix products.

use super::{
    call::{Call, one},
    context::{Lowering, Made},
    fold,
    table::Results,
    value::Value,
};
use crate::{error::NodeError, tensor::elements};

/// As NumPy's `matmul`: vectors are matrices of one row or column, what is before the matrices broadcasts.
pub(super) fn mat_mul(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if a.element.is_float() && b.element.is_float() {
        return one(low.mat_mul(call, a, b));
    }
    let (floats, others) = (low.float(a)?, low.float(b)?);
    let made = low.mat_mul(call, &floats, &others)?;
    one(low.cast(&made, a.element))
}

/// α·A·B + β·C.
pub(super) fn gemm(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (a, b) = (call.floats(0)?, call.floats(1)?);
    if a.rank() != 2 || b.rank() != 2 {
        return Err(call.shapes(0, b.shape.iter().map(|n| i64::from(*n)), "both must have two dimensions"));
    }
    let product = low.product(a, b, call.int("transA", 0) != 0, call.int("transB", 0) != 0)?;
    let made = low.scale(&product, call.float("alpha", 1.0))?;
    let beta = call.float("beta", 1.0);
    match call.optional(2) {
        Some(c) if beta != 0.0 => {
            let c = low.scale(c, beta)?;
            one(low.add(&made, &c))
        }
        _ => Ok(vec![made]),
    }
}

/// Operands of a product brought to matrices with equal dimensions before them.
pub(super) struct Matrices {
    pub(super) a: Value,
    pub(super) b: Value,
    /// Shape of the result once the product is made.
    pub(super) shape: Vec<u32>,
}

impl Lowering<'_> {
    pub(super) fn mat_mul(&mut self, call: &Call<'_>, a: &Value, b: &Value) -> Made {
        let Matrices { a, b, shape } = self.matrices(call, a, b)?;
        let made = self.product(&a, &b, false, false)?;
        self.reshape(&made, &shape)
    }

    pub(super) fn matrices(&mut self, call: &Call<'_>, a: &Value, b: &Value) -> Result<Matrices, NodeError> {
        let refused = |reason| call.shapes(0, b.shape.iter().map(|n| i64::from(*n)), reason);
        if a.rank() == 0 || b.rank() == 0 {
            return Err(refused("a product of scalars"));
        }
        let (a_is_row, b_is_column) = (a.rank() == 1, b.rank() == 1);
        let a = if a_is_row { self.reshape(a, &[1, a.shape[0]])? } else { a.clone() };
        let b = if b_is_column { self.reshape(b, &[b.shape[0], 1])? } else { b.clone() };
        let ((a_batch, a_matrix), (b_batch, b_matrix)) =
            (a.shape.split_at(a.rank() - 2), b.shape.split_at(b.rank() - 2));
        if a_matrix[1] != b_matrix[0] {
            return Err(refused("inner dimensions differ"));
        }
        let batch = fold::broadcast(a_batch, b_batch).ok_or_else(|| refused("they do not broadcast"))?;
        let mut shape = batch.clone();
        shape.extend((!a_is_row).then_some(a_matrix[0]));
        shape.extend((!b_is_column).then_some(b_matrix[1]));
        if b_batch.iter().all(|dim| *dim == 1) {
            // One matrix for all rows.
            let rows = elements(&a.shape[..a.rank() - 1]) as u32;
            let (inner, columns) = (a_matrix[1], b_matrix[1]);
            return Ok(Matrices {
                a: self.reshape(&a, &[rows, inner])?,
                b: self.reshape(&b, &[inner, columns])?,
                shape,
            });
        }
        let (a_shape, b_shape) = ([&batch, a_matrix].concat(), [&batch, b_matrix].concat());
        Ok(Matrices { a: self.broadcast(&a, &a_shape)?, b: self.broadcast(&b, &b_shape)?, shape })
    }
}
