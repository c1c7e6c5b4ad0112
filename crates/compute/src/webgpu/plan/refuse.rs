//! What a graph must not contain, by name, before anything of it is planned.

use shoal_graph::{DType, Graph, Node, Op, Unary};

use crate::{backend::BackendKind, error::ComputeError};

/// Refuses graphs with bytes, for WGSL has no storage of single bytes, and arithmetic of exact integers.
pub(super) fn bytes(graph: &Graph) -> Result<(), ComputeError> {
    let is_bytes = |dtype| matches!(dtype, DType::I8 | DType::U8);
    for node in graph.nodes() {
        let is_whole = |value| graph.value_type(value).dtype == DType::I32;
        let is_root = node.op == Op::Unary(Unary::Sqrt) && is_whole(node.output);
        if is_root || matches!(node.op, Op::Requantize { .. }) {
            return Err(unsupported(node));
        }
        if node.inputs.iter().chain([&node.output]).any(|value| is_bytes(graph.value_type(*value).dtype)) {
            return Err(unsupported(node));
        }
    }
    if graph.types().iter().any(|value| is_bytes(value.dtype)) {
        return Err(ComputeError::UnsupportedOp { backend: BackendKind::WebGpu.name(), op: "inputs of bytes" });
    }
    Ok(())
}

/// The node's operation has no kernel.
pub(super) fn unsupported(node: &Node) -> ComputeError {
    ComputeError::UnsupportedOp { backend: BackendKind::WebGpu.name(), op: node.op.name() }
}
