//! Every operation, gradients and all, on shapes and attributes drawn at random.

use std::ops::Range;

use shoal_compute::{Data, Tensor, Tensors};
use shoal_graph::{Axis2d, Binary, DType, Graph, GraphBuilder, Op, Reduction, TensorType, Unary, ValueId, Window2d};

use super::{Numbers, random_inputs_within, whole};

/// One operation as a graph whose output is named `made`.
pub struct RandomCase {
    pub op: Op,
    pub types: Vec<TensorType>,
    pub graph: Graph,
    /// What integers are drawn from.
    integers: Range<i32>,
    /// What floats are multiplied by, and what is added.
    floats: (f32, f32),
}

impl RandomCase {
    pub fn inputs(&self) -> Tensors {
        let (factor, added) = self.floats;
        let drawn = random_inputs_within(&self.graph, 5, &self.integers);
        let moved = |tensor: Tensor| match tensor.data() {
            Data::F32(data) => Tensor::f32(tensor.shape(), data.iter().map(|x| x * factor + added).collect::<Vec<_>>()),
            _ => tensor,
        };
        drawn.into_iter().map(|(name, tensor)| (name, moved(tensor))).collect()
    }
}

/// The cases among `count` that shape inference lets through.
pub fn random_cases(count: u64) -> impl Iterator<Item = RandomCase> {
    let mut draw = Draw(Numbers(17));
    (0..count).filter_map(move |case| {
        let drawn = match case % 4 {
            0 => elements(&mut draw),
            1 => moves(&mut draw),
            2 => windows(&mut draw),
            _ => sums(&mut draw),
        };
        let mut b = GraphBuilder::new();
        let inputs: Option<Vec<ValueId>> = drawn
            .types
            .iter()
            .enumerate()
            .map(|(i, tensor_type)| b.input(format!("input{i}"), tensor_type.clone()).ok())
            .collect();
        let made = b.apply(drawn.op.clone(), &inputs?).ok()?;
        b.output("made", made);
        let Drawn { op, types, integers, floats } = drawn;
        Some(RandomCase { op, types, graph: b.finish().unwrap(), integers, floats })
    })
}

struct Drawn {
    op: Op,
    types: Vec<TensorType>,
    integers: Range<i32>,
    floats: (f32, f32),
}

impl Drawn {
    fn new(op: Op, types: Vec<TensorType>) -> Self {
        Self { op, types, integers: -4..5, floats: (1.0, 0.0) }
    }

    fn floats(op: Op, shapes: &[&[u32]]) -> Self {
        Self::new(op, shapes.iter().map(|shape| TensorType::f32(*shape)).collect())
    }

    fn indexing(self, extent: u32) -> Self {
        Self { integers: 0..extent as i32, ..self }
    }
}

struct Draw(Numbers);

impl Draw {
    fn between(&mut self, least: u32, most: u32) -> u32 {
        whole(&mut self.0, &(least as i32..most as i32 + 1)) as u32
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.between(0, all.len() as u32 - 1) as usize]
    }

    fn is(&mut self) -> bool {
        self.between(0, 1) == 1
    }

    fn shape(&mut self, least: u32, most: u32) -> Vec<u32> {
        let rank = self.between(least, most);
        (0..rank).map(|_| self.between(1, 5)).collect()
    }

    /// A shape that broadcasts to the other one.
    fn part_of(&mut self, shape: &[u32]) -> Vec<u32> {
        let dropped = if self.is() { self.between(0, shape.len() as u32) as usize } else { 0 };
        shape[dropped..].iter().map(|dim| if self.between(0, 3) == 0 { 1 } else { *dim }).collect()
    }

    fn any_type(&mut self) -> DType {
        self.one_of(&[DType::F32, DType::I32, DType::I8, DType::U8])
    }

    fn number_type(&mut self) -> DType {
        self.one_of(&[DType::F32, DType::I32])
    }

    fn axis(&mut self, shape: &[u32]) -> u32 {
        self.between(0, shape.len() as u32 - 1)
    }

    fn window(&mut self) -> Window2d {
        let mut axis = || Axis2d {
            stride: self.between(1, 3),
            dilation: self.between(1, 2),
            low: self.between(0, 3),
            high: self.between(0, 3),
        };
        Window2d { height: axis(), width: axis() }
    }
}

