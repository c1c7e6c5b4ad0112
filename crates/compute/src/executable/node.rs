//! Runs one operation that is not fused: the bridge from graphs to kernels.

use std::rc::Rc;

use shoal_graph::{Graph, Node, Op, Window2d, cost};

use super::{Values, buffers::Buffers, held::Held};
use crate::{
    error::ComputeError,
    kernels::{
        conv::{Conv, depthwise},
        gather::Indexed,
        gemm, integer,
        integer_conv::convolve,
        matrix::Matrix,
        pool::Pool,
        reduce, rows,
        scratch::Scratch,
        strided::{self, View},
    },
    tensor::{Data, Element},
};

const _: () = assert!(depthwise::CHANNELS as u64 == cost::DEPTHWISE_BLOCK, "planes are counted as they are held");
const _: () = assert!(depthwise::MIN_CHANNELS == cost::MIN_DEPTHWISE_CHANNELS as usize, "and from as many channels on");

/// What the node makes of the values.
pub(super) fn run(
    graph: &Graph,
    index: usize,
    values: &Values,
    held: &mut Held,
    buffers: &mut Buffers,
) -> Result<Data, ComputeError> {
    let node = &graph.nodes()[index];
    let made = graph.value_type(node.output);
    let call = Call { graph, node, values, shape: &made.shape };
    let len = made.elements() as usize;
    if let Op::Constant(literal) = &node.op {
        return Ok(Data::from_bytes(made.dtype, literal.bytes()));
    }
    let mut out = buffers.of(made.dtype, len);
    match &mut out {
        Data::F32(y) => match held.packed(graph, index, &buffers.scratch) {
            Some(packed) => call.packed_product(packed, y, &mut buffers.scratch),
            None => call.floats(y, &mut buffers.scratch)?,
        },
        Data::I32(y) => call.integers(y, &mut buffers.scratch)?,
        Data::I8(y) => call.signed_bytes(y)?,
        Data::U8(y) => call.moved(y)?,
    }
    Ok(out)
}

/// A node with its operands.
struct Call<'a> {
    graph: &'a Graph,
    node: &'a Node,
    values: &'a Values,
    /// Shape of the result.
    shape: &'a [u32],
}

