//! A graph made ready to run: neighbouring element-wise operations fused into loops, attention without its score matrix,
//! values freed after their last use, memory used again from run to run. None of it changes a bit of the results, unless
//! the work is tolerant.

pub(crate) mod attention;
mod buffers;
mod convolution;
pub(crate) mod fuse;
mod held;
mod looks;
pub(crate) mod loops;
mod node;
mod planner;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use shoal_graph::{Graph, Op, TensorType, ValueId};

use self::{buffers::Buffers, fuse::Step, held::Held};
use crate::{
    error::ComputeError,
    kernels::scratch::Scratch,
    tensor::{Data, Tensor, Tensors},
};

/// Registers of a loop and blocks of scores, which a graph's peak does not count because they do not grow with it.
const FIXED_BYTES: u64 = 1 << 20;

/// A graph with its plan and its memory.
pub struct Executable {
    graph: Graph,
    steps: Vec<Step>,
    /// For each step, the values that nothing reads after it.
    dead: Vec<Vec<ValueId>>,
    held: Held,
    buffers: Buffers,
}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executable").field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// Elements of the values that live. Reshaping shares them.
type Values = Vec<Option<Rc<Data>>>;

impl Executable {
    /// Plans the runs of a graph in exact/1.
    pub fn new(graph: Graph) -> Self {
        Self::with(graph, Scratch::exact())
    }

    /// Plans runs whose products may round once where exact/1 rounds twice, which is faster where the machine can fuse a
    /// multiplication and an addition. Bits differ between machines.
    pub fn tolerant(graph: Graph) -> Self {
        Self::with(graph, Scratch::tolerant())
    }

    fn with(graph: Graph, scratch: Scratch) -> Self {
        let steps = fuse::steps(&graph);
        let dead = dead_after(&graph, &steps);
        let held = Held::new(&graph);
        let buffers = Buffers::within(graph.peak_memory_bytes() + FIXED_BYTES, scratch);
        Self { graph, steps, dead, held, buffers }
    }

    /// With kernels at one level of this machine.
    #[cfg(all(test, not(target_arch = "wasm32")))]
    pub(crate) fn at(graph: Graph, level: crate::kernels::lanes::Level) -> Self {
        Self::with(graph, Scratch::at(level))
    }

    /// Keeps inputs for all runs from now on, such as weights: they are not given to [`Self::run`] any more, and products
    /// with them are prepared once.
    ///
    /// # Errors
    /// A name that is no input, and a tensor that does not fit; then nothing has changed.
    pub fn hold(&mut self, tensors: Tensors) -> Result<(), ComputeError> {
        self.held.insert(&self.graph, tensors)
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Runs the graph once. `inputs` holds exactly its inputs but for those that are held, the result exactly its outputs.
    ///
    /// # Errors
    /// Tensors that do not fit the graph, labels and indices out of range.
    pub fn run(&mut self, inputs: Tensors) -> Result<Tensors, ComputeError> {
        let mut values = self.held.bind(&self.graph, inputs)?;
        let inputs = self.graph.inputs().iter().map(|(_, value)| self.graph.value_type(*value).bytes());
        self.buffers.begin(inputs.sum());
        for (step, dead) in self.steps.iter().zip(&self.dead) {
            match step {
                Step::Node(index) => {
                    let node = &self.graph.nodes()[*index];
                    let made = match &node.op {
                        Op::Reshape { .. } => {
                            values[node.inputs[0].index()].clone().expect("a value lives until its last use")
                        }
                        _ => Rc::new(node::run(&self.graph, *index, &values, &mut self.held, &mut self.buffers)?),
                    };
                    values[node.output.index()] = Some(made);
                }
                Step::Loop(group) => group.run(&mut values, &mut self.buffers),
                Step::Attention(attention) => attention.run(&self.graph, &mut values, &mut self.buffers),
                Step::Convolution(convolution) => convolution.run(&self.graph, &mut values, &mut self.buffers),
            }
            for value in dead {
                if let Some(data) = values[value.index()].take().and_then(Rc::into_inner) {
                    self.buffers.put(data);
                }
            }
        }
        Ok(self.outputs(values))
    }

    /// Gives back the memory of tensors that are not needed any more, for the next run.
    pub fn recycle(&mut self, tensors: Tensors) {
        for (_, tensor) in tensors {
            self.buffers.put(tensor.into_data());
        }
    }

    fn outputs(&self, mut values: Values) -> Tensors {
        let mut left = vec![0usize; values.len()];
        for (_, value) in self.graph.outputs() {
            left[value.index()] += 1;
        }
        let outputs = self.graph.outputs().iter().map(|(name, value)| {
            left[value.index()] -= 1;
            let slot = &mut values[value.index()];
            let data = if left[value.index()] == 0 { slot.take() } else { slot.clone() };
            let data = Rc::unwrap_or_clone(data.expect("an output is kept until the end"));
            (name.clone(), Tensor::new(self.graph.value_type(*value).shape.clone(), data))
        });
        outputs.collect()
    }
}

/// Checks that the tensors are exactly the graph's inputs and puts each at its value.
#[cfg(feature = "webgpu")]
pub(crate) fn bind_inputs(graph: &Graph, inputs: Tensors) -> Result<Vec<Option<Tensor>>, ComputeError> {
    bind_inputs_but(graph, inputs, |_| false)
}

/// Checks that the tensors are exactly the inputs that are not given otherwise, and puts each at its value.
fn bind_inputs_but(
    graph: &Graph,
    mut inputs: Tensors,
    is_given: impl Fn(ValueId) -> bool,
) -> Result<Vec<Option<Tensor>>, ComputeError> {
    let mut values: Vec<Option<Tensor>> = vec![None; graph.types().len()];
    for (name, value) in graph.inputs().iter().filter(|(_, value)| !is_given(*value)) {
        let tensor = inputs.remove(name).ok_or_else(|| ComputeError::MissingTensor { name: name.clone() })?;
        check_type(name, &tensor, graph.value_type(*value))?;
        values[value.index()] = Some(tensor);
    }
    match inputs.into_iter().next() {
        Some((name, _)) => Err(ComputeError::UnknownTensor { name }),
        None => Ok(values),
    }
}

/// Checks that a tensor has the type that a graph declares.
pub(crate) fn check_type(name: &str, tensor: &Tensor, expected: &TensorType) -> Result<(), ComputeError> {
    let found = tensor.tensor_type();
    if found == *expected {
        return Ok(());
    }
    Err(ComputeError::WrongTensor {
        name: name.to_owned(),
        found: found.dtype,
        found_shape: found.shape,
        expected: expected.dtype,
        expected_shape: expected.shape.clone(),
    })
}

/// For each step, the values that nothing reads after it.
pub(crate) fn dead_after(graph: &Graph, steps: &[Step]) -> Vec<Vec<ValueId>> {
    let mut last: Vec<Option<usize>> = vec![None; graph.types().len()];
    for (index, step) in steps.iter().enumerate() {
        step.for_each_value(graph, |value| last[value.index()] = Some(index));
    }
    for (_, value) in graph.outputs() {
        last[value.index()] = None;
    }
    let mut dead = vec![Vec::new(); steps.len()];
    let ids = graph.inputs().iter().map(|(_, value)| *value).chain(graph.nodes().iter().map(|node| node.output));
    for value in ids {
        if let Some(step) = last[value.index()] {
            dead[step].push(value);
        }
    }
    dead
}
