//! What a graph makes of rows, as rows of the output: vectors normalised, scores as probabilities or labels. A row whose
//! numbers are not finite becomes a row with an error.

use shoal_compute::{Data, Tensor, Tensors};
use shoal_dataset::{
    Array, Column, ColumnKind, ElementType, Elements, OutputValue, ResultRow,
    postprocess::{l2_normalise, softmax, top},
};
use shoal_graph::DType;

use super::{OutputArgs, RowsError, graphs::Ready};
use crate::{error::CliError, model::file};

/// Labels kept where labels are asked for without a number.
const DEFAULT_TOP: u32 = 5;

pub(super) struct Results {
    columns: Vec<Column>,
    normalise: bool,
    softmax: bool,
    /// How many of the highest scores are kept, with labels, instead of all numbers.
    top: Option<usize>,
    labels: Vec<String>,
    description: String,
}

impl Results {
    /// Checks the steps against the outputs of a graph. Where rows have tokens, the shapes of what is not pooled differ.
    pub(super) fn new(args: &OutputArgs, ready: &Ready, has_tokens: bool) -> Result<Self, CliError> {
        let labels = args.labels.as_deref().map(file::labels).transpose()?.unwrap_or_default();
        let top = args.top.or(args.labels.as_ref().map(|_| DEFAULT_TOP)).map(|top| top as usize);
        let mut columns = Vec::new();
        let mut described = Vec::new();
        for (name, value) in ready.graph.outputs() {
            let made = ready.graph.value_type(*value);
            let steps = [
                ("--normalise", args.normalise),
                ("--softmax", args.softmax),
                ("--top", args.top.is_some()),
                ("--labels", args.labels.is_some()),
            ];
            let is_vector = made.shape.len() == 2 && made.dtype == DType::F32;
            if let Some((flag, _)) = steps.iter().find(|(_, is_on)| *is_on && !is_vector) {
                let (name, shape) = (name.clone(), made.shape.clone());
                return Err(RowsError::Step { flag, needs: "one vector of floats a row", name, shape }.into());
            }
            if !labels.is_empty() && labels.len() != made.shape[1] as usize {
                let expected = made.shape[1] as usize;
                return Err(RowsError::Values { flag: "--labels", got: labels.len(), expected }.into());
            }
            let element_type = if made.dtype == DType::F32 { ElementType::F32 } else { ElementType::I32 };
            let row = made.shape[1..].to_vec();
            described.push(format!("{name} {row:?}"));
            let shape = (row.len() < 2 || !has_tokens).then_some(row);
            let kind = if top.is_some() { ColumnKind::Labels } else { ColumnKind::Numbers { element_type, shape } };
            columns.push(Column { name: name.clone(), kind });
        }
        let mut description = described.join(", ");
        for (is_on, words) in [(args.normalise, " normalised"), (args.softmax, " as probabilities")] {
            description.push_str(if is_on { words } else { "" });
        }
        if let Some(top) = top {
            description.push_str(&format!(", the {top} highest"));
        }
        Ok(Self { columns, normalise: args.normalise, softmax: args.softmax, top, labels, description })
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        self.columns.clone()
    }

    pub(super) fn description(&self) -> &str {
        &self.description
    }

    /// The results of rows with these indices, in their order.
    pub(super) fn rows(&self, shard: u32, indices: &[u64], made: &Tensors) -> Result<Vec<ResultRow>, CliError> {
        let mut rows: Vec<ResultRow> =
            indices.iter().map(|&row| ResultRow { row, values: Ok(Default::default()) }).collect();
        for Column { name, .. } in &self.columns {
            let array = self.array(name, made, shard, indices.len())?;
            for (at, row) in rows.iter_mut().enumerate() {
                let Ok(values) = &mut row.values else { continue };
                let value = array.row(at as u32).ok_or_else(|| missing(name, shard, indices.len()))?;
                if !is_finite(&value) {
                    row.values = Err(not_finite(name));
                    continue;
                }
                values.insert(name.clone(), self.value(value));
            }
        }
        Ok(rows)
    }

    /// The vector of the only row.
    pub(super) fn vector(&self, made: &Tensors) -> Result<Vec<f32>, CliError> {
        let Some(Column { name, .. }) = self.columns.first() else { return Ok(Vec::new()) };
        let array = self.array(name, made, 0, 1)?;
        match (array.as_f32(), array.shape()) {
            (Some(_), [1, _]) if !is_finite(&array) => {
                Err(RowsError::Output { shard: 0, reason: not_finite(name) }.into())
            }
            (Some(numbers), [1, _]) => Ok(numbers.to_vec()),
            (_, shape) => {
                let (name, shape) = (name.clone(), shape.to_vec());
                Err(RowsError::Step { flag: "a search", needs: "one vector of floats a row", name, shape }.into())
            }
        }
    }

    fn array(&self, name: &str, made: &Tensors, shard: u32, rows: usize) -> Result<Array, CliError> {
        let tensor = made.get(name).filter(|tensor| tensor.shape().first() == Some(&(rows as u32)));
        let array = tensor.and_then(array).ok_or_else(|| missing(name, shard, rows))?;
        if self.normalise { Ok(l2_normalise(&array)?) } else { Ok(array) }
    }

    fn value(&self, row: Array) -> OutputValue {
        let scores = match row.as_f32() {
            Some(numbers) if self.softmax => softmax(numbers),
            Some(numbers) if self.top.is_some() => numbers.to_vec(),
            _ => return OutputValue::Numbers(row),
        };
        match self.top {
            Some(count) => OutputValue::Labels(top(&scores, count, &self.labels)),
            None => OutputValue::Numbers(Array::vector(scores)),
        }
    }
}

fn array(tensor: &Tensor) -> Option<Array> {
    let elements = match tensor.data() {
        Data::F32(values) => Elements::F32(values.clone()),
        Data::I32(values) => Elements::I32(values.clone()),
        Data::I8(values) => Elements::I32(values.iter().map(|value| i32::from(*value)).collect()),
        Data::U8(values) => Elements::I32(values.iter().map(|value| i32::from(*value)).collect()),
    };
    Array::new(tensor.shape().to_vec(), elements)
}

fn is_finite(array: &Array) -> bool {
    array.as_f32().is_none_or(|numbers| numbers.iter().all(|x| x.is_finite()))
}

fn not_finite(name: &str) -> String {
    format!("output {name} is not finite")
}

fn missing(name: &str, shard: u32, rows: usize) -> CliError {
    RowsError::Output { shard, reason: format!("no tensor {name} of {rows} rows") }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_not_finite_is_an_error_and_the_others_stay() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            let made = [("y".to_owned(), Tensor::f32([2, 2], vec![2.0, 4.0, 10.0, bad]))].into_iter().collect();
            let kind = ColumnKind::Numbers { element_type: ElementType::F32, shape: Some(vec![2]) };
            let results = Results {
                columns: vec![Column { name: "y".to_owned(), kind }],
                normalise: false,
                softmax: false,
                top: None,
                labels: Vec::new(),
                description: String::new(),
            };
            let rows = results.rows(0, &[5, 6], &made).unwrap();
            assert_eq!(rows.iter().map(|row| row.row).collect::<Vec<_>>(), [5, 6]);
            assert!(rows[0].values.is_ok(), "{bad}");
            assert_eq!(
                rows[1].values.as_ref().err().map(String::as_str),
                (bad != f32::MAX).then_some("output y is not finite")
            );
        }
    }
}
