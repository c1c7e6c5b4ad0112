//! The whole relay from outside: its HTTP side, strangers on its wire, jobs with real workers, and kills.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod api;
mod common;
mod connections;
mod frames;
mod kill;
mod map;
mod rewards;
mod training;
mod webrtc;
