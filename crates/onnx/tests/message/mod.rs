//! Protobuf by hand: models that no exporter would write.
#![allow(dead_code)]

/// A field of bytes.
pub(crate) fn field(number: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = varint(u64::from(number << 3 | 2));
    bytes.extend(varint(body.len() as u64));
    bytes.extend_from_slice(body);
    bytes
}

/// A field that is a number.
pub(crate) fn number(field: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(field << 3)), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A model of one graph.
pub(crate) fn model(graph: &[u8]) -> Vec<u8> {
    [number(1, 8), field(8, &number(2, 17)), field(7, graph)].concat()
}

/// A node of a graph.
pub(crate) fn node(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    field(1, &call(op, inputs, output))
}

/// A node with an attribute.
pub(crate) fn calling(op: &str, inputs: &[&str], output: &str, attribute: &[u8]) -> Vec<u8> {
    field(1, &[call(op, inputs, output), field(5, attribute)].concat())
}

fn call(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| field(1, name.as_bytes())).collect();
    [inputs, field(2, output.as_bytes()), field(4, op.as_bytes())].concat()
}

/// A tensor of a graph, of the element type that ONNX has under a number.
pub(crate) fn initialiser(name: &str, element: u64, dims: &[u64], bytes: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    field(5, &[dims, number(2, element), field(8, name.as_bytes()), field(9, bytes)].concat())
}

/// An input (field 11) or output (field 12) of a graph, of floats.
pub(crate) fn port(number_of_field: u32, name: &str, dims: &[u64]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| field(1, &number(1, *dim))).collect();
    let tensor = [number(1, 1), field(2, &dims)].concat();
    field(number_of_field, &[field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat())
}
