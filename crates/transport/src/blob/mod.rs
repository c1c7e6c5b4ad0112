//! Blob transfer: content-addressed, verified as it streams, flow-controlled, resumable, over several streams at once.
//!
//! Whoever wants a blob opens a stream (protocol `BLOB_PROTOCOL`, messages in `blob.proto`) and asks by BLAKE3 hash for a
//! range; the other end answers with the bao slice of that range, in groups of 16 KiB. The receiver hands out credit as
//! it verifies, and the sender never has more than that in flight: a browser cannot stop an SCTP peer, so the
//! application does. A [`Download`] hands out disjoint ranges, to streams and to other sources alike, and keeps every
//! verified group whatever becomes of the stream that brought it.
//!
//! Bytes may also come from elsewhere, for instance an HTTPS server that knows nothing of hash trees: [`fetch_hashes`]
//! gets the hashes of all groups, and [`Claim::accept`] takes bytes that fit them.
//!
//! Takes part: [`serve`] on the sending end over a [`BlobSource`], [`Download`] (or [`fetch`]) on the receiving end, a
//! [`Throttle`] on either. Left out on purpose: timeouts (callers know their peers), storage, and choosing peers.

mod credit;
mod download;
mod hashes;
mod plan;
mod rate;
mod receive;
mod send;
mod slice;

pub use download::{Claim, Download};
pub use hashes::{GroupHashes, fetch_hashes};
pub use plan::PIECE_GROUPS;
pub use rate::{Bucket, RateError, Throttle, Unlimited};
pub use receive::{FetchError, fetch};
pub use send::{Blob, BlobSource, ServeError, Served, serve, serve_throttled};
pub use slice::SliceError;
