//! What each operation makes of its operands' types and shapes.

use super::{Binary, DType, Op, TensorType, Window2d, check_shape, elements, too_large};
use crate::{
    error::GraphError,
    limits::{MAX_CONCAT, MAX_INTEGER_DEPTH, MAX_SHIFT},
};

impl Op {
    /// Type of what the operation makes of operands of these types.
    ///
    /// # Errors
    /// Operands that are too many, too few, of a type or shape that it does not take; results beyond the limits.
    pub fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, GraphError> {
        self.check_arity(inputs.len())?;
        let dtype = self.infer_dtype(inputs)?;
        let shapes: Vec<&[u32]> = inputs.iter().map(|t| t.shape.as_slice()).collect();
        let shape = self.infer_shape(&shapes)?;
        check_shape(&shape)?;
        Ok(TensorType { dtype, shape })
    }

    fn check_arity(&self, found: usize) -> Result<(), GraphError> {
        let expected = match self {
            Op::Constant(_) | Op::Iota { .. } => 0,
            Op::Unary(_)
            | Op::Cast { .. }
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Broadcast { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::MaxPool2d { .. }
            | Op::SumPool2d { .. }
            | Op::SumPool2dGrad { .. }
            | Op::Softmax => 1,
            Op::Binary(_)
            | Op::Gather { .. }
            | Op::ScatterAdd { .. }
            | Op::MatMul { .. }
            | Op::MatMulInteger { .. }
            | Op::Conv2d { .. }
            | Op::Conv2dInteger { .. }
            | Op::Conv2dGradInput { .. }
            | Op::Conv2dGradWeight { .. }
            | Op::Requantize { .. }
            | Op::MaxPool2dGrad { .. }
            | Op::SoftmaxGrad
            | Op::SoftmaxCrossEntropy => 2,
            Op::Where | Op::SoftmaxCrossEntropyGrad => 3,
            Op::Concat { .. } => found.clamp(1, MAX_CONCAT),
        };
        if found == expected {
            return Ok(());
        }
        Err(GraphError::Arity { op: self.name(), what: "inputs", expected, found })
    }

    fn infer_dtype(&self, inputs: &[&TensorType]) -> Result<DType, GraphError> {
        use DType::{F32, I8, I32, U8};
        let expect = |input: usize, allowed: &[DType]| {
            let found = inputs[input].dtype;
            match allowed {
                _ if allowed.contains(&found) => Ok(found),
                [expected, ..] => Err(GraphError::WrongDType { op: self.name(), input, expected: *expected, found }),
                [] => unreachable!("every operand may have some type"),
            }
        };
        let floats = |count: usize| (0..count).try_for_each(|input| expect(input, &[F32]).map(drop));
        match self {
            Op::Constant(literal) => Ok(literal.tensor_type.dtype),
            Op::Iota { .. } => Ok(I32),
            Op::Unary(unary) if unary.takes_i32() => expect(0, &[F32, I32]),
            Op::Unary(_) | Op::Softmax | Op::SumPool2d { .. } | Op::SumPool2dGrad { .. } => expect(0, &[F32]),
            Op::MaxPool2d { .. } => expect(0, &[F32, I8]),
            Op::Binary(binary) => {
                let dtype = expect(0, if binary.takes(F32) { &[F32, I32] } else { &[I32] })?;
                if !binary.takes(dtype) {
                    return Err(GraphError::WrongDType { op: self.name(), input: 0, expected: F32, found: dtype });
                }
                expect(1, &[dtype])?;
                Ok(if binary.is_comparison() { I32 } else { dtype })
            }
            Op::Where => {
                expect(0, &[I32])?;
                let dtype = expect(1, &[F32, I32])?;
                expect(2, &[dtype])
            }
            Op::Cast { to } => expect(0, &[F32, I32, I8, U8]).map(|_| *to),
            Op::Reshape { .. } | Op::Transpose { .. } | Op::Broadcast { .. } | Op::Slice { .. } => {
                expect(0, &[F32, I32, I8, U8])
            }
            Op::Pad { .. } | Op::Reduce { .. } => expect(0, &[F32, I32]),
            Op::Concat { .. } => {
                let dtype = expect(0, &[F32, I32, I8, U8])?;
                (1..inputs.len()).try_for_each(|input| expect(input, &[dtype]).map(drop))?;
                Ok(dtype)
            }
            Op::Gather { .. } => {
                expect(1, &[I32])?;
                expect(0, &[F32, I32, I8, U8])
            }
            Op::ScatterAdd { .. } => {
                expect(1, &[I32])?;
                expect(0, &[F32])
            }
            Op::ArgMax { .. } => expect(0, &[F32]).map(|_| I32),
            Op::MatMulInteger { .. } | Op::Conv2dInteger { .. } => {
                expect(0, &[U8, I8])?;
                expect(1, &[I8]).map(|_| I32)
            }
            Op::Requantize { to, .. } => {
                expect(0, &[I32])?;
                expect(1, &[I32]).map(|_| *to)
            }
            Op::SoftmaxCrossEntropy | Op::SoftmaxCrossEntropyGrad => {
                expect(1, &[I32])?;
                if inputs.len() == 3 {
                    expect(2, &[F32])?;
                }
                expect(0, &[F32])
            }
            Op::MatMul { .. }
            | Op::Conv2d { .. }
            | Op::Conv2dGradInput { .. }
            | Op::Conv2dGradWeight { .. }
            | Op::MaxPool2dGrad { .. }
            | Op::SoftmaxGrad => floats(2).map(|()| F32),
        }
    }

    fn infer_shape(&self, shapes: &[&[u32]]) -> Result<Vec<u32>, GraphError> {
        let mismatch = |reason| self.mismatch(shapes, reason);
        match (self, shapes) {
            (Op::Constant(literal), []) => literal.check().map(|()| literal.tensor_type.shape.clone()),
            (Op::Iota { axis, shape }, []) => {
                check_shape(shape)?;
                self.axis(*axis, shape, shapes)?;
                Ok(shape.clone())
            }
            (Op::Unary(_) | Op::Cast { .. }, [x]) => Ok(x.to_vec()),
            (Op::Requantize { shift, low, high, to }, [x, multiplier]) => {
                check_requantize(*shift, *low, *high, *to)?;
                match broadcast(x, multiplier) {
                    Some(both) if both == *x => Ok(both),
                    _ => Err(mismatch("the multiplier does not broadcast to x")),
                }
            }
            (Op::Binary(_), [a, b]) => broadcast(a, b).ok_or_else(|| mismatch("they do not broadcast")),
            (Op::Where, [condition, a, b]) => broadcast(a, b)
                .and_then(|both| broadcast(&both, condition))
                .ok_or_else(|| mismatch("they do not broadcast")),
            (Op::Reshape { shape }, [x]) => {
                check_shape(shape)?;
                if elements(shape) != elements(x) {
                    return Err(mismatch("the new shape has another element count"));
                }
                Ok(shape.clone())
            }
            (Op::Broadcast { shape }, [x]) => {
                check_shape(shape)?;
                if broadcast(x, shape).as_ref() != Some(shape) {
                    return Err(mismatch("it does not broadcast to that shape"));
                }
                Ok(shape.clone())
            }
            (Op::Softmax, [x]) if !x.is_empty() => Ok(x.to_vec()),
            (Op::SoftmaxGrad, [y, dy]) if !y.is_empty() && y == dy => Ok(y.to_vec()),
            (Op::SoftmaxCrossEntropy, [[n, _], [labels]]) if n == labels => Ok(vec![]),
            (Op::SoftmaxCrossEntropyGrad, [[n, c], [labels], []]) if n == labels => Ok(vec![*n, *c]),
            (Op::Transpose { .. } | Op::Slice { .. } | Op::Pad { .. }, [x]) => self.infer_moved(x, shapes),
            (Op::Concat { axis }, [first, rest @ ..]) => {
                let at = self.axis(*axis, first, shapes)?;
                let mut total = u64::from(first[at]);
                for shape in rest {
                    let alike =
                        shape.len() == first.len() && (0..first.len()).all(|dim| dim == at || shape[dim] == first[dim]);
                    if !alike {
                        return Err(mismatch("they differ beside the axis"));
                    }
                    total += u64::from(shape[at]);
                }
                let mut made = first.to_vec();
                made[at] = u32::try_from(total).map_err(|_| mismatch("together they are too long"))?;
                Ok(made)
            }
            (Op::Gather { axis }, [x, indices]) => {
                let at = self.axis(*axis, x, shapes)?;
                Ok([&x[..at], indices, &x[at + 1..]].concat())
            }
            (Op::ScatterAdd { axis, size }, [updates, indices]) => {
                let at = *axis as usize;
                if updates.get(at..at.saturating_add(indices.len())) != Some(*indices) {
                    return Err(mismatch("the updates do not have the indices' shape at the axis"));
                }
                Ok([&updates[..at], &[*size], &updates[at + indices.len()..]].concat())
            }
            (Op::Reduce { axes, .. }, [x]) => {
                let ascending = axes.windows(2).all(|pair| pair[0] < pair[1]);
                if axes.is_empty() || !ascending || axes.iter().any(|axis| *axis as usize >= x.len()) {
                    return Err(mismatch("axes must ascend and be axes of x"));
                }
                Ok((0..x.len()).filter(|axis| !axes.contains(&(*axis as u32))).map(|axis| x[axis]).collect())
            }
            (Op::ArgMax { axis }, [x]) => {
                let at = self.axis(*axis, x, shapes)?;
                Ok([&x[..at], &x[at + 1..]].concat())
            }
            (Op::MatMul { .. } | Op::MatMulInteger { .. }, [a, b]) => self.infer_product(a, b, shapes),
            _ => self.infer_windowed(shapes),
        }
    }

    fn infer_moved(&self, x: &[u32], shapes: &[&[u32]]) -> Result<Vec<u32>, GraphError> {
        let mismatch = |reason| self.mismatch(shapes, reason);
        match self {
            Op::Transpose { axes } => {
                let mut sorted = axes.clone();
                sorted.sort_unstable();
                if !sorted.iter().copied().eq(0..x.len() as u32) {
                    return Err(mismatch("axes must name each axis of x once"));
                }
                Ok(axes.iter().map(|axis| x[*axis as usize]).collect())
            }
            Op::Slice { starts, steps, shape } => {
                check_shape(shape)?;
                if [starts.len(), steps.len(), shape.len()] != [x.len(); 3] {
                    return Err(mismatch("starts, steps and shape must have one number for each axis"));
                }
                for (axis, extent) in x.iter().enumerate() {
                    let last = i64::from(starts[axis]) + i64::from(steps[axis]) * i64::from(shape[axis] - 1);
                    let inside = 0..i64::from(*extent);
                    if !inside.contains(&i64::from(starts[axis])) || !inside.contains(&last) {
                        return Err(mismatch("the slice leaves x"));
                    }
                    if steps[axis] == 0 {
                        return Err(GraphError::Zero { what: "a step" });
                    }
                }
                Ok(shape.clone())
            }
            Op::Pad { low, high, interior, value } => {
                if value.is_nan() {
                    return Err(GraphError::NonFiniteAttribute { op: self.name(), value: *value });
                }
                if [low.len(), high.len(), interior.len()] != [x.len(); 3] {
                    return Err(mismatch("low, high and interior must have one number for each axis"));
                }
                let padded = x.iter().enumerate().map(|(axis, extent)| {
                    let spread = u64::from(extent - 1) * (u64::from(interior[axis]) + 1) + 1;
                    u32::try_from(spread + u64::from(low[axis]) + u64::from(high[axis])).ok()
                });
                padded.collect::<Option<_>>().ok_or_else(|| mismatch("padded it is too long"))
            }
            _ => unreachable!("these move elements of one tensor"),
        }
    }

    fn infer_product(&self, a: &[u32], b: &[u32], shapes: &[&[u32]]) -> Result<Vec<u32>, GraphError> {
        let (trans_a, trans_b) = match self {
            Op::MatMul { trans_a, trans_b } => (*trans_a, *trans_b),
            Op::MatMulInteger { trans_b } => (false, *trans_b),
            _ => unreachable!("these are the products"),
        };
        let ([batch @ .., a0, a1], [other_batch @ .., b0, b1]) = (a, b) else {
            return Err(self.mismatch(shapes, "both need two dimensions at least"));
        };
        if batch != other_batch {
            return Err(self.mismatch(shapes, "dimensions before the last two differ"));
        }
        let (m, k) = if trans_a { (a1, a0) } else { (a0, a1) };
        let (k2, n) = if trans_b { (b1, b0) } else { (b0, b1) };
        if k != k2 {
            return Err(self.mismatch(shapes, "inner dimensions differ"));
        }
        if matches!(self, Op::MatMulInteger { .. }) && *k > MAX_INTEGER_DEPTH {
            return Err(too_large("K of an integer product", (*k).into(), MAX_INTEGER_DEPTH.into()));
        }
        Ok([batch, &[*m, *n]].concat())
    }

    fn infer_windowed(&self, shapes: &[&[u32]]) -> Result<Vec<u32>, GraphError> {
        let mismatch = |reason| self.mismatch(shapes, reason);
        let placed = |window: Window2d, image: [u32; 2], kernel: [u32; 2]| {
            window.check(kernel[0], kernel[1])?;
            window.output(image, kernel).ok_or_else(|| mismatch("the kernel is larger than the padded image"))
        };
        let fits = |window: Window2d, image: [u32; 2], kernel: [u32; 2], made: [u32; 2]| match placed(
            window, image, kernel,
        )? {
            output if output == made => Ok(()),
            _ => Err(mismatch("windows like these do not make dy of that size")),
        };
        match (self, shapes) {
            (Op::Conv2d { window, groups } | Op::Conv2dInteger { window, groups }, [[n, c, h, w], [o, c2, kh, kw]]) => {
                self.groups(*groups, *c, *c2, *o, shapes)?;
                let depth = elements(&[*c2, *kh, *kw]);
                if matches!(self, Op::Conv2dInteger { .. }) && depth > MAX_INTEGER_DEPTH.into() {
                    return Err(too_large("K of an integer convolution", depth, MAX_INTEGER_DEPTH.into()));
                }
                let [oh, ow] = placed(*window, [*h, *w], [*kh, *kw])?;
                Ok(vec![*n, *o, oh, ow])
            }
            (Op::Conv2dGradInput { window, groups, height, width }, [[o, c, kh, kw], [n, o2, oh, ow]]) if o == o2 => {
                let channels = c.checked_mul(*groups).ok_or_else(|| mismatch("too many channels"))?;
                self.groups(*groups, channels, *c, *o, shapes)?;
                check_shape(&[*n, channels, *height, *width])?;
                fits(*window, [*height, *width], [*kh, *kw], [*oh, *ow])?;
                Ok(vec![*n, channels, *height, *width])
            }
            (Op::Conv2dGradWeight { window, groups, kernel_height, kernel_width }, [[n, c, h, w], [n2, o, oh, ow]])
                if n == n2 =>
            {
                if *groups == 0 {
                    return Err(GraphError::Zero { what: "groups" });
                }
                self.groups(*groups, *c, c / groups, *o, shapes)?;
                fits(*window, [*h, *w], [*kernel_height, *kernel_width], [*oh, *ow])?;
                Ok(vec![*o, c / groups, *kernel_height, *kernel_width])
            }
            (
                Op::MaxPool2d { window, kernel_height, kernel_width }
                | Op::SumPool2d { window, kernel_height, kernel_width },
                [[n, c, h, w]],
            ) => {
                let [oh, ow] = placed(*window, [*h, *w], [*kernel_height, *kernel_width])?;
                Ok(vec![*n, *c, oh, ow])
            }
            (Op::MaxPool2dGrad { window, kernel_height, kernel_width }, [[n, c, h, w], [n2, c2, oh, ow]])
                if (n, c) == (n2, c2) =>
            {
                fits(*window, [*h, *w], [*kernel_height, *kernel_width], [*oh, *ow])?;
                Ok(vec![*n, *c, *h, *w])
            }
            (Op::SumPool2dGrad { window, kernel_height, kernel_width, height, width }, [[n, c, oh, ow]]) => {
                check_shape(&[*n, *c, *height, *width])?;
                fits(*window, [*height, *width], [*kernel_height, *kernel_width], [*oh, *ow])?;
                Ok(vec![*n, *c, *height, *width])
            }
            _ => Err(mismatch("see graph.proto for the shapes it takes")),
        }
    }

    /// Checks that groups divide the channels of an image [n, c, …] and of weights [o, c / groups, …].
    fn groups(&self, groups: u32, c: u32, per_group: u32, o: u32, shapes: &[&[u32]]) -> Result<(), GraphError> {
        if groups == 0 {
            return Err(GraphError::Zero { what: "groups" });
        }
        if !o.is_multiple_of(groups) || u64::from(per_group) * u64::from(groups) != u64::from(c) {
            return Err(self.mismatch(shapes, "groups do not divide the channels so"));
        }
        Ok(())
    }

    fn axis(&self, axis: u32, x: &[u32], shapes: &[&[u32]]) -> Result<usize, GraphError> {
        let at = axis as usize;
        if at < x.len() { Ok(at) } else { Err(self.mismatch(shapes, "it has no such axis")) }
    }

    fn mismatch(&self, shapes: &[&[u32]], reason: &'static str) -> GraphError {
        GraphError::ShapeMismatch { op: self.name(), shapes: shapes.iter().map(|s| s.to_vec()).collect(), reason }
    }
}

fn check_requantize(shift: u32, low: i32, high: i32, to: DType) -> Result<(), GraphError> {
    if shift == 0 {
        return Err(GraphError::Zero { what: "shift of requantize" });
    }
    if shift > MAX_SHIFT {
        return Err(GraphError::TooLarge { what: "shift of requantize", found: shift.into(), limit: MAX_SHIFT.into() });
    }
    let (least, greatest) = match to {
        DType::I32 => (i32::MIN, i32::MAX),
        DType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DType::U8 => (u8::MIN.into(), u8::MAX.into()),
        DType::F32 => {
            return Err(GraphError::WrongDType { op: "requantize", input: 0, expected: DType::I8, found: to });
        }
    };
    if low > high || low < least || high > greatest {
        return Err(GraphError::BadRange { what: "range of requantize", low: low.into(), high: high.into() });
    }
    Ok(())
}

/// The shape that both broadcast to (as in NumPy): aligned at the last axis, 1 stretches.
pub(crate) fn broadcast(a: &[u32], b: &[u32]) -> Option<Vec<u32>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[u32], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    let stretched = (0..rank).map(|axis| match (dim(a, axis), dim(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    });
    stretched.collect()
}

impl Binary {
    /// As an operation.
    pub fn op(self) -> Op {
        Op::Binary(self)
    }
}
