//! Blob transfer: content-addressed, verified as it streams, flow-controlled, resumable.
//!
//! Whoever wants a blob opens one stream (protocol `BLOB_PROTOCOL`, messages in `blob.proto`) and asks by BLAKE3 hash;
//! the other end answers with a bao slice from the resume point to the end, in groups of 16 KiB. The receiver hands out
//! credit as it verifies, and the sender never has more than that in flight: a browser cannot stop an SCTP peer, so the
//! application does. A transfer that breaks keeps its verified groups and goes on from there on a new stream.
//!
//! Takes part: [`serve`] on the sending end over a [`BlobSource`], [`Download`] (or [`fetch`]) on the receiving end.
//! Left out on purpose: timeouts (callers know their peers), storage, and choosing peers.

mod receive;
mod send;
mod slice;

pub use receive::{Download, FetchError, fetch};
pub use send::{Blob, BlobSource, ServeError, Served, serve};
pub use slice::SliceError;
