//! What a simulation prints: how much happened, and what each kind of worker got out of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::scenario::Behaviour;

/// Figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The seed that replays it.
    pub seed: u64,
    /// Virtual time until the last job was done, milliseconds.
    pub virtual_ms: u64,
    /// Events played.
    pub events: u64,
    /// Messages sent between workers and relay.
    pub messages: u64,
    /// Of these, lost.
    pub messages_lost: u64,
    /// Times the relay was killed and started again.
    pub relay_restarts: u64,
    /// Jobs finished.
    pub jobs: u64,
    /// Rounds finished.
    pub rounds: u64,
    /// Units accepted.
    pub units: u64,
    /// Leases given.
    pub leases: u64,
    /// Leases that ended without a result.
    pub leases_withdrawn: u64,
    /// Messages that had no effect.
    pub messages_refused: u64,
    /// By behaviour.
    pub behaviours: BTreeMap<Behaviour, BehaviourFigures>,
}

/// What workers of one behaviour got out of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BehaviourFigures {
    /// Workers.
    pub workers: u64,
    /// Leases given to them.
    pub leases: u64,
    /// Results accepted.
    pub accepted: u64,
    /// Replicas confirmed.
    pub confirmed: u64,
    /// Results rejected.
    pub rejected: u64,
    /// Workers refused leases.
    pub refused: u64,
}

impl Figures {
    /// Adds another run's figures; the seed stays the first one's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.virtual_ms, other.virtual_ms),
            (&mut self.events, other.events),
            (&mut self.messages, other.messages),
            (&mut self.messages_lost, other.messages_lost),
            (&mut self.relay_restarts, other.relay_restarts),
            (&mut self.jobs, other.jobs),
            (&mut self.rounds, other.rounds),
            (&mut self.units, other.units),
            (&mut self.leases, other.leases),
            (&mut self.leases_withdrawn, other.leases_withdrawn),
            (&mut self.messages_refused, other.messages_refused),
        ] {
            *mine += theirs;
        }
        for (behaviour, theirs) in &other.behaviours {
            let mine = self.behaviours.entry(*behaviour).or_default();
            mine.workers += theirs.workers;
            mine.leases += theirs.leases;
            mine.accepted += theirs.accepted;
            mine.confirmed += theirs.confirmed;
            mine.rejected += theirs.rejected;
            mine.refused += theirs.refused;
        }
    }
}
