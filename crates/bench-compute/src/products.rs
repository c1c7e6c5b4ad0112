//! Square matrices. Neither is held: packing them is part of a run.

use shoal_graph::{DType, GraphBuilder, GraphError, Op, TensorType};

use crate::tab::Program;

pub(crate) fn float(n: u32, trans_a: bool, trans_b: bool) -> Result<Program, GraphError> {
    let mut b = GraphBuilder::new();
    let (left, right) = (b.input("a", TensorType::f32([n, n]))?, b.input("b", TensorType::f32([n, n]))?);
    let c = b.mat_mul(left, right, trans_a, trans_b)?;
    b.output("c", c);
    Ok(Program { builder: b, held: Vec::new() })
}

pub(crate) fn integer(n: u32) -> Result<Program, GraphError> {
    let mut b = GraphBuilder::new();
    let left = b.input("a", TensorType::new(DType::U8, [n, n]))?;
    let right = b.input("b", TensorType::new(DType::I8, [n, n]))?;
    let c = b.apply(Op::MatMulInteger { trans_b: false }, &[left, right])?;
    b.output("c", c);
    Ok(Program { builder: b, held: Vec::new() })
}
