//! A graph with the outputs that are wanted, and nothing that only others need.
//!
//! Vectors of tokens are pooled here, by operations of the graph: one vector a row travels instead of one a token. The mean
//! is over the tokens that the mask has as 1 (Reimers and Gurevych 2019, MEAN pooling).

use std::collections::HashMap;

use shoal_graph::{Binary, DType, Graph, GraphBuilder, GraphError, Reduction, TensorType, ValueId};

use super::args::PoolArg;

/// Below this a mask's sum counts as zero, as in sentence-transformers' mean pooling.
const SMALLEST_COUNT: f32 = 1e-9;

/// The graph with these outputs; those of shape [rows, tokens, size] are pooled. Without a mask the mean is over all tokens.
pub(super) fn with_outputs(
    graph: &Graph,
    wanted: &[String],
    pool: PoolArg,
    mask: Option<&str>,
) -> Result<Graph, GraphError> {
    let outputs: Vec<(&str, ValueId)> = wanted
        .iter()
        .filter_map(|name| {
            graph.outputs().iter().find(|(own, _)| own == name).map(|(_, value)| (name.as_str(), *value))
        })
        .collect();
    let mask = mask.and_then(|name| graph.inputs().iter().find(|(own, _)| own == name).map(|(_, value)| *value));
    let pools = |value: ValueId| pool != PoolArg::None && graph.value_type(value).shape.len() == 3;
    let mut live = vec![false; graph.types().len()];
    for (_, value) in &outputs {
        live[value.index()] = true;
        if let Some(mask) = mask.filter(|_| pools(*value) && pool == PoolArg::Mean) {
            live[mask.index()] = true;
        }
    }
    for node in graph.nodes().iter().rev() {
        if live[node.output.index()] {
            node.inputs.iter().for_each(|input| live[input.index()] = true);
        }
    }
    let mut builder = GraphBuilder::new();
    let mut copies: HashMap<ValueId, ValueId> = HashMap::new();
    for (name, value) in graph.inputs().iter().filter(|(_, value)| live[value.index()]) {
        let TensorType { dtype, shape } = graph.value_type(*value).clone();
        copies.insert(*value, builder.input(name, TensorType { dtype, shape })?);
    }
    for node in graph.nodes().iter().filter(|node| live[node.output.index()]) {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|input| copies[input]).collect();
        copies.insert(node.output, builder.apply(node.op.clone(), &inputs)?);
    }
    for (name, value) in outputs {
        let copy = copies[&value];
        let made = match pool {
            PoolArg::Mean if pools(value) => mean(&mut builder, copy, mask.map(|mask| copies[&mask]))?,
            PoolArg::Cls if pools(value) => first(&mut builder, copy)?,
            _ => copy,
        };
        builder.output(name, made);
    }
    builder.finish()
}

/// The mean over the tokens of each row: [rows, tokens, size] and a mask [rows, tokens] give [rows, size].
fn mean(builder: &mut GraphBuilder, states: ValueId, mask: Option<ValueId>) -> Result<ValueId, GraphError> {
    let [rows, tokens, size] = *builder.shape(states) else { unreachable!("only three dimensions are pooled") };
    let states = builder.cast(states, DType::F32)?;
    let Some(mask) = mask else {
        let mean = builder.mean(states, &[1])?;
        return builder.reshape(mean, &[rows, size]);
    };
    let mask = builder.cast(mask, DType::F32)?;
    let count = builder.reduce(Reduction::Sum, mask, &[1])?;
    let smallest = builder.scalar(SMALLEST_COUNT)?;
    let count = builder.binary(Binary::Max, count, smallest)?;
    let mask = builder.reshape(mask, &[rows, tokens, 1])?;
    let masked = builder.mul(states, mask)?;
    let sum = builder.reduce(Reduction::Sum, masked, &[1])?;
    let sum = builder.reshape(sum, &[rows, size])?;
    builder.div(sum, count)
}

/// The first token's vector: [rows, tokens, size] gives [rows, size].
fn first(builder: &mut GraphBuilder, states: ValueId) -> Result<ValueId, GraphError> {
    let [rows, _, size] = *builder.shape(states) else { unreachable!("only three dimensions are pooled") };
    let first = builder.slice(states, 1, 0, 1)?;
    builder.reshape(first, &[rows, size])
}

#[cfg(test)]
mod tests {
    use shoal_compute::{Executable, Tensor, Tensors};

    use super::*;

    /// Twice the states, and an output that nobody wants.
    fn graph() -> Graph {
        let mut b = GraphBuilder::new();
        let states = b.input("states", TensorType::f32([2, 3, 2])).unwrap();
        let mask = b.input("mask", TensorType::i32([2, 3])).unwrap();
        let unused = b.input("unused", TensorType::f32([2])).unwrap();
        let doubled = b.scale(states, 2.0).unwrap();
        b.output("states", doubled);
        b.output("mask", mask);
        b.output("unused", unused);
        b.finish().unwrap()
    }

    fn run(pool: PoolArg, mask: Option<&str>) -> Vec<f32> {
        let states = vec![1.0, 2.0, 3.0, 4.0, 100.0, 100.0, 5.0, 6.0, 100.0, 100.0, 100.0, 100.0];
        let graph = with_outputs(&graph(), &["states".to_owned()], pool, mask).unwrap();
        assert!(graph.input_type("unused").is_none(), "what nobody reads is no input");
        let mut inputs = Tensors::new();
        inputs.insert("states", Tensor::f32([2, 3, 2], states));
        if graph.input_type("mask").is_some() {
            inputs.insert("mask", Tensor::i32([2, 3], vec![1, 1, 0, 1, 0, 0]));
        }
        let made = Executable::new(graph).run(inputs).unwrap();
        made.get("states").unwrap().as_f32().unwrap().to_vec()
    }

    #[test]
    fn padding_has_no_part_in_the_mean() {
        assert_eq!(run(PoolArg::Mean, Some("mask")), [4.0, 6.0, 10.0, 12.0]);
    }

    #[test]
    fn the_first_token_may_stand_for_all() {
        assert_eq!(run(PoolArg::Cls, Some("mask")), [2.0, 4.0, 10.0, 12.0]);
        assert_eq!(run(PoolArg::None, Some("mask")).len(), 12);
    }
}
