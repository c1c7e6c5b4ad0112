//! A seeded proxy between two ends on one machine, so that a test or a bench can have the delay and the loss of a long
//! path without leaving the loopback interface.
//!
//! [`UdpProxy`] delays and loses datagrams, as `tc netem` would. [`TcpProxy`] cannot lose bytes of a stream; it carries
//! them as a Reno sender would carry them over a path with that delay and loss, which is a model (see
//! [`window`](mod@window)). What happens to a packet depends on the seed and on its place in the order of arrival alone, so
//! the same packets in the same order meet the same fate.
//!
//! Takes part: tests and benches of any crate, as a dev-dependency; no program of ours links it. Left out: reordering,
//! duplication, corruption, jitter.
#![cfg(not(target_arch = "wasm32"))]

mod conditions;
pub mod limits;
mod link;
mod rng;
mod tcp;
mod udp;
pub mod window;

pub use conditions::{Conditions, Counts};
pub use link::{Fate, Link};
pub use tcp::TcpProxy;
pub use udp::UdpProxy;
