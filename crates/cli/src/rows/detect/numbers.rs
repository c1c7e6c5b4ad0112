//! Numbers: for one input, all columns of numbers side by side; for each input, the column of arrays of its name.

use std::collections::BTreeMap;

use shoal_dataset::{ElementType, Input, NumbersInput, TensorInput, Value};
use shoal_onnx::{Dimension, Element, Model, Port};

use super::{Detected, Probe, row_dimensions};
use crate::{
    error::CliError,
    rows::{RowsArgs, RowsError},
};

pub(super) fn detect(model: &Model, args: &RowsArgs, probe: &Probe) -> Result<Detected, CliError> {
    let (mut inputs, mut typical, mut described) = (Vec::new(), BTreeMap::new(), Vec::new());
    let is_only = model.inputs().len() == 1;
    for port in model.inputs() {
        let (input, shape, words) = match array(port, is_only, args, probe) {
            Some(made) => made,
            None if is_only => columns(port, args, probe)?,
            None => return Err(probe.no_column(port).into()),
        };
        inputs.push(input);
        typical.insert(port.name.clone(), shape);
        described.push(words);
    }
    Ok(Detected { inputs, typical, batch: 0, description: described.join(", ") })
}

fn element_type(port: &Port) -> ElementType {
    match port.element.is_some_and(Element::is_float) {
        true => ElementType::F32,
        false => ElementType::I32,
    }
}

/// A column that holds what one row of the input is.
fn array(port: &Port, is_only: bool, args: &RowsArgs, probe: &Probe) -> Option<(Input, Vec<u32>, String)> {
    let dimensions = row_dimensions(port);
    let fits = |value: &Value| match value {
        Value::Numbers(array) => {
            let alike = |(dim, size): (&Dimension, &u32)| !matches!(dim, Dimension::Fixed(own) if own != size);
            array.shape().len() == dimensions.len() && dimensions.iter().zip(array.shape()).all(alike)
        }
        value => dimensions.is_empty() && is_number(value),
    };
    let given = args.text.column.as_ref().filter(|_| is_only);
    let by_name = || probe.row.fields.iter().find(|(name, value)| *name == port.name && fits(value));
    let first = || probe.row.fields.iter().find(|(_, value)| is_only && args.columns.is_empty() && fits(value));
    let (column, value) = match given {
        Some(column) => (column, probe.row.get(column)?),
        None => by_name().or_else(first).map(|(name, value)| (name, value))?,
    };
    let shape = match value {
        Value::Numbers(array) => array.shape().to_vec(),
        _ => Vec::new(),
    };
    let words = format!("arrays {shape:?} of column {column}");
    let (input, column) = (port.name.clone(), column.clone());
    let made = TensorInput { input, column, element_type: element_type(port), shape: shape.clone() };
    Some((Input::Tensor(made), shape, words))
}

/// Columns of single numbers.
fn columns(port: &Port, args: &RowsArgs, probe: &Probe) -> Result<(Input, Vec<u32>, String), CliError> {
    let columns: Vec<String> = if args.columns.is_empty() {
        let numbers = probe.row.fields.iter().filter(|(_, value)| is_number(value));
        numbers.map(|(name, _)| name.clone()).collect()
    } else {
        args.columns.clone()
    };
    if columns.is_empty() {
        return Err(probe.no_column(port).into());
    }
    let fixed = row_dimensions(port).iter().map(|dim| match dim {
        Dimension::Fixed(size) => Some(*size),
        _ => None,
    });
    let shape = match fixed.collect::<Option<Vec<u32>>>() {
        Some(shape) => shape,
        None if row_dimensions(port).len() == 1 => vec![columns.len() as u32],
        None => return Err(probe.no_column(port).into()),
    };
    let expected = shape.iter().map(|dim| *dim as usize).product();
    // Nobody asked for these columns, and a picture's worth of them was not to be expected.
    if columns.len() != expected && args.columns.is_empty() && shape.len() > 1 {
        return Err(probe.no_column(port).into());
    }
    if columns.len() != expected {
        return Err(RowsError::Values { flag: "--columns", got: columns.len(), expected }.into());
    }
    let words = format!("{expected} columns of numbers as {shape:?}");
    let made =
        NumbersInput { input: port.name.clone(), columns, element_type: element_type(port), shape: shape.clone() };
    Ok((Input::Numbers(made), shape, words))
}

fn is_number(value: &Value) -> bool {
    match value {
        Value::Integer(_) | Value::Float(_) | Value::Bool(_) => true,
        Value::Text(text) => text.trim().parse::<f64>().is_ok(),
        _ => false,
    }
}
