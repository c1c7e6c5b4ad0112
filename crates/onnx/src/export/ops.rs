//! Each operation as ONNX operators. Truth values are i32 in a graph and booleans in ONNX, with a cast between.

use shoal_graph::{Binary, DType, Node, Op, Reduction, TensorType, Unary};

use super::{Writer, int, integers, ints, number, text, windows};
use crate::error::OnnxError;

const BOOL: i64 = 9;

pub(super) fn write(w: &mut Writer<'_>, node: &Node) -> Result<(), OnnxError> {
    let names: Vec<String> = node.inputs.iter().map(|value| w.name(*value)).collect();
    let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
    let made = w.name(node.output);
    let shape = w.value_type(node.output).shape.clone();
    let rank = node.inputs.first().map_or(0, |value| w.value_type(*value).shape.len());
    if !node.inputs.is_empty() && integers::write(w, node, &inputs, &made) {
        return Ok(());
    }
    match &node.op {
        Op::Constant(literal) => {
            let constant = w.constant(literal.tensor_type(), literal.bytes().to_vec());
            w.node("Identity", &[&constant], vec![], &made);
        }
        Op::Iota { axis, shape } => iota(w, *axis as usize, shape, &made),
        Op::Unary(unary) => w.node(unary_name(*unary), &inputs, vec![], &made),
        Op::Binary(binary) if binary.is_comparison() => {
            let truth = w.apply(binary_name(*binary), &inputs, vec![]);
            w.node("Cast", &[&truth], vec![int("to", number(DType::I32).into())], &made);
        }
        Op::Binary(Binary::Div) if w.value_type(node.output).dtype == DType::I32 => divide(w, &inputs, &made),
        Op::Binary(binary) => w.node(binary_name(*binary), &inputs, vec![], &made),
        Op::Where => {
            let condition = w.apply("Cast", &inputs[..1], vec![int("to", BOOL)]);
            w.node("Where", &[&condition, inputs[1], inputs[2]], vec![], &made);
        }
        Op::Cast { to } => w.node("Cast", &inputs, vec![int("to", number(*to).into())], &made),
        Op::Reshape { .. } => {
            let shape = w.shape(&shape);
            w.node("Reshape", &[inputs[0], &shape], vec![], &made);
        }
        Op::Broadcast { .. } => {
            let shape = w.shape(&shape);
            w.node("Expand", &[inputs[0], &shape], vec![], &made);
        }
        Op::Transpose { axes } => w.node("Transpose", &inputs, vec![ints("perm", axes.iter().copied())], &made),
        Op::Slice { starts, steps, shape } => {
            let end = |((start, step), len): ((&u32, &i32), &u32)| {
                let last = i64::from(*start) + i64::from(*step) * (i64::from(*len) - 1);
                // Counting down to the first element ends before it; −1 would be the last.
                if *step > 0 {
                    last + 1
                } else if last == 0 {
                    i64::MIN
                } else {
                    last - 1
                }
            };
            let ends = w.integers(starts.iter().zip(steps).zip(shape).map(end));
            let starts = w.shape(starts);
            let axes = w.integers(0..rank as i64);
            let steps = w.integers(steps.iter().map(|step| i64::from(*step)));
            w.node("Slice", &[inputs[0], &starts, &ends, &axes, &steps], vec![], &made);
        }
        Op::Pad { low, high, interior, value } => {
            let own = w.value_type(node.inputs[0]).clone();
            let spread = windows::spread(w, inputs[0], &own.shape, interior, own.dtype, *value);
            let made_pad = windows::pad(w, &spread, low, high, own.dtype, *value);
            w.node("Identity", &[&made_pad], vec![], &made);
        }
        Op::Concat { axis } => w.node("Concat", &inputs, vec![int("axis", i64::from(*axis))], &made),
        Op::Gather { axis } => w.node("Gather", &inputs, vec![int("axis", i64::from(*axis))], &made),
        Op::ScatterAdd { axis, .. } => {
            let indices_shape = w.value_type(node.inputs[1]).shape.clone();
            let updates_shape = w.value_type(node.inputs[0]).shape.clone();
            let at = *axis as usize;
            let count = [indices_shape.iter().product()];
            let rows = [&updates_shape[..at], &count, &updates_shape[at + indices_shape.len()..]].concat();
            let mut column = vec![1; rows.len()];
            column[at] = count[0];
            let (rows, column, whole) = (w.shape(&rows), w.shape(&column), w.shape(&shape));
            let updates = w.apply("Reshape", &[inputs[0], &rows], vec![]);
            let indices = w.apply("Reshape", &[inputs[1], &column], vec![]);
            let indices = w.apply("Expand", &[&indices, &rows], vec![]);
            let zeros = w.apply("ConstantOfShape", &[&whole], vec![]);
            let attributes = vec![int("axis", i64::from(*axis)), text("reduction", "add")];
            w.node("ScatterElements", &[&zeros, &indices, &updates], attributes, &made);
        }
        Op::Reduce { reduction, axes } => {
            let name = match reduction {
                Reduction::Sum => "ReduceSum",
                Reduction::Product => "ReduceProd",
                Reduction::Max => "ReduceMax",
                Reduction::Min => "ReduceMin",
            };
            let axes = w.shape(axes);
            w.node(name, &[inputs[0], &axes], vec![int("keepdims", 0)], &made);
        }
        Op::ArgMax { axis } => {
            let places = w.apply("ArgMax", &inputs, vec![int("axis", i64::from(*axis)), int("keepdims", 0)]);
            w.node("Cast", &[&places], vec![int("to", number(DType::I32).into())], &made);
        }
        Op::MatMul { trans_a, trans_b } => {
            let a = transposed(w, inputs[0], rank, *trans_a);
            let b = transposed(w, inputs[1], rank, *trans_b);
            w.node("MatMul", &[&a, &b], vec![], &made);
        }
        Op::MatMulInteger { trans_b } => {
            let b = transposed(w, inputs[1], rank, *trans_b);
            w.node("MatMulInteger", &[inputs[0], &b], vec![], &made);
        }
        Op::Softmax => w.node("Softmax", &inputs, vec![int("axis", -1)], &made),
        Op::SoftmaxCrossEntropy => w.node("SoftmaxCrossEntropyLoss", &inputs, vec![], &made),
        _ => windows::write(w, node, &inputs, &made)?,
    }
    Ok(())
}

