//! ONNX models to op graphs and back, and weights from and to safetensors files.
//!
//! A model has symbols where a graph has sizes: [`Model::read`] checks a file, [`Model::graph`] lowers it for given
//! [`Sizes`], evaluating everything that depends on shapes and constants, until only the closed set of operations is
//! left. [`Summary::read`] says what is in a file, also in one that is refused. [`export`] writes a graph as a model that others read. No I/O here: bytes in, values out.

mod element;
mod error;
mod export;
pub mod limits;
mod lower;
mod model;
mod scan;
mod sizes;
mod summary;
mod tensor;
mod weights;

/// The messages of `onnx.proto`.
mod proto {
    #![allow(missing_docs, unreachable_pub)]
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}

pub use element::Element;
pub use error::{NodeError, OnnxError, TensorError, UnsupportedOp};
pub use export::{export, export_with};
pub use lower::{Lowered, Note};
pub use model::{Dimension, Model, Port};
pub use sizes::Sizes;
pub use summary::{Summary, UsedOp};
pub use tensor::{Data, Stored, Tensor, Weight};
pub use weights::{read_safetensors, write_safetensors};
