//! The CPU backend: interprets a graph node by node with the exact/1 kernels, dropping each value after its last use.

use shoal_graph::{ConvGeometry, Graph, Node, Op, TensorType, ValueId, cost::last_uses};

use crate::{
    backend::{Backend, BackendInfo, BackendKind},
    error::ComputeError,
    kernels::{conv::Conv, elementwise, gemm, pool::Pool, rows},
    tensor::{Tensor, Tensors},
};

/// Reference backend of class exact/1.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuBackend;

impl Backend for CpuBackend {
    fn info(&self) -> BackendInfo {
        let adapter = if cfg!(target_arch = "wasm32") { "wasm simd128" } else { std::env::consts::ARCH };
        BackendInfo { kind: BackendKind::Cpu, adapter: adapter.to_owned(), is_fallback: false, dispatches: 0 }
    }

    fn run(&mut self, graph: &Graph, inputs: Tensors) -> impl Future<Output = Result<Tensors, ComputeError>> {
        std::future::ready(self.run_now(graph, inputs))
    }
}

impl CpuBackend {
    /// [`Backend::run`] without the future.
    ///
    /// # Errors
    /// As [`Backend::run`].
    pub fn run_now(&self, graph: &Graph, inputs: Tensors) -> Result<Tensors, ComputeError> {
        let mut values = bind_inputs(graph, inputs)?;
        let last = last_uses(values.len(), graph.nodes(), graph.outputs());
        for (index, node) in graph.nodes().iter().enumerate() {
            let made = run_node(graph, node, &mut values, |value| last[value.index()] == index)?;
            for (value, tensor) in node.outputs.iter().zip(made) {
                values[value.index()] = Some(tensor);
            }
            for value in node.inputs.iter().chain(&node.outputs) {
                if last[value.index()] == index {
                    values[value.index()] = None;
                }
            }
        }
        let outputs = graph.outputs().iter().map(|(name, value)| {
            let tensor = values[value.index()].clone().expect("an output is kept until the end");
            (name.clone(), tensor)
        });
        Ok(outputs.collect())
    }
}

/// Checks that the tensors are exactly the graph's inputs and puts each at its value.
pub(crate) fn bind_inputs(graph: &Graph, mut inputs: Tensors) -> Result<Vec<Option<Tensor>>, ComputeError> {
    let mut values: Vec<Option<Tensor>> = vec![None; graph.types().len()];
    for (name, value) in graph.inputs() {
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

/// Sizes of a convolution from the shapes of its image, its weight and its output.
pub(crate) fn conv_sizes(geometry: ConvGeometry, image: &[u32], weight: &[u32], output: &[u32]) -> Conv {
    let size = |dim: u32| dim as usize;
    Conv {
        samples: size(image[0]),
        channels: size(image[1]),
        height: size(image[2]),
        width: size(image[3]),
        out_channels: size(weight[0]),
        kernel_height: size(weight[2]),
        kernel_width: size(weight[3]),
        out_height: size(output[2]),
        out_width: size(output[3]),
        stride: size(geometry.stride),
        padding: size(geometry.padding),
    }
}

/// Elements of one channel of one sample: the product of the dimensions after the second.
pub(crate) fn inner_len(shape: &[u32]) -> usize {
    shape[2..].iter().map(|dim| *dim as usize).product()
}

fn run_node(
    graph: &Graph,
    node: &Node,
    values: &mut [Option<Tensor>],
    is_last_use: impl Fn(ValueId) -> bool,
) -> Result<Vec<Tensor>, ComputeError> {
    let out_shape = graph.value_type(node.outputs[0]).shape.as_slice();
    if let Op::Reshape { shape } = &node.op {
        let from = node.inputs[0];
        let slot = &mut values[from.index()];
        let tensor = if is_last_use(from) { slot.take() } else { slot.clone() };
        return Ok(vec![tensor.expect("a value lives until its last use").reshaped(shape)]);
    }
    let tensor =
        |i: usize| -> &Tensor { values[node.inputs[i].index()].as_ref().expect("a value lives until its last use") };
    let f = |i: usize| tensor(i).as_f32().expect("a validated graph gives this operation f32");
    let labels = |i: usize| tensor(i).as_i32().expect("a validated graph gives this operation i32");
    let shape = |i: usize| tensor(i).shape();
    let width = |i: usize| shape(i)[1] as usize;
    let data = match &node.op {
        Op::MatMul { trans_a, trans_b } => {
            let (m, n) = (out_shape[0] as usize, out_shape[1] as usize);
            let (a_columns, b_columns) = (width(0), width(1));
            let k = if *trans_a { shape(0)[0] as usize } else { a_columns };
            let view = |data, columns, transposed| match transposed {
                false => gemm::Matrix::rows(data, columns),
                true => gemm::Matrix::transposed(data, columns),
            };
            let mut c = vec![0.0; m * n];
            let (a, b) = (view(f(0), a_columns, *trans_a), view(f(1), b_columns, *trans_b));
            gemm::gemm_accumulate(m, n, k, a, b, &mut c);
            c
        }
        Op::AddBias => elementwise::add_bias(f(0), f(1), inner_len(shape(0))),
        Op::Conv2d(g) => conv_sizes(*g, shape(0), shape(1), out_shape).forward(f(0), f(1)),
        Op::Conv2dGradInput { geometry, .. } => {
            conv_sizes(*geometry, out_shape, shape(0), shape(1)).grad_input(f(0), f(1))
        }
        Op::Conv2dGradWeight { geometry, .. } => {
            conv_sizes(*geometry, shape(0), out_shape, shape(1)).grad_weight(f(0), f(1))
        }
        Op::Relu => elementwise::relu(f(0)),
        Op::ReluGrad => elementwise::relu_grad(f(0), f(1)),
        Op::MaxPool2d { size } => pool(shape(0), *size).forward(f(0)),
        Op::MaxPool2dGrad { size } => pool(shape(0), *size).grad(f(0), f(1)),
        Op::Reshape { .. } => unreachable!("handled above"),
        Op::SumChannels => elementwise::sum_channels(f(0), width(0), inner_len(shape(0))),
        Op::Softmax => rows::softmax(f(0), width(0)),
        Op::SoftmaxGrad => rows::softmax_grad(f(0), f(1), width(0)),
        Op::SoftmaxCrossEntropy => vec![rows::softmax_cross_entropy(f(0), labels(1), width(0))?],
        Op::SoftmaxCrossEntropyGrad => rows::softmax_cross_entropy_grad(f(0), labels(1), f(2)[0], width(0))?,
        Op::Add => elementwise::add(f(0), f(1)),
        Op::Scale { factor } => elementwise::scale(f(0), *factor),
        Op::Constant { value, .. } => {
            vec![*value; graph.value_type(node.outputs[0]).elements() as usize]
        }
        Op::SgdMomentum => {
            let (p, v) = elementwise::sgd_momentum(f(0), f(1), f(2), f(3)[0], f(4)[0]);
            return Ok(vec![Tensor::f32(out_shape, p), Tensor::f32(out_shape, v)]);
        }
    };
    Ok(vec![Tensor::f32(out_shape, data)])
}

fn pool(shape: &[u32], size: u32) -> Pool {
    Pool { height: shape[2] as usize, width: shape[3] as usize, size: size as usize }
}
