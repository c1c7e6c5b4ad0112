//! Inputs of a run: those that are given to it, and those that stay from run to run.

use std::{collections::HashMap, rc::Rc};

use shoal_graph::{Graph, Op, ValueId};

use super::{Values, bind_inputs_but, check_type};
use crate::{
    error::ComputeError,
    kernels::{gemm::PackedB, matrix::Matrix, scratch::Scratch},
    tensor::{Data, Element as _, Tensors},
};

/// Inputs that stay, and right operands of products made of them.
pub(super) struct Held {
    values: Values,
    /// By node.
    packed: Vec<Option<PackedB>>,
}

impl Held {
    pub(super) fn new(graph: &Graph) -> Self {
        let packed = graph.nodes().iter().map(|_| None).collect();
        Self { values: vec![None; graph.types().len()], packed }
    }

    pub(super) fn insert(&mut self, graph: &Graph, tensors: Tensors) -> Result<(), ComputeError> {
        let inputs: HashMap<&str, ValueId> =
            graph.inputs().iter().map(|(name, value)| (name.as_str(), *value)).collect();
        for (name, tensor) in tensors.iter() {
            let value = inputs.get(name).ok_or_else(|| ComputeError::UnknownTensor { name: name.to_owned() })?;
            check_type(name, tensor, graph.value_type(*value))?;
        }
        let mut is_new = vec![false; graph.types().len()];
        for (name, tensor) in tensors {
            let value = inputs[name.as_str()].index();
            self.values[value] = Some(Rc::new(tensor.into_data()));
            is_new[value] = true;
        }
        for (node, packed) in graph.nodes().iter().zip(&mut self.packed) {
            if node.inputs.iter().any(|input| is_new[input.index()]) {
                *packed = None;
            }
        }
        Ok(())
    }

    /// Everything that a run starts with: its tensors must be exactly the graph's inputs that are not held.
    pub(super) fn bind(&self, graph: &Graph, inputs: Tensors) -> Result<Values, ComputeError> {
        let given = bind_inputs_but(graph, inputs, |value| self.values[value.index()].is_some())?;
        let given = given.into_iter().map(|tensor| tensor.map(|tensor| Rc::new(tensor.into_data())));
        Ok(self.values.iter().zip(given).map(|(held, given)| held.clone().or(given)).collect())
    }

    /// The packed right operand of a product of matrices, if that operand is held.
    pub(super) fn packed(&mut self, graph: &Graph, node: usize, scratch: &Scratch) -> Option<&PackedB> {
        let Op::MatMul { trans_b, .. } = graph.nodes()[node].op else { return None };
        let right = graph.nodes()[node].inputs[1];
        let data: &Data = self.values[right.index()].as_ref()?;
        let b = f32::elements(data)?;
        let [rows, columns] = graph.value_type(right).shape[..] else { return None };
        let (rows, columns) = (rows as usize, columns as usize);
        Some(self.packed[node].get_or_insert_with(|| match trans_b {
            false => PackedB::new(scratch, rows, columns, Matrix::rows(b, columns)),
            true => PackedB::new(scratch, columns, rows, Matrix::transposed(b, columns)),
        }))
    }
}