fn elements(draw: &mut Draw) -> Drawn {
    let shape = draw.shape(0, 6);
    let dtype = draw.number_type();
    let typed = |shape: &[u32]| TensorType::new(dtype, shape);
    match draw.between(0, 4) {
        4 => requantize(draw, &shape),
        0 => {
            let unary = draw.one_of(&Unary::ALL);
            let dtype = if unary.takes_i32() { dtype } else { DType::F32 };
            let drawn = Drawn::new(Op::Unary(unary), vec![TensorType::new(dtype, shape)]);
            let is_above_zero = matches!(unary, Unary::Sqrt | Unary::Log | Unary::Reciprocal);
            Drawn { floats: if is_above_zero { (1.0, 1.1) } else { (5.0, 0.0) }, ..drawn }
        }
        1 => {
            let binary = draw.one_of(&Binary::ALL);
            let dtype = if binary.takes(dtype) {
                dtype
            } else {
                [DType::F32, DType::I32][usize::from(!binary.takes(DType::F32))]
            };
            let types = [draw.part_of(&shape), draw.part_of(&shape)].map(|shape| TensorType::new(dtype, shape));
            let is_above_zero = matches!(binary, Binary::Pow | Binary::Div);
            Drawn {
                floats: if is_above_zero { (1.0, 1.1) } else { (3.0, 0.0) },
                ..Drawn::new(binary.op(), types.to_vec())
            }
        }
        2 => {
            let condition = TensorType::i32(draw.part_of(&shape));
            let (a, b) = (draw.part_of(&shape), draw.part_of(&shape));
            Drawn { integers: 0..2, ..Drawn::new(Op::Where, vec![condition, typed(&a), typed(&b)]) }
        }
        _ => {
            let (from, to) = (draw.any_type(), draw.any_type());
            Drawn { floats: (200.0, 0.0), ..Drawn::new(Op::Cast { to }, vec![TensorType::new(from, shape)]) }
        }
    }
}

/// Multipliers of any shape that broadcasts; results of a few bits, half of them beyond their range.
fn requantize(draw: &mut Draw, shape: &[u32]) -> Drawn {
    let to = draw.one_of(&[DType::I32, DType::I8, DType::U8]);
    let (low, high) = if to == DType::U8 { (1, 90) } else { (-90, 7) };
    let op = Op::Requantize { shift: draw.between(1, 6), low, high, to };
    let types = vec![TensorType::i32(shape), TensorType::i32(draw.part_of(shape))];
    Drawn { integers: -60..61, ..Drawn::new(op, types) }
}

fn moves(draw: &mut Draw) -> Drawn {
    let shape = draw.shape(1, 5);
    let dtype = draw.any_type();
    let typed = |shape: &[u32]| TensorType::new(dtype, shape);
    let one = |op, shape: &[u32]| Drawn::new(op, vec![TensorType::new(dtype, shape)]);
    match draw.between(0, 8) {
        0 => one(Op::Reshape { shape: shape.iter().rev().copied().collect() }, &shape),
        1 => {
            let mut axes: Vec<u32> = (0..shape.len() as u32).collect();
            for at in 0..axes.len() {
                axes.swap(at, draw.between(at as u32, shape.len() as u32 - 1) as usize);
            }
            one(Op::Transpose { axes }, &shape)
        }
        2 => {
            let from = draw.part_of(&shape);
            one(Op::Broadcast { shape }, &from)
        }
        3 => {
            let (mut starts, mut steps, mut cut) = (Vec::new(), Vec::new(), Vec::new());
            for dim in &shape {
                let (start, step) = (draw.between(0, dim - 1), draw.one_of(&[-2i32, -1, 1, 2, 3]));
                let room = if step < 0 { start } else { dim - 1 - start };
                starts.push(start);
                steps.push(step);
                cut.push(draw.between(1, room / step.unsigned_abs() + 1));
            }
            one(Op::Slice { starts, steps, shape: cut }, &shape)
        }
        4 => {
            let mut some = || shape.iter().map(|_| draw.between(0, 2)).collect();
            one(Op::Pad { low: some(), high: some(), interior: some(), value: -2.5 }, &shape)
        }
        5 => {
            let axis = draw.axis(&shape);
            let mut part = || {
                let mut own = shape.clone();
                own[axis as usize] = draw.between(1, 4);
                typed(&own)
            };
            Drawn::new(Op::Concat { axis }, (0..3).map(|_| part()).collect())
        }
        6 => {
            let (axis, indices) = (draw.axis(&shape), draw.shape(0, 2));
            let extent = shape[axis as usize];
            Drawn::new(Op::Gather { axis }, vec![typed(&shape), TensorType::i32(indices)]).indexing(extent)
        }
        7 => {
            let (axis, indices, size) = (draw.axis(&shape), draw.shape(0, 2), draw.between(1, 6));
            let at = axis as usize;
            let updates = [&shape[..at], &indices, &shape[at + 1..]].concat();
            let types = vec![TensorType::f32(updates), TensorType::i32(indices)];
            Drawn::new(Op::ScatterAdd { axis, size }, types).indexing(size)
        }
        _ => Drawn::new(Op::Iota { axis: draw.axis(&shape), shape }, Vec::new()),
    }
}

