//! What liars can learn. Sessions are encrypted, so nobody hears a message on its way; the worst case is that everything
//! is public that a worker ever committed to, and every output from the moment the relay took it.

use std::collections::BTreeMap;

use shoal_wire::ids::{BlobId, LeaseId, NodeId, UnitId};

/// One thing overheard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overheard<T> {
    pub(crate) at_ms: u64,
    pub(crate) from: NodeId,
    pub(crate) lease: LeaseId,
    pub(crate) value: T,
}

/// Commitments that workers made and outputs that the relay took, by unit.
#[derive(Debug, Default)]
pub(crate) struct Air {
    commitments: BTreeMap<UnitId, Vec<Overheard<[u8; 32]>>>,
    outputs: BTreeMap<UnitId, Vec<Overheard<BlobId>>>,
}

impl Air {
    pub(crate) fn hear_commitment(&mut self, unit: UnitId, heard: Overheard<[u8; 32]>) {
        remember(self.commitments.entry(unit).or_default(), heard);
    }

    pub(crate) fn hear_output(&mut self, unit: UnitId, heard: Overheard<BlobId>) {
        remember(self.outputs.entry(unit).or_default(), heard);
    }

    /// Another worker's latest commitment for the unit.
    pub(crate) fn commitment(&self, unit: &UnitId, except: &NodeId) -> Option<Overheard<[u8; 32]>> {
        self.commitments.get(unit)?.iter().rev().find(|heard| heard.from != *except).copied()
    }

    /// Another worker's output of the unit, first heard after that time.
    pub(crate) fn output(&self, unit: &UnitId, except: &NodeId, after_ms: u64) -> Option<Overheard<BlobId>> {
        self.outputs.get(unit)?.iter().rev().find(|heard| heard.from != *except && heard.at_ms > after_ms).copied()
    }

    /// An output of some other unit, to be replayed.
    pub(crate) fn output_of_another(&self, unit: &UnitId, choice: u64) -> Option<Overheard<BlobId>> {
        let others: Vec<_> = self.outputs.iter().filter(|(other, _)| *other != unit).collect();
        let (_, heard) = others.get(choice.checked_rem(others.len() as u64)? as usize)?;
        heard.first().copied()
    }
}

/// Keeps the first time that something was heard.
fn remember<T: PartialEq>(list: &mut Vec<Overheard<T>>, heard: Overheard<T>) {
    if !list.iter().any(|old| old.lease == heard.lease && old.value == heard.value) {
        list.push(heard);
    }
}
