//! Reverse-mode differentiation (Griewank & Walther, *Evaluating Derivatives*, chapter 3): the gradient of a scalar
//! loss is again nodes of the same closed set, appended to the graph in reverse order of the forward nodes. Only
//! values that depend on what is differentiated get a gradient, so a first layer's input costs nothing. Gradients
//! that meet at a value are added in reverse order of the nodes that read it; that order is part of the graph.

use crate::{
    builder::GraphBuilder,
    error::GraphError,
    graph::{Node, ValueId},
    op::{DType, Op},
};

/// Appends the gradient of `loss` to the graph and returns one gradient for each of `with_respect_to`, in its order
/// and of its shape; zeros for a value that the loss does not depend on.
///
/// # Errors
/// [`GraphError::LossNotScalar`]; [`GraphError::NotDifferentiable`] where an operation without derivative (a gradient
/// operation or an optimiser) lies on the way; [`GraphError::TooLarge`] when the graph grows beyond its limits.
pub fn gradients(
    builder: &mut GraphBuilder,
    loss: ValueId,
    with_respect_to: &[ValueId],
) -> Result<Vec<ValueId>, GraphError> {
    let loss_type = builder.value_type(loss);
    if loss_type.dtype != DType::F32 || !loss_type.shape.is_empty() {
        return Err(GraphError::LossNotScalar { shape: loss_type.shape.clone() });
    }
    let forward: Vec<Node> = builder.nodes().to_vec();
    let needed = depends_on(builder.values(), &forward, with_respect_to);
    let mut gradient: Vec<Option<ValueId>> = vec![None; builder.values()];
    gradient[loss.index()] = Some(builder.apply_one(Op::Constant { value: 1.0, shape: vec![] }, &[])?);
    for node in forward.iter().rev() {
        let (Some(dy), true) = (gradient[node.outputs[0].index()], needed[node.outputs[0].index()]) else { continue };
        let wanted: Vec<bool> = node.inputs.iter().map(|input| needed[input.index()]).collect();
        for (input, dx) in node.inputs.iter().zip(node_gradients(builder, node, dy, &wanted)?) {
            let Some(dx) = dx else { continue };
            gradient[input.index()] = Some(match gradient[input.index()] {
                Some(other) => builder.apply_one(Op::Add, &[other, dx])?,
                None => dx,
            });
        }
    }
    with_respect_to
        .iter()
        .map(|value| match gradient[value.index()] {
            Some(gradient) => Ok(gradient),
            None => {
                let shape = builder.value_type(*value).shape.clone();
                builder.apply_one(Op::Constant { value: 0.0, shape }, &[])
            }
        })
        .collect()
}

/// For every value, whether it depends on one of `sources`.
fn depends_on(values: usize, nodes: &[Node], sources: &[ValueId]) -> Vec<bool> {
    let mut depends = vec![false; values];
    for source in sources {
        depends[source.index()] = true;
    }
    for node in nodes {
        if node.inputs.iter().any(|input| depends[input.index()]) {
            for output in &node.outputs {
                depends[output.index()] = true;
            }
        }
    }
    depends
}

/// Gradients for the wanted operands of a node whose single result has gradient `dy`.
fn node_gradients(
    builder: &mut GraphBuilder,
    node: &Node,
    dy: ValueId,
    wanted: &[bool],
) -> Result<Vec<Option<ValueId>>, GraphError> {
    let input = |i: usize| node.inputs[i];
    let y = node.outputs[0];
    let mut made = vec![None; node.inputs.len()];
    match &node.op {
        Op::MatMul { trans_a, trans_b } => {
            // With A' = op(a), B' = op(b): dA' = dy·B'ᵀ and dB' = A'ᵀ·dy, each transposed back where stored so.
            if wanted[0] {
                made[0] = Some(match trans_a {
                    false => builder.mat_mul(dy, input(1), false, !trans_b)?,
                    true => builder.mat_mul(input(1), dy, *trans_b, true)?,
                });
            }
            if wanted[1] {
                made[1] = Some(match trans_b {
                    false => builder.mat_mul(input(0), dy, !trans_a, false)?,
                    true => builder.mat_mul(dy, input(0), true, *trans_a)?,
                });
            }
        }
        Op::AddBias => {
            made[0] = wanted[0].then_some(dy);
            if wanted[1] {
                made[1] = Some(builder.apply_one(Op::SumChannels, &[dy])?);
            }
        }
        Op::Conv2d(geometry) => {
            let geometry = *geometry;
            if wanted[0] {
                let shape = &builder.value_type(input(0)).shape;
                let (height, width) = (shape[2], shape[3]);
                made[0] = Some(builder.apply_one(Op::Conv2dGradInput { geometry, height, width }, &[input(1), dy])?);
            }
            if wanted[1] {
                let shape = &builder.value_type(input(1)).shape;
                let (kernel_height, kernel_width) = (shape[2], shape[3]);
                let op = Op::Conv2dGradWeight { geometry, kernel_height, kernel_width };
                made[1] = Some(builder.apply_one(op, &[input(0), dy])?);
            }
        }
        Op::Relu => made[0] = Some(builder.apply_one(Op::ReluGrad, &[input(0), dy])?),
        Op::MaxPool2d { size } => {
            made[0] = Some(builder.apply_one(Op::MaxPool2dGrad { size: *size }, &[input(0), dy])?);
        }
        Op::Reshape { .. } => {
            let shape = builder.value_type(input(0)).shape.clone();
            made[0] = Some(builder.apply_one(Op::Reshape { shape }, &[dy])?);
        }
        Op::SumChannels => {
            // Each element of x gets dy of its channel.
            let shape = builder.value_type(input(0)).shape.clone();
            let zeros = builder.apply_one(Op::Constant { value: 0.0, shape }, &[])?;
            made[0] = Some(builder.apply_one(Op::AddBias, &[zeros, dy])?);
        }
        Op::Softmax => made[0] = Some(builder.apply_one(Op::SoftmaxGrad, &[y, dy])?),
        Op::SoftmaxCrossEntropy => {
            made[0] = Some(builder.apply_one(Op::SoftmaxCrossEntropyGrad, &[input(0), input(1), dy])?);
        }
        Op::Add => {
            made[0] = wanted[0].then_some(dy);
            made[1] = wanted[1].then_some(dy);
        }
        Op::Scale { factor } => made[0] = Some(builder.apply_one(Op::Scale { factor: *factor }, &[dy])?),
        Op::Constant { .. } => {}
        Op::Conv2dGradInput { .. }
        | Op::Conv2dGradWeight { .. }
        | Op::ReluGrad
        | Op::MaxPool2dGrad { .. }
        | Op::SoftmaxGrad
        | Op::SoftmaxCrossEntropyGrad
        | Op::SgdMomentum => return Err(GraphError::NotDifferentiable { op: node.op.name() }),
    }
    Ok(made)
}
