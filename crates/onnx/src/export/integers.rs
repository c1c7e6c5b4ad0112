//! Exact integers, for which ONNX has no operators: nodes of our own domain, each with its meaning beside it as a function in
//! standard operators, so that any runtime computes it. Our reader knows them by their names.

use shoal_graph::{DType, Node, Op};

use super::{Writer, int, ints, number, windows::placed};
use crate::{
    limits::{OWN_DOMAIN, WRITTEN_OPSET},
    proto::{AttributeProto, FunctionProto, NodeProto, OperatorSetIdProto},
};

const INT64: i64 = 7;
const DOUBLE: i64 = 11;

pub(super) fn write(w: &mut Writer<'_>, node: &Node, inputs: &[&str], made: &str) -> bool {
    let dtype = w.value_type(node.inputs[0]).dtype;
    let (function, attributes) = match &node.op {
        Op::Requantize { shift, low, high, to } => {
            let attributes = vec![
                int("divisor", 1 << shift),
                int("low", i64::from(*low)),
                int("high", i64::from(*high)),
                int("to", number(*to).into()),
            ];
            (requantize(), attributes)
        }
        Op::Conv2dInteger { window, groups } => {
            let mut attributes = placed(*window);
            attributes.extend([int("group", (*groups).into()), int("zero", if dtype == DType::I8 { 128 } else { 0 })]);
            (convolution(), attributes)
        }
        // Runtimes take no window that is padding alone.
        Op::MaxPool2d { window, kernel_height, kernel_width }
            if dtype == DType::I8
                && window.height.low.max(window.height.high) < *kernel_height
                && window.width.low.max(window.width.high) < *kernel_width =>
        {
            let mut attributes = placed(*window);
            attributes.push(ints("kernel_shape", [*kernel_height, *kernel_width]));
            (max_pool(), attributes)
        }
        Op::Unary(shoal_graph::Unary::Sqrt) if dtype == DType::I32 => (root(), vec![]),
        _ => return false,
    };
    let name = function.name().to_owned();
    w.functions.insert(name.clone(), function);
    w.node(&name, inputs, attributes, made);
    w.nodes.last_mut().expect("it was written").domain = Some(OWN_DOMAIN.into());
    true
}

/// sign(p)·⌊(|p| + divisor/2) / divisor⌋ of p = x·multiplier, from low to high.
fn requantize() -> FunctionProto {
    let mut body = Body::new("Requantize", &["x", "multiplier"], &["divisor", "low", "high", "to"]);
    body.cast("x", INT64, "wide_x");
    body.cast("multiplier", INT64, "wide_multiplier");
    body.node("Mul", &["wide_x", "wide_multiplier"], vec![], "product");
    body.node("Sign", &["product"], vec![], "sign");
    body.node("Abs", &["product"], vec![], "size");
    for name in ["divisor", "low", "high"] {
        body.node("Constant", &[], vec![reference("value_int", name)], name);
    }
    body.node("Constant", &[], vec![int("value_int", 2)], "two");
    body.node("Div", &["divisor", "two"], vec![], "half");
    body.node("Add", &["size", "half"], vec![], "raised");
    body.node("Div", &["raised", "divisor"], vec![], "quotient");
    body.node("Mul", &["quotient", "sign"], vec![], "rounded");
    body.node("Max", &["rounded", "low"], vec![], "above");
    body.node("Min", &["above", "high"], vec![], "within");
    body.node("Cast", &["within"], vec![reference("to", "to")], "y");
    body.finish()
}

/// Runtimes convolve unsigned bytes: both operands are moved by their zero points.
fn convolution() -> FunctionProto {
    let attributes = ["strides", "dilations", "pads", "group", "zero"];
    let mut body = Body::new("Conv2dInteger", &["x", "weight"], &attributes);
    body.node("Constant", &[], vec![reference("value_int", "zero")], "zero");
    body.node("Constant", &[], vec![int("value_int", 128)], "half");
    for (name, zero) in [("x", "zero"), ("weight", "half")] {
        body.cast(zero, number(DType::I32).into(), &format!("{name}_shift"));
        body.cast(name, number(DType::I32).into(), &format!("{name}_wide"));
        body.node("Add", &[&format!("{name}_wide"), &format!("{name}_shift")], vec![], &format!("{name}_moved"));
        body.cast(&format!("{name}_moved"), number(DType::U8).into(), &format!("{name}_bytes"));
        body.cast(zero, number(DType::U8).into(), &format!("{name}_zero"));
    }
    let placed = attributes[..4]
        .iter()
        .map(|name| AttributeProto { r#type: Some(if *name == "group" { 2 } else { 7 }), ..reference(name, name) });
    body.node("ConvInteger", &["x_bytes", "weight_bytes", "x_zero", "weight_zero"], placed.collect(), "y");
    body.finish()
}

fn max_pool() -> FunctionProto {
    let attributes = ["strides", "dilations", "pads", "kernel_shape"];
    let mut body = Body::new("MaxPool2dInteger", &["x"], &attributes);
    let lists = attributes.iter().map(|name| AttributeProto { r#type: Some(7), ..reference(name, name) });
    body.node("MaxPool", &["x"], lists.collect(), "y");
    body.finish()
}

/// ⌊√x⌋, 0 below 0: a double holds any i32, and its root is rounded once.
fn root() -> FunctionProto {
    let mut body = Body::new("SqrtInteger", &["x"], &[]);
    body.cast("x", DOUBLE, "real");
    body.node("Relu", &["real"], vec![], "above");
    body.node("Sqrt", &["above"], vec![], "root");
    body.node("Floor", &["root"], vec![], "whole");
    body.cast("whole", number(DType::I32).into(), "y");
    body.finish()
}

/// A function as its nodes are added; it makes `y`.
struct Body(FunctionProto);

impl Body {
    fn new(name: &str, inputs: &[&str], attributes: &[&str]) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self(FunctionProto {
            name: Some(name.into()),
            input: names(inputs),
            output: names(&["y"]),
            attribute: names(attributes),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(WRITTEN_OPSET) }],
            domain: Some(OWN_DOMAIN.into()),
            ..FunctionProto::default()
        })
    }

    fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>, made: &str) {
        self.0.node.push(NodeProto {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![made.to_owned()],
            op_type: Some(op.to_owned()),
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    fn cast(&mut self, x: &str, to: i64, made: &str) {
        self.node("Cast", &[x], vec![int("to", to)], made);
    }

    fn finish(self) -> FunctionProto {
        self.0
    }
}

/// An integer attribute that is one of the call's.
fn reference(name: &str, of: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        ref_attr_name: Some(of.into()),
        r#type: Some(2),
        ..AttributeProto::default()
    }
}