impl<'a> Call<'a> {
    fn data(&self, operand: usize) -> &'a Rc<Data> {
        self.values[self.node.inputs[operand].index()].as_ref().expect("a value lives until its last use")
    }

    fn get<T: Element>(&self, operand: usize) -> &'a [T] {
        T::elements(self.data(operand)).expect("a validated graph gives an operation its types")
    }

    fn shape(&self, operand: usize) -> &'a [u32] {
        &self.graph.value_type(self.node.inputs[operand]).shape
    }

    fn floats(&self, y: &mut [f32], scratch: &mut Scratch) -> Result<(), ComputeError> {
        let width = || self.shape(0).last().map_or(1, |dim| *dim as usize);
        match &self.node.op {
            Op::MatMul { trans_a, trans_b } => self.product(*trans_a, *trans_b, y, scratch),
            Op::Conv2d { window, groups } => {
                let conv = conv(window, *groups, self.shape(0), self.shape(1), self.shape);
                conv.forward(scratch, self.get(0), self.get(1), y);
            }
            Op::Conv2dGradInput { window, groups, .. } => {
                let conv = conv(window, *groups, self.shape, self.shape(0), self.shape(1));
                conv.grad_input(scratch, self.get(0), self.get(1), y);
            }
            Op::Conv2dGradWeight { window, groups, .. } => {
                let conv = conv(window, *groups, self.shape(0), self.shape, self.shape(1));
                conv.grad_weight(scratch, self.get(0), self.get(1), y);
            }
            Op::MaxPool2d { window, kernel_height, kernel_width } => {
                pool(window, [*kernel_height, *kernel_width], self.shape(0), self.shape).max(
                    self.get(0),
                    y,
                    f32::NEG_INFINITY,
                );
            }
            Op::MaxPool2dGrad { window, kernel_height, kernel_width } => {
                let pool = pool(window, [*kernel_height, *kernel_width], self.shape(0), self.shape(1));
                pool.max_grad(self.get(0), self.get(1), y);
            }
            Op::SumPool2d { window, kernel_height, kernel_width } => {
                pool(window, [*kernel_height, *kernel_width], self.shape(0), self.shape).sum(self.get(0), y);
            }
            Op::SumPool2dGrad { window, kernel_height, kernel_width, .. } => {
                pool(window, [*kernel_height, *kernel_width], self.shape, self.shape(0)).sum_grad(self.get(0), y);
            }
            Op::Softmax => rows::softmax(self.get(0), width(), y),
            Op::SoftmaxGrad => rows::softmax_grad(self.get(0), self.get(1), width(), y),
            Op::SoftmaxCrossEntropy => y[0] = rows::softmax_cross_entropy(self.get(0), self.get(1), width())?,
            Op::SoftmaxCrossEntropyGrad => {
                let loss_gradient = self.get::<f32>(2)[0];
                rows::softmax_cross_entropy_grad(self.get(0), self.get(1), loss_gradient, width(), y)?;
            }
            Op::Reduce { reduction, axes } => reduce::reduce(*reduction, self.get(0), self.shape(0), axes, y),
            Op::ScatterAdd { axis, .. } => {
                indexed(self.shape, *axis).scatter_add(self.get(0), self.get(1), y)?;
            }
            Op::Pad { value, .. } => self.pad(*value, y),
            _ => self.moved(y)?,
        }
        Ok(())
    }

    fn integers(&self, y: &mut [i32], scratch: &mut Scratch) -> Result<(), ComputeError> {
        match &self.node.op {
            Op::MatMulInteger { trans_b } => self.integer_product(*trans_b, scratch, y),
            Op::Conv2dInteger { window, groups } => self.integer_convolution(window, *groups, scratch, y),
            Op::Iota { axis, shape } => {
                let inner: usize = shape[*axis as usize + 1..].iter().map(|dim| *dim as usize).product();
                let extent = shape[*axis as usize] as usize;
                for (position, y) in y.iter_mut().enumerate() {
                    *y = (position / inner % extent) as i32;
                }
            }
            Op::Reduce { reduction, axes } => reduce::reduce_i32(*reduction, self.get(0), self.shape(0), axes, y),
            Op::ArgMax { axis } => reduce::arg_max(self.get(0), self.shape(0), *axis as usize, y),
            Op::Pad { value, .. } => self.pad(*value as i32, y),
            _ => self.moved(y)?,
        }
        Ok(())
    }

    fn signed_bytes(&self, y: &mut [i8]) -> Result<(), ComputeError> {
        match &self.node.op {
            Op::MaxPool2d { window, kernel_height, kernel_width } => {
                pool(window, [*kernel_height, *kernel_width], self.shape(0), self.shape).max(self.get(0), y, i8::MIN);
                Ok(())
            }
            _ => self.moved(y),
        }
    }

    /// Operations that move elements of whichever type.
    fn moved<T: Element>(&self, y: &mut [T]) -> Result<(), ComputeError> {
        match &self.node.op {
            Op::Transpose { axes } => self.transpose(axes, y),
            Op::Broadcast { shape } => View::broadcast(self.shape(0), shape).read(self.get(0), 0, y),
            Op::Slice { starts, steps, shape } => {
                strided::sliced(self.shape(0), starts, steps, shape).read(self.get(0), 0, y);
            }
            Op::Concat { axis } => self.concat(*axis as usize, y),
            Op::Gather { axis } => indexed(self.shape(0), *axis).gather(self.get(0), self.get(1), y)?,
            op => unreachable!("{} is an element-wise operation or makes one type alone", op.name()),
        }
        Ok(())
    }

    fn pad<T: Element>(&self, value: T, y: &mut [T]) {
        let Op::Pad { low, interior, .. } = &self.node.op else { unreachable!("the caller matched it") };
        y.fill(value);
        strided::padded(self.shape(0), low, interior, self.shape).write(self.get(0), y);
    }

    fn transpose<T: Element>(&self, axes: &[u32], y: &mut [T]) {
        let shape = self.shape(0);
        // The last two axes changed places: matrices, which are turned in blocks.
        if let [outer @ .., a, b] = axes
            && *a == *b + 1
            && outer.iter().copied().eq(0..outer.len() as u32)
        {
            let (rows, columns) = (shape[*b as usize] as usize, shape[*a as usize] as usize);
            for (x, y) in self.get::<T>(0).chunks(rows * columns).zip(y.chunks_mut(rows * columns)) {
                strided::transpose(x, rows, columns, y);
            }
            return;
        }
        strided::transposed(shape, axes).read(self.get(0), 0, y);
    }

    fn concat<T: Element>(&self, axis: usize, y: &mut [T]) {
        let run = |shape: &[u32]| -> usize { shape[axis..].iter().map(|dim| *dim as usize).product() };
        let whole = run(self.shape);
        let mut first = 0;
        for operand in 0..self.node.inputs.len() {
            let own = run(self.shape(operand));
            for (x, y) in self.get::<T>(operand).chunks(own).zip(y.chunks_mut(whole)) {
                y[first..first + own].copy_from_slice(x);
            }
            first += own;
        }
    }

    fn product(&self, trans_a: bool, trans_b: bool, c: &mut [f32], scratch: &mut Scratch) {
        let Product { m, n, k } = self.sizes(trans_a);
        c.fill(0.0);
        let matrices = self.get(0).chunks(m * k).zip(self.get(1).chunks(k * n)).zip(c.chunks_mut(m * n));
        for ((a, b), c) in matrices {
            let a = if trans_a { Matrix::transposed(a, m) } else { Matrix::rows(a, k) };
            let b = if trans_b { Matrix::transposed(b, k) } else { Matrix::rows(b, n) };
            gemm::gemm_accumulate(scratch, m, n, k, a, b, c);
        }
    }

    fn packed_product(&self, b: &gemm::PackedB, c: &mut [f32], scratch: &mut Scratch) {
        let Op::MatMul { trans_a, .. } = self.node.op else { unreachable!("products alone have packed operands") };
        let Product { m, k, .. } = self.sizes(trans_a);
        let a = self.get(0);
        let a = if trans_a { Matrix::transposed(a, m) } else { Matrix::rows(a, k) };
        c.fill(0.0);
        gemm::gemm_accumulate_packed(scratch, m, a, b, c);
    }

    fn integer_product(&self, trans_b: bool, scratch: &mut Scratch, c: &mut [i32]) {
        match &**self.data(0) {
            Data::I8(a) => self.integer_products(a, trans_b, scratch, c),
            Data::U8(a) => self.integer_products(a, trans_b, scratch, c),
            _ => unreachable!("inference takes bytes alone"),
        }
    }

    fn integer_products<A: integer::Byte>(&self, a: &[A], trans_b: bool, scratch: &mut Scratch, c: &mut [i32]) {
        let Product { m, n, k } = self.sizes(false);
        c.fill(0);
        for ((a, b), c) in a.chunks(m * k).zip(self.get::<i8>(1).chunks(k * n)).zip(c.chunks_mut(m * n)) {
            let b = if trans_b { Matrix::transposed(b, k) } else { Matrix::rows(b, n) };
            integer::integer_accumulate(scratch, m, n, k, Matrix::rows(a, k), b, c, n);
        }
    }

    fn integer_convolution(&self, window: &Window2d, groups: u32, scratch: &mut Scratch, y: &mut [i32]) {
        let conv = conv(window, groups, self.shape(0), self.shape(1), self.shape);
        match &**self.data(0) {
            Data::I8(x) => convolve(&conv, scratch, x, self.get(1), y),
            Data::U8(x) => convolve(&conv, scratch, x, self.get(1), y),
            _ => unreachable!("inference takes bytes alone"),
        }
    }

    fn sizes(&self, trans_a: bool) -> Product {
        let dim = |shape: &[u32], from_end: usize| shape[shape.len() - from_end] as usize;
        let k = dim(self.shape(0), if trans_a { 2 } else { 1 });
        Product { m: dim(self.shape, 2), n: dim(self.shape, 1), k }
    }
}