fn windows(draw: &mut Draw) -> Drawn {
    let (window, groups) = (draw.window(), draw.between(1, 3));
    let (n, c, h, w) = (draw.between(1, 3), draw.between(1, 3), draw.between(1, 9), draw.between(1, 9));
    let (o, kernel_height, kernel_width) = (draw.between(1, 6) * groups, draw.between(1, 4), draw.between(1, 4));
    let [oh, ow] = window.output([h, w], [kernel_height, kernel_width]).unwrap_or([1, 1]);
    let (image, weight) = ([n, c * groups, h, w], [o, c, kernel_height, kernel_width]);
    let (out, pooled) = ([n, o, oh, ow], [n, c * groups, oh, ow]);
    match draw.between(0, 8) {
        7 => {
            let types =
                [TensorType::new(draw.one_of(&[DType::U8, DType::I8]), image), TensorType::new(DType::I8, weight)];
            Drawn::new(Op::Conv2dInteger { window, groups }, types.to_vec())
        }
        8 => Drawn::new(Op::MaxPool2d { window, kernel_height, kernel_width }, vec![TensorType::new(DType::I8, image)]),
        0 => Drawn::floats(Op::Conv2d { window, groups }, &[&image, &weight]),
        1 => Drawn::floats(Op::Conv2dGradInput { window, groups, height: h, width: w }, &[&weight, &out]),
        2 => Drawn::floats(Op::Conv2dGradWeight { window, groups, kernel_height, kernel_width }, &[&image, &out]),
        3 => Drawn::floats(Op::MaxPool2d { window, kernel_height, kernel_width }, &[&image]),
        4 => Drawn::floats(Op::MaxPool2dGrad { window, kernel_height, kernel_width }, &[&image, &pooled]),
        5 => Drawn::floats(Op::SumPool2d { window, kernel_height, kernel_width }, &[&image]),
        _ => {
            let op = Op::SumPool2dGrad { window, kernel_height, kernel_width, height: h, width: w };
            Drawn::floats(op, &[&pooled])
        }
    }
}

fn sums(draw: &mut Draw) -> Drawn {
    let shape = draw.shape(1, 5);
    let (batch, m, n, k) = (draw.shape(0, 2), draw.between(1, 9), draw.between(1, 9), draw.between(1, 40));
    let matrix = |rows: u32, columns: u32, is_turned: bool| {
        [batch.as_slice(), &if is_turned { [columns, rows] } else { [rows, columns] }].concat()
    };
    let rows = [draw.shape(0, 2), vec![draw.between(1, 70)]].concat();
    match draw.between(0, 7) {
        0 | 1 => {
            let reduction = draw.one_of(&[Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min]);
            let axes: Vec<u32> = (0..shape.len() as u32).filter(|_| draw.is()).collect();
            // Near 1, so that products of many neither vanish nor overflow.
            let floats = if reduction == Reduction::Product { (0.2, 1.0) } else { (1.0, 0.0) };
            let drawn = Drawn::new(Op::Reduce { reduction, axes }, vec![TensorType::new(draw.number_type(), shape)]);
            Drawn { floats, ..drawn }
        }
        2 => Drawn::floats(Op::ArgMax { axis: draw.axis(&shape) }, &[&shape]),
        3 => {
            let (trans_a, trans_b) = (draw.is(), draw.is());
            Drawn::floats(Op::MatMul { trans_a, trans_b }, &[&matrix(m, k, trans_a), &matrix(k, n, trans_b)])
        }
        4 => {
            let (trans_b, left) = (draw.is(), draw.one_of(&[DType::U8, DType::I8]));
            let types =
                vec![TensorType::new(left, matrix(m, k, false)), TensorType::new(DType::I8, matrix(k, n, trans_b))];
            Drawn::new(Op::MatMulInteger { trans_b }, types)
        }
        5 => Drawn::floats(Op::Softmax, &[&rows]),
        6 => Drawn::floats(Op::SoftmaxGrad, &[&rows, &rows]),
        _ => {
            let labels = TensorType::i32([m]);
            let (logits, dloss) = (TensorType::f32([m, n]), TensorType::f32([]));
            let drawn = match draw.is() {
                true => Drawn::new(Op::SoftmaxCrossEntropy, vec![logits, labels]),
                false => Drawn::new(Op::SoftmaxCrossEntropyGrad, vec![logits, labels, dloss]),
            };
            drawn.indexing(n)
        }
    }
}