/// Integers divided by zero are zero in a graph; in ONNX that is undefined.
fn divide(w: &mut Writer<'_>, inputs: &[&str], made: &str) {
    let i32s = TensorType::i32([]);
    let [zero, one] = [0i32, 1].map(|number| w.constant(&i32s, number.to_le_bytes().to_vec()));
    let is_zero = w.apply("Equal", &[inputs[1], &zero], vec![]);
    let divisor = w.apply("Where", &[&is_zero, &one, inputs[1]], vec![]);
    let quotient = w.apply("Div", &[inputs[0], &divisor], vec![]);
    w.node("Where", &[&is_zero, &zero, &quotient], vec![], made);
}

fn iota(w: &mut Writer<'_>, axis: usize, shape: &[u32], made: &str) {
    let i32s = TensorType::i32([]);
    let bounds = [0, shape[axis] as i32, 1].map(|number| w.constant(&i32s, number.to_le_bytes().to_vec()));
    let [first, last, step] = &bounds;
    let range = w.apply("Range", &[first, last, step], vec![]);
    let mut along = vec![1; shape.len()];
    along[axis] = shape[axis];
    let (along, whole) = (w.shape(&along), w.shape(shape));
    let range = w.apply("Reshape", &[&range, &along], vec![]);
    w.node("Expand", &[&range, &whole], vec![], made);
}

/// With its last two axes swapped.
fn transposed(w: &mut Writer<'_>, name: &str, rank: usize, is_wanted: bool) -> String {
    if !is_wanted {
        return name.to_owned();
    }
    let mut axes: Vec<u32> = (0..rank as u32).collect();
    axes.swap(rank - 2, rank - 1);
    w.apply("Transpose", &[name], vec![ints("perm", axes)])
}

fn unary_name(unary: Unary) -> &'static str {
    match unary {
        Unary::Neg => "Neg",
        Unary::Abs => "Abs",
        Unary::Sign => "Sign",
        Unary::Floor => "Floor",
        Unary::Ceil => "Ceil",
        Unary::Round => "Round",
        Unary::Sqrt => "Sqrt",
        Unary::Reciprocal => "Reciprocal",
        Unary::Exp => "Exp",
        Unary::Log => "Log",
        Unary::Sin => "Sin",
        Unary::Cos => "Cos",
        Unary::Tanh => "Tanh",
        Unary::Erf => "Erf",
        Unary::Sigmoid => "Sigmoid",
        Unary::Relu => "Relu",
    }
}

fn binary_name(binary: Binary) -> &'static str {
    match binary {
        Binary::Add => "Add",
        Binary::Sub => "Sub",
        Binary::Mul => "Mul",
        Binary::Div => "Div",
        Binary::Max => "Max",
        Binary::Min => "Min",
        Binary::Pow => "Pow",
        Binary::Less => "Less",
        Binary::LessEqual => "LessOrEqual",
        Binary::Equal => "Equal",
        Binary::And => "BitwiseAnd",
        Binary::Or => "BitwiseOr",
        Binary::Xor => "BitwiseXor",
    }
}
