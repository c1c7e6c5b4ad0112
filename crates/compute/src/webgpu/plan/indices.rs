//! Labels and indices, which are checked before they index anything on the GPU. So they must be known then: given from
//! outside, or constants.

use shoal_graph::{Graph, Node, Op, ValueId};

use super::refuse;
use crate::{error::ComputeError, tensor::Tensor};

/// An input that indexes.
#[derive(Debug)]
pub(in crate::webgpu) struct Indices {
    input: ValueId,
    extent: Extent,
}

/// What indices must be below.
#[derive(Debug, Clone, Copy)]
enum Extent {
    /// Labels: the number of classes.
    Classes(usize),
    /// Indices: the dimension of an axis.
    Axis(usize),
}

impl Indices {
    /// Checks the inputs' values.
    pub(in crate::webgpu) fn check(&self, values: &[Option<Tensor>]) -> Result<(), ComputeError> {
        let indices = values[self.input.index()].as_ref().and_then(Tensor::as_i32);
        self.extent.check(indices.expect("a validated graph indexes with an i32 input"))
    }
}

impl Extent {
    fn check(self, indices: &[i32]) -> Result<(), ComputeError> {
        let (Self::Classes(extent) | Self::Axis(extent)) = self;
        let is_inside = |index: i32| usize::try_from(index).is_ok_and(|index| index < extent);
        let Some(position) = indices.iter().position(|index| !is_inside(*index)) else { return Ok(()) };
        let index = indices[position];
        Err(match self {
            Self::Classes(classes) => ComputeError::LabelOutOfRange { label: index, sample: position, classes },
            Self::Axis(extent) => ComputeError::IndexOutOfRange { index, position, extent },
        })
    }
}

/// The inputs that index; constants that do are checked here. Computed indices are refused under the name of what reads
/// them.
pub(super) fn of(graph: &Graph) -> Result<Vec<Indices>, ComputeError> {
    let mut makers: Vec<Option<&Node>> = vec![None; graph.types().len()];
    let mut found = Vec::new();
    for node in graph.nodes() {
        makers[node.output.index()] = Some(node);
        let dim = |shape: &[u32], axis: u32| shape[axis as usize] as usize;
        let first = &graph.value_type(node.inputs.first().copied().unwrap_or(node.output)).shape;
        let extent = match &node.op {
            Op::SoftmaxCrossEntropy | Op::SoftmaxCrossEntropyGrad => Extent::Classes(dim(first, 1)),
            Op::Gather { axis } => Extent::Axis(dim(first, *axis)),
            Op::ScatterAdd { size, .. } => Extent::Axis(*size as usize),
            _ => continue,
        };
        let mut value = node.inputs[1];
        while let Some(Node { op: Op::Reshape { .. }, inputs, .. }) = makers[value.index()] {
            value = inputs[0];
        }
        match makers[value.index()] {
            None => found.push(Indices { input: value, extent }),
            Some(Node { op: Op::Constant(literal), .. }) => {
                extent.check(&literal.i32_values().collect::<Vec<_>>())?;
            }
            Some(_) => return Err(refuse::unsupported(node)),
        }
    }
    Ok(found)
}