/// Sizes of one product \[m, k\]·\[k, n\].
struct Product {
    m: usize,
    n: usize,
    k: usize,
}

fn indexed(shape: &[u32], axis: u32) -> Indexed {
    let axis = axis as usize;
    Indexed { extent: shape[axis] as usize, inner: shape[axis + 1..].iter().map(|dim| *dim as usize).product() }
}

pub(super) fn conv(window: &Window2d, groups: u32, image: &[u32], weight: &[u32], out: &[u32]) -> Conv {
    let size = |dim: u32| dim as usize;
    Conv {
        samples: size(image[0]),
        channels: size(image[1]),
        height: size(image[2]),
        width: size(image[3]),
        out_channels: size(weight[0]),
        kernel_height: size(weight[2]),
        kernel_width: size(weight[3]),
        out_height: size(out[2]),
        out_width: size(out[3]),
        stride: [window.height.stride, window.width.stride].map(size),
        dilation: [window.height.dilation, window.width.dilation].map(size),
        low: [window.height.low, window.width.low].map(size),
        groups: size(groups),
    }
}

fn pool(window: &Window2d, kernel: [u32; 2], image: &[u32], out: &[u32]) -> Pool {
    let size = |dim: u32| dim as usize;
    Pool {
        image: [image[2], image[3]].map(size),
        out: [out[2], out[3]].map(size),
        kernel: kernel.map(size),
        stride: [window.height.stride, window.width.stride].map(size),
        dilation: [window.height.dilation, window.width.dilation].map(size),
        low: [window.height.low, window.width.low].map(size),
    }
}
