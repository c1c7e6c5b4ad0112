//! Lowers a model to a graph of given sizes: node by node, in the model's order, each operator by its function in
//! [`table`]. Whatever depends on known values alone is evaluated on the way ([`fold`]); branches whose condition is
//! known are taken, functions are unfolded.

mod activations;
mod attention;
mod budget;
mod call;
mod constants;
mod context;
mod einsum;
mod elementwise;
mod fold;
mod geometry;
mod graphs;
mod indexing;
mod integers;
mod losses;
mod moves;
mod norms;
mod pools;
mod primitives;
mod products;
mod quantised;
mod reductions;
mod resize;
mod shapes;
mod table;
mod value;
mod windows;

use std::collections::HashMap;

use shoal_graph::{DType, Graph};

use self::{
    context::Lowering,
    graphs::{Names, Walk},
    value::Value,
};
use crate::{
    element::Element,
    error::{NodeError, OnnxError},
    model::{Dimension, Model, Port},
    sizes::Sizes,
    tensor::{Tensor, Weight},
};

/// A model as a graph of given sizes.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The graph. Its inputs are those of the model that are given at run time, in order, and the weights.
    pub graph: Graph,
    /// Values of the inputs that are weights: initialisers by name, and constants too large for the graph.
    pub weights: Vec<(String, Weight)>,
    /// Where numbers are not what the model says.
    pub notes: Vec<Note>,
}

/// An input, output or weight that a graph holds in another type than the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Its name.
    pub name: String,
    /// Its type in the model.
    pub declared: Element,
    /// Its type in the graph.
    pub held: DType,
}

pub(crate) fn is_supported(domain: &str, name: &str) -> bool {
    table::find(domain, name).is_some() || graphs::is_control(domain, name)
}

pub(crate) fn lower(model: &Model, sizes: &Sizes) -> Result<Lowered, OnnxError> {
    check_names(model, sizes)?;
    let mut low = Lowering::new(model.weights());
    let mut notes = Vec::new();
    let mut names = Names::new();
    for (name, stored) in model.weights() {
        names.insert(name.clone(), Value::weight(name, stored));
    }
    for port in model.inputs() {
        let element = port.element.ok_or_else(|| OnnxError::BadInput { input: port.name.clone() })?;
        let value = match sizes.constants.get(&port.name) {
            Some(tensor) => {
                check_shape(port, &tensor.shape)?;
                Value::of(Tensor { element, ..tensor.clone() })
            }
            None => {
                let shape = shape(port, sizes)?;
                let id = low.input(&port.name, element, shape).map_err(graph_error)?;
                note(&mut notes, &port.name, element);
                low.made(id, element)
            }
        };
        names.insert(port.name.clone(), value);
    }
    let mut walk = Walk::new(model, &mut low);
    walk.nodes(&model.graph.node, &mut names)?;
    for port in model.outputs() {
        let value =
            names.get(&port.name).ok_or_else(|| OnnxError::NoSuchName { what: "value", name: port.name.clone() })?;
        let value = low.read(value);
        let is_byte = matches!(value.element.stored(), DType::U8 | DType::I8);
        let id = if is_byte { low.narrow_id(&value) } else { low.id(&value) };
        let id = id.map_err(graph_error)?;
        note(&mut notes, &port.name, value.element);
        low.builder.output(&port.name, id);
    }
    let weights = low.weights;
    for (name, _) in &weights {
        if let Some(stored) = model.weights().get(name) {
            note(&mut notes, name, stored.element());
        }
    }
    Ok(Lowered { graph: low.builder.finish()?, weights, notes })
}

fn check_names(model: &Model, sizes: &Sizes) -> Result<(), OnnxError> {
    let known: HashMap<&str, &Port> = model.inputs().iter().map(|port| (port.name.as_str(), port)).collect();
    for name in sizes.shapes.keys().chain(sizes.constants.keys()) {
        if !known.contains_key(name.as_str()) {
            return Err(OnnxError::NoSuchName { what: "input", name: name.clone() });
        }
    }
    let symbols = model.symbols();
    match sizes.symbols.keys().find(|name| !symbols.contains(name.as_str())) {
        Some(name) => Err(OnnxError::NoSuchName { what: "symbol", name: name.clone() }),
        None => Ok(()),
    }
}

fn check_shape(port: &Port, given: &[u32]) -> Result<(), OnnxError> {
    let Some(declared) = &port.shape else { return Ok(()) };
    let fits = |(dim, size): (&Dimension, &u32)| !matches!(dim, Dimension::Fixed(own) if own != size);
    if declared.len() == given.len() && declared.iter().zip(given).all(fits) {
        return Ok(());
    }
    let declared = declared.iter().map(Dimension::to_string).collect::<Vec<_>>().join(", ");
    Err(OnnxError::WrongSize { input: port.name.clone(), declared: format!("[{declared}]"), given: given.to_vec() })
}

fn shape(port: &Port, sizes: &Sizes) -> Result<Vec<u32>, OnnxError> {
    if let Some(given) = sizes.shapes.get(&port.name) {
        check_shape(port, given)?;
        return Ok(given.clone());
    }
    let declared = port.shape.as_ref().ok_or_else(|| OnnxError::BadInput { input: port.name.clone() })?;
    let each = declared.iter().enumerate().map(|(axis, dim)| match dim {
        Dimension::Fixed(size) => Ok(*size),
        Dimension::Symbol(name) if sizes.symbols.contains_key(name) => Ok(sizes.symbols[name]),
        Dimension::Symbol(name) => Err(OnnxError::UnknownSize { input: port.name.clone(), axis, symbol: name.clone() }),
        Dimension::Open => Err(OnnxError::UnknownSize { input: port.name.clone(), axis, symbol: String::new() }),
    });
    each.collect()
}

fn note(notes: &mut Vec<Note>, name: &str, declared: Element) {
    let same = matches!(declared, Element::F32 | Element::I32 | Element::U8 | Element::I8 | Element::Bool);
    if !same {
        notes.push(Note { name: name.to_owned(), declared, held: declared.stored() });
    }
}

fn graph_error(error: NodeError) -> OnnxError {
    match error {
        NodeError::Graph(error) => OnnxError::Graph(error),
        NodeError::Tensor(reason) => OnnxError::BadTensor { tensor: String::new(), reason },
        NodeError::Inner(error) => *error,
        other => OnnxError::Node { node: String::new(), op: String::new(), version: 0, error: Box::new(other) },
    }
}
