//! What the program is started with.

use std::error::Error;

use lexopt::prelude::*;
use libp2p::Multiaddr;
use shoal_wire::{ids::BlobId, version::DEFAULT_NETWORK};

use crate::cast::Act;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    Hold,
    Crowd,
}

#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) mode: Mode,
    /// Addresses of one relay, of all kinds.
    pub(crate) relay: Vec<Multiaddr>,
    pub(crate) network: String,
    pub(crate) seed: u64,
    pub(crate) peers: u64,
    /// What everybody does; each its own if left out.
    pub(crate) act: Option<Act>,
    /// The blob to be in the middle of, longer than anybody's credit.
    pub(crate) blob: Option<BlobId>,
    /// Whether sources that the relay names are used, plain HTTP on this machine too.
    pub(crate) sources: bool,
}

impl Arguments {
    pub(crate) fn parse() -> Result<Self, Box<dyn Error>> {
        let mut parser = lexopt::Parser::from_env();
        let mut arguments = Self {
            mode: Mode::Hold,
            relay: Vec::new(),
            network: DEFAULT_NETWORK.to_owned(),
            seed: 0,
            peers: 1,
            act: None,
            blob: None,
            sources: false,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Value(mode) if mode == "hold" => arguments.mode = Mode::Hold,
                Value(mode) if mode == "crowd" => arguments.mode = Mode::Crowd,
                Long("relay") => arguments.relay.push(parser.value()?.parse()?),
                Long("network") => arguments.network = parser.value()?.string()?,
                Long("seed") => arguments.seed = parser.value()?.parse()?,
                Long("peers") => arguments.peers = parser.value()?.parse()?,
                Long("act") => arguments.act = Some(parser.value()?.parse()?),
                Long("blob") => arguments.blob = Some(parser.value()?.parse()?),
                Long("sources") => arguments.sources = true,
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(arguments)
    }
}
