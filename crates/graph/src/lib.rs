//! The model as an op graph: shapes, operation count, autodiff.
//!
//! A [`Graph`] is data that a stranger may send: a closed set of operations in topological order, checked against
//! limits before anything is allocated ([`limits`]), with its cost known before it runs ([`cost`]). [`GraphBuilder`]
//! makes graphs, [`autodiff`] extends one by the gradient of a loss, [`lora`] adds low-rank adapters to one, and
//! [`programs`] turns a model's layers into the graphs that work units run. Running a graph is `shoal-compute`'s business.

pub mod autodiff;
mod builder;
mod compose;
mod convert;
pub mod cost;
mod error;
mod graph;
pub mod limits;
pub mod lora;
mod op;
mod optimiser;
pub mod passes;
pub mod programs;

pub use builder::GraphBuilder;
pub use error::GraphError;
pub use graph::{Graph, Node, VERSION, ValueId};
pub use op::{Axis2d, Binary, DType, Literal, Op, Reduction, TensorType, Unary, Window2d};
pub use optimiser::{Adam, AdamRates, Momentum};
