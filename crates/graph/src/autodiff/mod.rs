//! Reverse-mode differentiation (Griewank & Walther, *Evaluating Derivatives*, chapter 3): the gradient of a scalar
//! loss is again nodes of the same closed set, appended to the graph in reverse order of the forward nodes. Only
//! values that depend on what is differentiated get a gradient, so a first layer's input costs nothing. Gradients
//! that meet at a value are added in reverse order of the nodes that read it; that order is part of the graph.

mod rules;

use crate::{
    builder::GraphBuilder,
    error::GraphError,
    graph::{Node, ValueId},
    op::DType,
};

/// Appends the gradient of `loss` to the graph and returns one gradient for each of `with_respect_to`, in its order
/// and of its shape; zeros for a value that the loss does not depend on, which no integer is.
///
/// # Errors
/// [`GraphError::LossNotScalar`]; [`GraphError::NotDifferentiable`] where an operation without derivative (that of
/// another gradient) lies on the way; [`GraphError::TooLarge`] when the graph grows beyond its limits.
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
    let needed = depends_on(builder, &forward, with_respect_to);
    let mut gradient: Vec<Option<ValueId>> = vec![None; builder.values()];
    gradient[loss.index()] = Some(builder.scalar(1.0)?);
    for node in forward.iter().rev() {
        let (Some(dy), true) = (gradient[node.output.index()], needed[node.output.index()]) else { continue };
        for (position, input) in node.inputs.iter().enumerate().filter(|(_, input)| needed[input.index()]) {
            let Some(dx) = rules::operand_gradient(builder, node, position, dy)? else { continue };
            gradient[input.index()] = Some(match gradient[input.index()] {
                Some(other) => builder.add(other, dx)?,
                None => dx,
            });
        }
    }
    with_respect_to
        .iter()
        .map(|value| match gradient[value.index()] {
            Some(gradient) => Ok(gradient),
            None => {
                let shape = builder.shape(*value).to_vec();
                builder.zeros(&shape)
            }
        })
        .collect()
}

/// For every value, whether it is a float that depends on one of `sources`.
fn depends_on(builder: &GraphBuilder, nodes: &[Node], sources: &[ValueId]) -> Vec<bool> {
    let mut depends = vec![false; builder.values()];
    for source in sources {
        depends[source.index()] = builder.value_type(*source).dtype == DType::F32;
    }
    for node in nodes {
        let is_float = builder.value_type(node.output).dtype == DType::F32;
        if is_float && node.inputs.iter().any(|input| depends[input.index()]) {
            depends[node.output.index()] = true;
        }
    }
    depends
}
