//! One lease: a worker's single right to deliver one replica of one unit.

use shoal_wire::ids::{BlobId, JobId, NodeId};

use crate::{time::TimeMs, worker::Owner};

/// A lease that still can lead to a result. Used-up and withdrawn leases are forgotten.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) worker: NodeId,
    pub(crate) owner: Owner,
    pub(crate) job: JobId,
    pub(crate) index: u32,
    pub(crate) replica: u32,
    state: LeaseState,
}

/// Where a lease is between grant and verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseState {
    /// The worker computes until the deadline.
    Granted { deadline: TimeMs },
    /// The worker is bound and waits for the other replicas.
    Committed { commitment: [u8; 32] },
    /// The worker was asked to reveal and has until the deadline.
    Revealing { commitment: [u8; 32], deadline: TimeMs },
    /// The output fits the commitment; the other replicas still reveal.
    Revealed { output: BlobId, output_len: u64 },
    /// The driver was asked for a verdict.
    Judging { output: BlobId },
    /// The deadline passed or the worker left. Can be taken up again while the replica has not gone to another.
    Lapsed { commitment: Option<[u8; 32]>, acked: bool },
}

impl Lease {
    pub(crate) fn granted(
        worker: NodeId,
        owner: Owner,
        job: JobId,
        index: u32,
        replica: u32,
        deadline: TimeMs,
    ) -> Self {
        Self { worker, owner, job, index, replica, state: LeaseState::Granted { deadline } }
    }

    pub(crate) fn state(&self) -> LeaseState {
        self.state
    }

    /// Changes the state: the only place that does.
    ///
    /// # Panics
    /// On a change that the protocol does not have.
    pub(crate) fn advance(&mut self, next: LeaseState) {
        use LeaseState::{Committed, Granted, Judging, Lapsed, Revealed, Revealing};
        let legal = match (self.state, next) {
            (Granted { .. }, Committed { .. } | Lapsed { commitment: None, acked: false }) => true,
            (Committed { commitment: held }, Revealing { commitment, .. }) => held == commitment,
            (Committed { commitment: held }, Lapsed { commitment, acked: false }) => Some(held) == commitment,
            (Revealing { .. }, Revealed { .. }) => true,
            (Revealing { commitment: held, .. }, Lapsed { commitment, acked: true }) => Some(held) == commitment,
            (Revealed { output: held, .. }, Judging { output }) => held == output,
            (Lapsed { commitment: None, .. }, Committed { .. }) => true,
            (Lapsed { commitment: held, .. }, Committed { commitment }) => held == Some(commitment),
            (Lapsed { acked: true, .. }, Revealed { .. }) => true,
            _ => false,
        };
        assert!(legal, "lease cannot go from {:?} to {next:?}", self.state);
        self.state = next;
    }

    /// When the lease lapses unless something happens.
    pub(crate) fn deadline(&self) -> Option<TimeMs> {
        match self.state {
            LeaseState::Granted { deadline } | LeaseState::Revealing { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// The output, once it was revealed.
    pub(crate) fn output(&self) -> Option<BlobId> {
        match self.state {
            LeaseState::Revealed { output, .. } | LeaseState::Judging { output } => Some(output),
            _ => None,
        }
    }

    pub(crate) fn is_lapsed(&self) -> bool {
        matches!(self.state, LeaseState::Lapsed { .. })
    }

    /// What the lease becomes when its worker is gone or late; `None` where the result is already in.
    pub(crate) fn lapsed(&self) -> Option<LeaseState> {
        match self.state {
            LeaseState::Granted { .. } => Some(LeaseState::Lapsed { commitment: None, acked: false }),
            LeaseState::Committed { commitment } => {
                Some(LeaseState::Lapsed { commitment: Some(commitment), acked: false })
            }
            LeaseState::Revealing { commitment, .. } => {
                Some(LeaseState::Lapsed { commitment: Some(commitment), acked: true })
            }
            LeaseState::Revealed { .. } | LeaseState::Judging { .. } | LeaseState::Lapsed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> Lease {
        let node = NodeId([1; 32]);
        Lease::granted(node, node.into(), JobId([2; 32]), 0, 0, TimeMs(10))
    }

    #[test]
    #[should_panic(expected = "lease cannot go from Granted")]
    fn a_result_without_a_commitment_is_illegal() {
        lease().advance(LeaseState::Revealed { output: BlobId([0; 32]), output_len: 1 });
    }

    #[test]
    #[should_panic(expected = "lease cannot go from Lapsed")]
    fn a_lapsed_commitment_cannot_be_exchanged() {
        let mut lease = lease();
        lease.advance(LeaseState::Committed { commitment: [1; 32] });
        lease.advance(lease.lapsed().expect("a committed lease can lapse"));
        lease.advance(LeaseState::Committed { commitment: [2; 32] });
    }
}
