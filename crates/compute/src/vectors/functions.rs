//! Every function of one and of two elements over numbers that are hard for it: all exponents of a float with a few
//! mantissas, subnormals, both zeros, infinities and NaN, ties of roundings, arguments at the edge of overflow and beside
//! multiples of π/2. The bits of a NaN belong to the machine, so each that is made becomes the same one before it is hashed.

use std::f32::consts::{FRAC_PI_2, PI};

use shoal_graph::{Binary, DType, GraphBuilder, Op, TensorType, Unary, ValueId};

use super::graphs::apply;
use crate::{
    cpu::CpuBackend,
    tensor::{Data, Tensor, Tensors},
};

/// Mantissas that go with every exponent: the least, the greatest, beside a half, and a third.
const MANTISSAS: [u32; 5] = [0, 1, 0x2a_aaaa, 0x40_0001, 0x7f_ffff];

const HARD: [f32; 40] = [
    // Ties, and what is beside them; the last float that has a half, and the first that has none.
    0.5,
    1.5,
    2.5,
    0.499_999_97,
    4_194_303.5,
    8_388_607.5,
    8_388_609.0,
    // The greatest i32 as a float, and its neighbour below.
    2_147_483_648.0,
    2_147_483_520.0,
    // Where e^x leaves the floats, above and below.
    88.722_83,
    88.722_84,
    87.336_54,
    103.278_92,
    103.972_08,
    104.0,
    // Beside multiples of π/2, and far beyond where a reduction by one constant is good.
    FRAC_PI_2.next_down(),
    FRAC_PI_2,
    PI,
    4.712_389,
    6.283_185_5,
    102_943.7,
    1_000_000.0,
    1e10,
    1e22,
    // Around where tanh, erf and sigmoid change their formula or saturate.
    0.625,
    0.921_875,
    1.0,
    1.000_000_1,
    0.999_999_94,
    3.919_206,
    9.010_913,
    16.635_532,
    17.0,
    // Thirds, powers and roots.
    0.333_333_34,
    3.0,
    7.0,
    1024.0,
    std::f32::consts::E,
    std::f32::consts::LN_2,
    std::f32::consts::SQRT_2,
];

/// Zeros, the ends of the subnormals and of the normals, infinities and a NaN.
const EDGES: [u32; 8] = [0, 1, 0x007f_ffff, 0x0080_0000, 0x3f80_0000, 0x7f7f_ffff, 0x7f80_0000, 0x7fc0_0000];

/// Every function's name with what it makes.
pub(super) fn all() -> Vec<(String, Tensors)> {
    let (all, few) = (floats(1), floats(9));
    let cast = Op::Cast { to: DType::I32 };
    let one = Unary::ALL.into_iter().map(|unary| (unary.name(), Op::Unary(unary))).chain([("cast", cast)]);
    let one = one.map(|(name, op)| (format!("function_{name}"), run(vec![("x", line(&all))], |b, x| apply(b, op, x))));
    let two = Binary::ALL.into_iter().filter(|binary| binary.takes(DType::F32)).map(|binary| {
        let pairs = vec![("x", column(&few)), ("y", line(&few))];
        (format!("function_{}", binary.name()), run(pairs, |b, x| apply(b, binary.op(), x)))
    });
    one.chain(two).chain([("functions_i32".to_owned(), integers())]).collect()
}

fn floats(step: usize) -> Vec<f32> {
    let every = (0..255u32).step_by(step).flat_map(|exponent| MANTISSAS.map(|mantissa| exponent << 23 | mantissa));
    let positive = every.map(f32::from_bits).chain(HARD).chain(EDGES.map(f32::from_bits));
    positive.flat_map(|x| [x, -x]).collect()
}

fn integers() -> Tensors {
    let numbers = [0, 1, -1, 2, 7, -3, 1000, 46_341, -65_536, i32::MAX, i32::MAX - 1, i32::MIN, i32::MIN + 1];
    let column = Tensor::i32([numbers.len() as u32, 1], numbers.to_vec());
    let line = Tensor::i32([numbers.len() as u32], numbers.to_vec());
    run(vec![("x", column), ("y", line)], |b, x| {
        for unary in [Unary::Neg, Unary::Abs, Unary::Sign] {
            let made = apply(b, Op::Unary(unary), &x[1..]);
            b.output(unary.name(), made);
        }
        for binary in Binary::ALL.into_iter().filter(|binary| binary.takes(DType::I32)) {
            let made = apply(b, binary.op(), x);
            b.output(binary.name(), made);
        }
        apply(b, Op::Cast { to: DType::F32 }, &x[1..])
    })
}

fn line(x: &[f32]) -> Tensor {
    Tensor::f32([x.len() as u32], x.to_vec())
}

fn column(x: &[f32]) -> Tensor {
    Tensor::f32([x.len() as u32, 1], x.to_vec())
}

fn run(inputs: Vec<(&str, Tensor)>, build: impl FnOnce(&mut GraphBuilder, &[ValueId]) -> ValueId) -> Tensors {
    let mut b = GraphBuilder::new();
    let mut values = Vec::new();
    let mut tensors = Tensors::new();
    for (name, tensor) in inputs {
        let of: TensorType = tensor.tensor_type();
        values.push(b.input(name, of).expect("a vector's shapes are within the limits"));
        tensors.insert(name, tensor);
    }
    let made = build(&mut b, &values);
    b.output("result", made);
    let graph = b.finish().expect("a vector's graph is well-formed");
    let made = CpuBackend::new().run_now(&graph, tensors).expect("a vector runs");
    made.into_iter().map(|(name, tensor)| (name, with_one_nan(tensor))).collect()
}

fn with_one_nan(tensor: Tensor) -> Tensor {
    let shape = tensor.shape().to_vec();
    let data = match tensor.into_data() {
        Data::F32(x) => Data::F32(x.into_iter().map(|x| if x.is_nan() { f32::NAN } else { x }).collect()),
        other => other,
    };
    Tensor::new(shape, data)
}
