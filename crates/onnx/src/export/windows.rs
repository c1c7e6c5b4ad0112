//! Convolutions, pooling and padding as ONNX operators.

use shoal_graph::{Axis2d, DType, Node, Op, TensorType, Window2d};

use super::{Writer, int, ints};
use crate::{error::OnnxError, proto::AttributeProto};

pub(super) fn write(w: &mut Writer<'_>, node: &Node, inputs: &[&str], made: &str) -> Result<(), OnnxError> {
    match node.op {
        Op::Conv2d { window, groups } => {
            let mut attributes = placed(window);
            attributes.push(int("group", groups.into()));
            w.node("Conv", inputs, attributes, made);
        }
        Op::Conv2dGradInput { window, groups, height, width } => {
            let (kernel, image) = (&w.value_type(node.inputs[0]).shape, &w.value_type(node.inputs[1]).shape);
            // What the windows leave over at the end.
            let rest = |axis: Axis2d, size: u32, at: usize| {
                let reach = u64::from(image[at] - 1) * u64::from(axis.stride) + axis.extent(kernel[at]);
                (u64::from(size) + u64::from(axis.low) + u64::from(axis.high) - reach) as u32
            };
            let rest = [rest(window.height, height, 2), rest(window.width, width, 3)];
            let mut attributes = placed(window);
            attributes.extend([int("group", groups.into()), ints("output_padding", rest)]);
            w.node("ConvTranspose", &[inputs[1], inputs[0]], attributes, made);
        }
        Op::MaxPool2d { window, kernel_height, kernel_width } if w.value_type(node.output).dtype == DType::F32 => {
            let kernel = [kernel_height, kernel_width];
            let (image, window) = within(w, inputs[0], window, kernel, f32::NEG_INFINITY);
            let mut attributes = placed(window);
            attributes.push(ints("kernel_shape", kernel));
            w.node("MaxPool", &[&image], attributes, made);
        }
        Op::SumPool2d { window, kernel_height, kernel_width } => {
            let kernel = [kernel_height, kernel_width];
            let shape = w.value_type(node.inputs[0]).shape.clone();
            let output = w.value_type(node.output).shape.clone();
            // A convolution of each channel with ones.
            let flat = w.shape(&[shape[0] * shape[1], 1, shape[2], shape[3]]);
            let image = w.apply("Reshape", &[inputs[0], &flat], vec![]);
            let ones: Vec<u8> = (0..kernel_height * kernel_width).flat_map(|_| 1f32.to_le_bytes()).collect();
            let ones = w.constant(&TensorType::f32([1, 1, kernel[0], kernel[1]]), ones);
            let sums = w.apply("Conv", &[&image, &ones], placed(window));
            let output = w.shape(&output);
            w.node("Reshape", &[&sums, &output], vec![], made);
        }
        _ => return Err(OnnxError::NotExported { op: node.op.name() }),
    }
    Ok(())
}

pub(super) fn placed(window: Window2d) -> Vec<AttributeProto> {
    let Window2d { height, width } = window;
    vec![
        ints("strides", [height.stride, width.stride]),
        ints("dilations", [height.dilation, width.dilation]),
        ints("pads", [height.low, width.low, height.high, width.high]),
    ]
}

/// Pooling operators take only pads that are smaller than the kernel: others are made before.
fn within(w: &mut Writer<'_>, image: &str, window: Window2d, kernel: [u32; 2], value: f32) -> (String, Window2d) {
    let Window2d { height, width } = window;
    let fits = |axis: Axis2d, kernel: u32| axis.low.max(axis.high) < kernel;
    if fits(height, kernel[0]) && fits(width, kernel[1]) {
        return (image.to_owned(), window);
    }
    let padded = pad(w, image, &[0, 0, height.low, width.low], &[0, 0, height.high, width.high], DType::F32, value);
    let bare = |axis: Axis2d| Axis2d { low: 0, high: 0, ..axis };
    (padded, Window2d { height: bare(height), width: bare(width) })
}

/// With elements before and after.
pub(super) fn pad(w: &mut Writer<'_>, name: &str, low: &[u32], high: &[u32], dtype: DType, value: f32) -> String {
    if low.iter().chain(high).all(|n| *n == 0) {
        return name.to_owned();
    }
    let pads = w.integers(low.iter().chain(high).map(|n| i64::from(*n)));
    let value = match dtype {
        DType::F32 => w.scalar(value),
        _ => w.constant(&TensorType::i32([]), (value as i32).to_le_bytes().to_vec()),
    };
    w.apply("Pad", &[name, &pads, &value], vec![])
}

/// With elements between any two along each axis: as elements after each, less those after the last.
pub(super) fn spread(
    w: &mut Writer<'_>,
    name: &str,
    shape: &[u32],
    interior: &[u32],
    dtype: DType,
    value: f32,
) -> String {
    let (mut made, mut shape) = (name.to_owned(), shape.to_vec());
    for (at, between) in interior.iter().enumerate().filter(|(_, between)| **between > 0) {
        let mut apart = shape.clone();
        apart.insert(at + 1, 1);
        let apart_name = w.shape(&apart);
        made = w.apply("Reshape", &[&made, &apart_name], vec![]);
        let mut high = vec![0; apart.len()];
        high[at + 1] = *between;
        made = pad(w, &made, &vec![0; apart.len()], &high, dtype, value);
        shape[at] *= between + 1;
        let joined = w.shape(&shape);
        made = w.apply("Reshape", &[&made, &joined], vec![]);
        shape[at] -= between;
        let (start, end, axis) = (w.integers([0]), w.integers([shape[at].into()]), w.integers([at as i64]));
        made = w.apply("Slice", &[&made, &start, &end, &axis], vec![]);
    }
    made
}
