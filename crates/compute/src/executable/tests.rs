//! Planning the largest graphs: a few looks a node, whatever their shape.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "../../tests/large/mod.rs"]
mod large;

use shoal_graph::{GraphBuilder, TensorType, ValueId, limits::MAX_NODES};

use super::{Executable, looks};

/// Looks a node at most: a node has up to three operands, and each pass looks at it.
const MAX_LOOKS: usize = 12;

#[test]
fn a_graph_of_the_most_nodes_is_planned_by_few_looks_a_node() {
    for (name, graph) in large::graphs() {
        let nodes = graph.nodes().len();
        assert!(nodes > MAX_NODES / 2 && nodes <= MAX_NODES, "{name}: {nodes}");
        looks::taken();
        let executable = Executable::new(graph);
        let looks = looks::taken();
        println!("{name}: {nodes} nodes, {} steps, {looks} looks", executable.steps.len());
        assert!(looks >= nodes && looks <= MAX_LOOKS * nodes, "{name}: {looks} looks at {nodes} nodes");
    }
}

#[test]
fn values_that_all_live_at_once_are_planned_within_the_fixed_bytes() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([1])).unwrap();
    let made: Vec<ValueId> = (0..4096).map(|i| b.add_scalar(x, i as f32).unwrap()).collect();
    let sum = made.into_iter().reduce(|sum, value| b.add(sum, value).unwrap()).unwrap();
    b.output("sum", sum);
    let executable = Executable::new(b.finish().unwrap());
    for step in &executable.steps {
        let super::fuse::Step::Loop(group) = step else { continue };
        let bytes = (group.registers.len() * super::loops::BLOCK * 4) as u64;
        assert!(bytes <= super::FIXED_BYTES, "{bytes} bytes of registers");
    }
}
