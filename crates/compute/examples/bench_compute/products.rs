//! Square matrices.

use shoal_graph::{DType, GraphBuilder, GraphError, Op, TensorType};

pub(crate) fn float(n: u32, trans_a: bool, trans_b: bool) -> Result<GraphBuilder, GraphError> {
    let mut b = GraphBuilder::new();
    let (left, right) = (b.input("a", TensorType::f32([n, n]))?, b.input("b", TensorType::f32([n, n]))?);
    let c = b.mat_mul(left, right, trans_a, trans_b)?;
    b.output("c", c);
    Ok(b)
}

pub(crate) fn integer(n: u32) -> Result<GraphBuilder, GraphError> {
    let mut b = GraphBuilder::new();
    let left = b.input("a", TensorType::new(DType::U8, [n, n]))?;
    let right = b.input("b", TensorType::new(DType::I8, [n, n]))?;
    let c = b.apply(Op::MatMulInteger { trans_b: false }, &[left, right])?;
    b.output("c", c);
    Ok(b)
}
