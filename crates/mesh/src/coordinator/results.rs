//! From commitment to verdict: what a worker's messages about its lease do.

use shoal_wire::{
    commitment::commitment,
    ids::{BlobId, LeaseId, NodeId},
    proto::{Class, Outcome},
};

use super::Coordinator;
use crate::{
    lease::{Lease, LeaseState},
    output::{Output, RefusalReason},
    plan::AcceptedUnit,
    time::TimeMs,
    unit::{Phase, Slot},
};

impl Coordinator {
    pub(super) fn committed(&mut self, now: TimeMs, worker: NodeId, id: LeaseId, given: [u8; 32]) {
        let Some(state) = self.state_for(worker, id) else { return };
        match state {
            LeaseState::Granted { .. } => {
                self.advance_lease(id, LeaseState::Committed { commitment: given });
                self.note_commitment(now, id);
            }
            LeaseState::Lapsed { commitment: held, acked } => match held {
                Some(held) if held != given => self.refuse(worker, id, RefusalReason::CommittedAlready),
                // The acknowledgement was lost with the session; the lease itself is taken up again by the result.
                Some(_) if acked => self.emit(Output::CommitAcked { worker, lease: id }),
                _ if self.phase_of(id) != Phase::Open => self.refuse(worker, id, RefusalReason::TooLateToCommit),
                _ => {
                    self.revive(id, LeaseState::Committed { commitment: given });
                    self.note_commitment(now, id);
                }
            },
            LeaseState::Committed { commitment: held } if held == given => {}
            LeaseState::Revealing { commitment: held, .. } if held == given => {
                self.emit(Output::CommitAcked { worker, lease: id });
            }
            LeaseState::Revealed { output, .. } | LeaseState::Judging { output }
                if commitment(&worker, &id, &output) == given => {}
            _ => self.refuse(worker, id, RefusalReason::CommittedAlready),
        }
    }

    pub(super) fn revealed(&mut self, now: TimeMs, worker: NodeId, id: LeaseId, output: BlobId, output_len: u64) {
        let Some(state) = self.state_for(worker, id) else { return };
        match state {
            LeaseState::Granted { .. } | LeaseState::Lapsed { commitment: None, .. } => {
                self.refuse(worker, id, RefusalReason::NotCommitted);
            }
            LeaseState::Committed { .. } | LeaseState::Lapsed { acked: false, .. } => {
                self.refuse(worker, id, RefusalReason::RevealedTooEarly);
            }
            LeaseState::Revealing { commitment: held, .. } | LeaseState::Lapsed { commitment: Some(held), .. } => {
                if commitment(&worker, &id, &output) == held {
                    self.reveal(now, id, output, output_len);
                } else {
                    self.reject(now, id, output, Outcome::CommitmentMismatch);
                }
            }
            LeaseState::Revealed { output: held, .. } | LeaseState::Judging { output: held } => {
                if held != output {
                    self.refuse(worker, id, RefusalReason::RevealedAlready);
                }
            }
        }
    }

    /// Takes an output that fits its commitment.
    fn reveal(&mut self, now: TimeMs, id: LeaseId, output: BlobId, output_len: u64) {
        let lease = &self.leases[&id];
        let Lease { worker, job, index, .. } = *lease;
        let revealed = LeaseState::Revealed { output, output_len };
        if !lease.is_lapsed() {
            self.advance_lease(id, revealed);
        } else if self.phase_of(id) != Phase::Open {
            self.revive(id, revealed);
        } else if self.jobs[&job].units[index as usize].live_leases().next().is_none() {
            // Late, and nobody else has begun: a group of one.
            self.revive(id, revealed);
            self.round_mut(&job).unit(index).enter(Phase::Revealing);
        } else {
            // Late, and a new group is at work: the commitment holds, the output waits until they have committed too.
            let LeaseState::Lapsed { commitment: Some(commitment), .. } = lease.state() else {
                unreachable!("a lapsed lease that may reveal has committed, this one is {:?}", lease.state())
            };
            self.revive(id, LeaseState::Committed { commitment });
            self.note_commitment(now, id);
            self.refuse(worker, id, RefusalReason::RevealedTooEarly);
            return;
        }
        self.settle(now, job, index);
    }

