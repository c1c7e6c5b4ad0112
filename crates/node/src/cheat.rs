//! Test-only misbehaviour, to prove that it is caught and earns nothing. Compiled only with the feature `cheat`.

use std::str::FromStr;

use bytes::Bytes;
use shoal_compute::{Data, Tensor, Tensors};
use shoal_wire::{
    commitment::commitment,
    ids::{BlobId, LeaseId, NodeId},
};

/// What a cheat does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
    /// Every number of the output is zero: pay for no work.
    Zeros,
    /// Every number has the wrong sign: drive the model the other way.
    FlippedSign,
    /// One number is off by 1 %: the smallest useful lie.
    OneEntryOff,
    /// The parameters that the unit started from, which are an old round's result.
    ReplayedResult,
    /// The right output under a commitment that another node made: what copying a replica's answer looks like.
    CopiedCommitment,
}

impl Cheat {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("zeros", Self::Zeros),
        ("flipped-sign", Self::FlippedSign),
        ("one-entry-off", Self::OneEntryOff),
        ("replayed-result", Self::ReplayedResult),
        ("copied-commitment", Self::CopiedCommitment),
    ];

    /// The output that this cheat delivers instead of the right one.
    pub(crate) fn falsify(self, output: Bytes, parameters: &Bytes) -> Bytes {
        match self {
            Self::Zeros => edit(&output, |_, _| 0.0),
            Self::FlippedSign => edit(&output, |_, x| -x),
            Self::OneEntryOff => {
                let largest = largest_entry(&output);
                edit(&output, |i, x| if i == largest { x * 1.01 } else { x })
            }
            Self::ReplayedResult => parameters.clone(),
            Self::CopiedCommitment => output,
        }
    }

    /// The commitment that this cheat sends.
    pub(crate) fn commitment(self, node: &NodeId, lease: &LeaseId, output: &BlobId) -> [u8; 32] {
        let committed_by = if self == Self::CopiedCommitment { NodeId([0x55; 32]) } else { *node };
        commitment(&committed_by, lease, output)
    }
}

/// A name that no cheat has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cheat is called {0:?}")]
pub struct UnknownCheat(String);

impl FromStr for Cheat {
    type Err = UnknownCheat;

    fn from_str(name: &str) -> Result<Self, UnknownCheat> {
        let found = Self::ALL.iter().find(|(own, _)| *own == name);
        found.map(|(_, cheat)| *cheat).ok_or_else(|| UnknownCheat(name.to_owned()))
    }
}

/// Position of the entry of greatest magnitude, counted over all tensors in order: 1 % of it is never nothing.
fn largest_entry(output: &[u8]) -> usize {
    let mut largest = (0, 0.0_f32);
    edit(output, |i, x| {
        if x.abs() > largest.1 {
            largest = (i, x.abs());
        }
        x
    });
    largest.0
}

fn edit(output: &[u8], mut change: impl FnMut(usize, f32) -> f32) -> Bytes {
    let tensors = Tensors::from_bytes(output).expect("our own output decodes");
    let mut i = 0;
    let edited: Tensors = tensors
        .into_iter()
        .map(|(name, tensor)| {
            let Data::F32(data) = tensor.data() else { return (name, tensor) };
            let changed = data.iter().map(|x| {
                i += 1;
                change(i - 1, *x)
            });
            let changed = Tensor::f32(tensor.shape(), changed.collect());
            (name, changed)
        })
        .collect();
    Bytes::from(edited.to_bytes())
}
