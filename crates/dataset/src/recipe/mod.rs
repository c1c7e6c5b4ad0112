//! How a model's inputs are made of one row.

mod image;
mod numbers;
mod text;

use std::collections::{BTreeMap, BTreeSet};

pub use image::{Filter, ImageInput, Layout, Resize};
pub use numbers::{NumbersInput, TensorInput};
pub use text::{Padding, TextInput, Tokenizer};

use crate::{Array, DatasetError, Reason, Row, RowError, Value};

/// What one or more inputs of the model are made of.
#[derive(Clone, Debug)]
pub enum Input {
    /// Token ids of a text, with their mask and types.
    Text(Box<TextInput>),
    /// Pixels of an image.
    Image(ImageInput),
    /// Columns of single numbers as one array.
    Numbers(NumbersInput),
    /// A column that holds an array already.
    Tensor(TensorInput),
}

/// Makes all inputs of a model out of one row; the same row gives the same arrays.
#[derive(Clone, Debug)]
pub struct Recipe {
    inputs: Vec<Input>,
}

impl Recipe {
    /// Refuses what no row could be prepared by: two inputs of one name, lengths of zero, shapes that do not fit.
    pub fn new(mut inputs: Vec<Input>) -> Result<Self, DatasetError> {
        let mut names = BTreeSet::new();
        for input in &mut inputs {
            match input {
                Input::Text(text) => text.check()?,
                Input::Image(image) => image.check()?,
                Input::Numbers(numbers) => numbers.check()?,
                Input::Tensor(_) => {}
            }
            for name in input.names() {
                if !names.insert(name.to_owned()) {
                    return Err(refused(name, "is made twice"));
                }
            }
        }
        Ok(Self { inputs })
    }

    /// Names of the model's inputs that it makes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().flat_map(Input::names)
    }

    /// Name of the input with token ids, if there is one.
    pub fn token_ids(&self) -> Option<&str> {
        self.inputs.iter().find_map(|input| match input {
            Input::Text(text) => Some(&*text.ids),
            _ => None,
        })
    }

    /// Name of the input with the attention mask, by which an embedding model's output is pooled.
    pub fn attention_mask(&self) -> Option<&str> {
        self.inputs.iter().find_map(|input| match input {
            Input::Text(text) => text.mask.as_deref(),
            _ => None,
        })
    }

    /// The model's inputs by name, each without a dimension for the batch.
    pub fn prepare(&self, row: &Row) -> Result<BTreeMap<String, Array>, RowError> {
        self.arrays(row).map_err(|reason| RowError { index: row.index, place: row.place.clone(), reason })
    }

    fn arrays(&self, row: &Row) -> Result<BTreeMap<String, Array>, Reason> {
        let mut arrays = BTreeMap::new();
        for input in &self.inputs {
            match input {
                Input::Text(text) => text.prepare(row, &mut arrays)?,
                Input::Image(image) => drop(arrays.insert(image.input.clone(), image.prepare(row)?)),
                Input::Numbers(numbers) => drop(arrays.insert(numbers.input.clone(), numbers.prepare(row)?)),
                Input::Tensor(tensor) => drop(arrays.insert(tensor.input.clone(), tensor.prepare(row)?)),
            }
        }
        let is_finite = |array: &Array| array.as_f32().is_none_or(|data| data.iter().all(|number| number.is_finite()));
        match arrays.iter().find(|(_, array)| !is_finite(array)) {
            Some((input, _)) => Err(Reason::NotFinite { input: input.clone() }),
            None => Ok(arrays),
        }
    }
}

impl Input {
    fn names(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::Text(text) => [Some(&text.ids), text.mask.as_ref(), text.token_types.as_ref()],
            Self::Image(image) => [Some(&image.input), None, None],
            Self::Numbers(numbers) => [Some(&numbers.input), None, None],
            Self::Tensor(tensor) => [Some(&tensor.input), None, None],
        };
        names.into_iter().flatten().map(String::as_str)
    }
}

fn refused(input: &str, detail: &'static str) -> DatasetError {
    DatasetError::Recipe { input: input.to_owned(), detail }
}

fn column<'a>(row: &'a Row, column: &str) -> Result<&'a Value, Reason> {
    row.get(column).ok_or_else(|| Reason::NoColumn { column: column.to_owned() })
}

fn wrong_kind(column: &str, wanted: &'static str, found: &Value) -> Reason {
    Reason::WrongKind { column: column.to_owned(), wanted, found: found.kind() }
}
