//! Loops of element-wise operations as WGSL: one invocation an element, one statement an operation.

use std::fmt::Write as _;

use shoal_graph::{Binary, DType, Graph, Op, Unary, ValueId};

use super::{Dispatch, Operand, Plan, view_words};
use crate::{
    executable::loops::{self, Action, Instruction, Loop, Place},
    webgpu::kernel::{Kernel, WORKGROUP, number},
};

/// Words of the constants that are single numbers, by value.
pub(super) fn numbers(graph: &Graph) -> Vec<Option<u32>> {
    let mut numbers = vec![None; graph.types().len()];
    for node in graph.nodes() {
        if let Op::Constant(literal) = &node.op
            && let Ok(bytes) = <[u8; 4]>::try_from(literal.bytes())
        {
            numbers[node.output.index()] = Some(u32::from_le_bytes(bytes));
        }
    }
    numbers
}

/// A loop as text: bindings from a number on, further parameters, and statements that make `y0`, `y1` … of element `i`.
pub(super) struct LoopText {
    pub(super) bindings: String,
    pub(super) parameters: Vec<u32>,
    pub(super) operands: Vec<Operand>,
    pub(super) body: String,
}

impl LoopText {
    /// The loop, of whose operands one may be given as `score`. Its parameters follow those that are there, whole vectors.
    pub(super) fn new(
        graph: &Graph,
        fused: &Loop,
        numbers: &[Option<u32>],
        first_binding: usize,
        parameters: Vec<u32>,
        score: Option<ValueId>,
    ) -> Self {
        let mut made = Self { bindings: String::new(), parameters, operands: Vec::new(), body: String::new() };
        for (index, (_, dtype)) in fused.results.iter().enumerate() {
            line(&mut made.body, format_args!("var y{index}: {};", number(*dtype)));
        }
        for (index, dtype) in fused.registers.iter().enumerate() {
            line(&mut made.body, format_args!("var r{index}: {};", number(*dtype)));
        }
        for (index, operand) in fused.operands.iter().enumerate() {
            if score == Some(operand.value) {
                line(&mut made.body, format_args!("let x{index} = score;"));
                continue;
            }
            made.operand(graph, index, operand, numbers, first_binding);
        }
        for instruction in fused.before.iter().chain(&fused.code) {
            line(&mut made.body, format_args!("{} = {};", place(instruction.to), expression(instruction)));
        }
        made
    }

    fn operand(
        &mut self,
        graph: &Graph,
        index: usize,
        operand: &loops::Operand,
        numbers: &[Option<u32>],
        first_binding: usize,
    ) {
        let number = number(graph.value_type(operand.value).dtype);
        let at = self.parameters.len() / 4;
        if let Some(word) = numbers[operand.value.index()] {
            line(&mut self.body, format_args!("let x{index} = bitcast<{number}>(p[{at}].x);"));
            self.parameters.extend([word, 0, 0, 0]);
            return;
        }
        let binding = first_binding + self.operands.len();
        self.operands.push(Operand::Value(operand.value));
        line(
            &mut self.bindings,
            format_args!("@group(0) @binding({binding}) var<storage, read> operand{index}: array<{number}>;"),
        );
        if operand.view.is_flat() {
            line(&mut self.body, format_args!("let x{index} = operand{index}[i];"));
        } else if operand.view.is_single() {
            line(&mut self.body, format_args!("let x{index} = operand{index}[0];"));
        } else {
            line(&mut self.body, format_args!("let x{index} = operand{index}[at({at}u, i)];"));
            self.parameters.extend(view_words(&operand.view));
        }
    }
}

/// The dispatch of a loop.
pub(super) fn plan(graph: &Graph, fused: &Loop, numbers: &[Option<u32>]) -> Plan {
    let made: Vec<_> = fused.results.iter().map(|(value, _)| *value).collect();
    let own = LoopText::new(graph, fused, numbers, 1 + made.len(), vec![fused.len as u32, 0, 0, 0], None);
    let LoopText { mut bindings, parameters, operands, mut body } = own;
    for (index, (_, dtype)) in fused.results.iter().enumerate() {
        let (binding, number) = (1 + index, number(*dtype));
        line(
            &mut bindings,
            format_args!("@group(0) @binding({binding}) var<storage, read_write> result{index}: array<{number}>;"),
        );
        line(&mut body, format_args!("result{index}[i] = y{index};"));
    }
    let text = format!(
        "@group(0) @binding(0) var<uniform> p: array<vec4<u32>, {}>;\n{bindings}
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {{
let i = flat(workgroup, workgroups, local);
if i >= p[0].x {{ return; }}
{body}}}
",
        parameters.len() / 4
    );
    let results = made.iter().map(|value| Operand::Value(*value)).collect();
    let workgroups = (fused.len as u64).div_ceil(WORKGROUP);
    let dispatch = Dispatch { kernel: Kernel::Elementwise(text.into()), parameters, results, operands, workgroups };
    Plan { made, dispatches: vec![dispatch], ..Plan::default() }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes everything");
}

fn place(place: Place) -> String {
    match place {
        Place::Register(index) => format!("r{index}"),
        Place::Operand(index) => format!("x{index}"),
        Place::Result(index) => format!("y{index}"),
    }
}

fn expression(instruction: &Instruction) -> String {
    let [a, b, c] = instruction.sources.map(place);
    let is_float = instruction.from_dtype == DType::F32;
    match instruction.action {
        Action::Load | Action::Copy => a,
        Action::Cast => format!("{}({a})", number(instruction.to_dtype)),
        Action::Select => format!("select({c}, {b}, {a} != 0)"),
        Action::Unary(unary) => unary_expression(unary, &a),
        Action::Binary(binary) => binary_expression(binary, is_float, &a, &b),
        Action::Requantize(_) => unreachable!("it is refused before anything is planned"),
    }
}

fn unary_expression(unary: Unary, x: &str) -> String {
    let function = match unary {
        Unary::Neg => return format!("-{x}"),
        Unary::Reciprocal => return format!("1.0 / {x}"),
        Unary::Relu => return format!("select(0.0, {x}, {x} > 0.0)"),
        Unary::Sin => "own_sin",
        Unary::Cos => "own_cos",
        Unary::Tanh => "own_tanh",
        Unary::Erf => "own_erf",
        Unary::Sigmoid => "own_sigmoid",
        Unary::Abs | Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round => unary.name(),
        Unary::Sqrt | Unary::Exp | Unary::Log => unary.name(),
    };
    format!("{function}({x})")
}

fn binary_expression(binary: Binary, is_float: bool, a: &str, b: &str) -> String {
    match binary {
        Binary::Add => format!("{a} + {b}"),
        Binary::Sub => format!("{a} - {b}"),
        Binary::Mul => format!("{a} * {b}"),
        Binary::Div if is_float => format!("{a} / {b}"),
        Binary::Div => format!("select({a} / select({b}, 1, {b} == 0), 0, {b} == 0)"),
        Binary::Max => format!("select({a}, {b}, {b} > {a})"),
        Binary::Min => format!("select({a}, {b}, {b} < {a})"),
        Binary::Pow => format!("own_pow({a}, {b})"),
        Binary::Less => format!("select(0, 1, {a} < {b})"),
        Binary::LessEqual => format!("select(0, 1, {a} <= {b})"),
        Binary::Equal => format!("select(0, 1, {a} == {b})"),
        Binary::And => format!("{a} & {b}"),
        Binary::Or => format!("{a} | {b}"),
        Binary::Xor => format!("{a} ^ {b}"),
    }
}
