//! Every message, id, unit, limit and version of Shoal.
//!
//! This is the only crate that names bytes: what peers exchange ([`proto`], [`envelope`], [`frame`]), how things are
//! identified ([`ids`]), what a consumer submits ([`job`]), and how large anything may be ([`limits`]). It does no
//! I/O, reads no clock and owns no randomness. What the messages mean for a protocol's state is `shoal-mesh`'s business.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod api;
pub mod commitment;
pub mod envelope;
pub mod frame;
pub mod ids;
pub mod job;
pub mod limits;
pub mod source;
pub mod unit;
pub mod version;

/// Messages generated from `proto/shoal/v1`; the schema files carry the documentation.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/shoal.v1.rs"));
}
