//! From files to a model's inputs, and from its outputs to files: what `shoal map` does on the consumer's machine.
//!
//! A [`Source`] streams the [`Row`]s of a file or a folder. A [`Recipe`] makes the [`Array`]s of a model's inputs out of
//! one row. [`Shards`] stacks rows of equal shapes, always the same ones, so that a job that resumes meets the blobs it
//! left. [`postprocess`] turns a model's outputs into what a person wants, a [`ResultWriter`] writes them in the order of
//! the input, and [`search`] finds the vectors nearest to one. A row that cannot be read or made into inputs is a
//! [`RowError`] and the next row follows; only a source that cannot go on is a [`DatasetError`]. Running the model, and
//! everything about the network, is left to others.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod array;
mod error;
pub mod limits;
mod npy;
mod output;
pub mod postprocess;
mod recipe;
mod row;
pub mod search;
mod shards;
mod source;

pub use array::{Array, ElementType, Elements};
pub use error::{DatasetError, Reason, RowError};
pub use npy::NpyError;
pub use output::{Column, ColumnKind, InOrder, OutputFormat, OutputValue, ResultRow, ResultWriter};
pub use recipe::{
    Filter, ImageInput, Input, Layout, NumbersInput, Padding, Recipe, Resize, TensorInput, TextInput, Tokenizer,
};
pub use row::{Row, Value};
pub use shards::{Shard, ShardOptions, Shards, Step};
pub use source::{Format, Source, TextRows};