    pub(super) fn judged(&mut self, now: TimeMs, id: LeaseId, outcome: Outcome) {
        let Some(LeaseState::Judging { output }) = self.leases.get(&id).map(Lease::state) else {
            self.emit(Output::VerdictIgnored { lease: id });
            return;
        };
        match outcome {
            Outcome::Accepted => self.accept(now, id, output),
            Outcome::Unspecified => self.reject(now, id, output, Outcome::OutputUnavailable),
            wrong => self.reject(now, id, output, wrong),
        }
    }

    fn accept(&mut self, now: TimeMs, id: LeaseId, output: BlobId) {
        let Lease { worker, job, index, replica, .. } = self.forget_lease(id);
        let (round_number, unit_id) = self.name_of(job, index);
        let round = self.round_mut(&job);
        round.live -= 1;
        let unit = round.unit(index);
        unit.slots[replica as usize] = Slot::Proven;
        let first = unit.accepted.is_none();
        if first {
            unit.accept(AcceptedUnit { index, output, worker });
        }
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.note_right(now);
        }
        self.arm_worker(now, worker);
        let round = round_number;
        let unit = unit_id;
        self.emit(if first {
            Output::Accepted { lease: id, worker, job, round, index, unit, output }
        } else {
            Output::Confirmed { lease: id, worker, job, round, index, unit, output }
        });
        self.settle(now, job, index);
    }

    fn reject(&mut self, now: TimeMs, id: LeaseId, output: BlobId, outcome: Outcome) {
        let Lease { worker, owner, job, index, .. } = self.end_lease(id);
        let (round, unit) = self.name_of(job, index);
        let class = self.jobs[&job].unit_plan(index).class;
        self.emit(Output::Rejected { lease: id, worker, job, round, index, unit, output, outcome });
        let state = self.round_mut(&job).unit(index);
        if outcome == Outcome::OutputUnavailable {
            // A link that broke is not a lie; a worker that makes a habit of it rests like a silent one.
            state.note_lapse(worker);
            if let Some(worker) = self.workers.get_mut(&worker) {
                worker.note_lapse(now);
            }
            self.arm_worker(now, worker);
        } else {
            state.bar(owner);
            // A broken commitment is a lie whatever the unit's class; a float outside the bound may be honest.
            let tolerable = class == Class::Tolerant && outcome == Outcome::WrongResult;
            self.strike(now, worker, tolerable);
        }
        self.settle(now, job, index);
    }

    fn note_commitment(&mut self, now: TimeMs, id: LeaseId) {
        let Lease { job, index, .. } = self.leases[&id];
        self.round_mut(&job).unit(index).first_commit.get_or_insert(now);
        self.settle(now, job, index);
    }

    fn advance_lease(&mut self, id: LeaseId, next: LeaseState) {
        self.leases.get_mut(&id).expect("only existing leases advance").advance(next);
        self.arm_lease(id);
    }

    /// The state of a worker's own lease; refuses a message about any other.
    pub(super) fn state_for(&mut self, worker: NodeId, id: LeaseId) -> Option<LeaseState> {
        match self.leases.get(&id) {
            None => self.refuse(worker, id, RefusalReason::UnknownLease),
            Some(lease) if lease.worker != worker => self.refuse(worker, id, RefusalReason::NotYourLease),
            Some(lease) => return Some(lease.state()),
        }
        None
    }

    fn phase_of(&self, id: LeaseId) -> Phase {
        let Lease { job, index, .. } = self.leases[&id];
        self.jobs[&job].units[index as usize].phase()
    }

    pub(super) fn refuse(&mut self, worker: NodeId, lease: LeaseId, reason: RefusalReason) {
        self.emit(Output::RefuseMessage { worker, lease, reason });
    }
}
