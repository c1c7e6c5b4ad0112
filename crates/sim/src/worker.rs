//! One simulated worker: its leases, what it computes or invents, what it repeats until it is heard.

use std::collections::BTreeMap;

use shoal_mesh::RefusalReason;
use shoal_wire::{
    commitment::commitment,
    ids::{BlobId, LeaseId, UnitId, domain_hash},
};

use crate::{
    adversary::Air,
    event::{ToRelay, ToWorker},
    rng::Rng,
    scenario::{Behaviour, WorkerScenario},
    truth::Truth,
};

/// Time between two attempts to be heard, milliseconds.
const RESEND_MS: u64 = 1_500;

/// Time between two requests for leases, milliseconds.
const REQUEST_MS: u64 = 2_000;

/// When a worker gives up a lease that nobody answers for, milliseconds: longer than a group's patience and a reveal.
const GIVE_UP_MS: u64 = 200_000;

/// When a silent worker has forgotten its leases and asks again, milliseconds.
const SILENT_MS: u64 = 20_000;

/// Leases a replayer keeps for later.
const KEPT_LEASES: usize = 8;

/// What a worker did with one lease so far.
#[derive(Clone, Copy, Debug)]
struct Task {
    unit: UnitId,
    granted_ms: u64,
    ready_ms: u64,
    answer: Option<Answer>,
    acked: bool,
    sent_ms: Option<u64>,
}

/// What a worker will say about a lease.
#[derive(Clone, Copy, Debug)]
struct Answer {
    commitment: [u8; 32],
    output: BlobId,
}

#[derive(Debug)]
pub(crate) struct SimWorker {
    pub(crate) scenario: WorkerScenario,
    pub(crate) online: bool,
    /// Number of its current session; sessions of before deliver nothing.
    pub(crate) session: u32,
    rng: Rng,
    tasks: BTreeMap<LeaseId, Task>,
    used: Vec<(LeaseId, UnitId)>,
    asked_ms: Option<u64>,
}

impl SimWorker {
    pub(crate) fn new(scenario: WorkerScenario, rng: Rng) -> Self {
        let (tasks, used) = (BTreeMap::new(), Vec::new());
        Self { scenario, online: false, session: 0, rng, tasks, used, asked_ms: None }
    }

    /// Starts a new session; half of those that died remember what they held.
    pub(crate) fn come(&mut self, forgets: bool) {
        self.online = true;
        self.session += 1;
        self.asked_ms = None;
        if forgets {
            self.tasks.clear();
        }
        for task in self.tasks.values_mut() {
            // An acknowledgement holds for its session: the relay may have given the unit to another since.
            (task.acked, task.sent_ms) = (false, None);
        }
    }

    /// A message for a task of another kind than this worker has is possible: the network repeats and reorders.
    pub(crate) fn receive(&mut self, now_ms: u64, message: ToWorker) {
        match message {
            ToWorker::Lease { lease, unit } => {
                let ready_ms = now_ms + self.scenario.compute_ms / 2 + self.rng.range(0, self.scenario.compute_ms);
                let task = Task { unit, granted_ms: now_ms, ready_ms, answer: None, acked: false, sent_ms: None };
                // A repeated lease must not start the task again, nor one that was done.
                if !self.used.iter().any(|(used, _)| *used == lease) {
                    self.tasks.entry(lease).or_insert(task);
                }
            }
            ToWorker::CommitAck { lease } => {
                if let Some(task) = self.tasks.get_mut(&lease) {
                    task.acked = true;
                    task.sent_ms = None;
                }
            }
            ToWorker::Acceptance { lease } | ToWorker::Rejection { lease } => self.forget(lease),
            ToWorker::Refusal { lease, reason } => self.refused(lease, reason),
            ToWorker::NoWork => {}
        }
    }

    fn refused(&mut self, lease: LeaseId, reason: RefusalReason) {
        match reason {
            RefusalReason::NotCommitted | RefusalReason::RevealedTooEarly => {
                if let Some(task) = self.tasks.get_mut(&lease) {
                    task.acked = false;
                }
            }
            _ => self.forget(lease),
        }
    }

    fn forget(&mut self, lease: LeaseId) {
        if let Some(task) = self.tasks.remove(&lease) {
            self.used.push((lease, task.unit));
            if self.used.len() > KEPT_LEASES {
                self.used.remove(0);
            }
        }
    }

    /// Everything it wants to say now.
    pub(crate) fn wake(&mut self, now_ms: u64, truth: &Truth, air: &Air) -> Vec<ToRelay> {
        let mut said = Vec::new();
        let patience_ms = if self.scenario.behaviour == Behaviour::Silent { SILENT_MS } else { GIVE_UP_MS };
        let given_up: Vec<LeaseId> = self
            .tasks
            .iter()
            .filter(|(_, task)| now_ms >= task.granted_ms + patience_ms)
            .map(|(lease, _)| *lease)
            .collect();
        given_up.into_iter().for_each(|lease| self.forget(lease));
        for lease in self.tasks.keys().copied().collect::<Vec<_>>() {
            said.extend(self.work(now_ms, lease, truth, air));
        }
        if self.scenario.behaviour == Behaviour::Replay {
            said.extend(self.replay(air));
        }
        let idle = (self.tasks.len() as u32) < self.scenario.asks_for;
        if idle && self.asked_ms.is_none_or(|asked_ms| now_ms >= asked_ms + REQUEST_MS) {
            self.asked_ms = Some(now_ms);
            said.push(ToRelay::Request { max_units: self.scenario.asks_for });
        }
        said
    }

    fn work(&mut self, now_ms: u64, lease: LeaseId, truth: &Truth, air: &Air) -> Option<ToRelay> {
        let mut task = self.tasks[&lease];
        if now_ms < task.ready_ms || task.sent_ms.is_some_and(|sent_ms| now_ms < sent_ms + RESEND_MS) {
            return None;
        }
        match self.scenario.behaviour {
            Behaviour::Silent => return None,
            Behaviour::Returns => {
                self.forget(lease);
                return Some(ToRelay::Return { lease });
            }
            _ => {}
        }
        if task.answer.is_none() {
            task.answer = self.answer(lease, &task, truth, air);
        }
        let answer = task.answer?;
        task.sent_ms = Some(now_ms);
        self.tasks.insert(lease, task);
        Some(if task.acked {
            ToRelay::Result { lease, output: self.output_to_reveal(&task, answer, air) }
        } else {
            ToRelay::Commit { lease, commitment: answer.commitment }
        })
    }

    /// What it commits to; `None` while it waits for others.
    fn answer(&mut self, lease: LeaseId, task: &Task, truth: &Truth, air: &Air) -> Option<Answer> {
        let node = self.scenario.node;
        let right = || truth.output(&task.unit);
        // All liars tell the same lie, the worst case for whoever trusts agreement.
        let lie = BlobId(domain_hash("shoal/sim/lie", &[&task.unit.0]));
        let output = match self.scenario.behaviour {
            Behaviour::Honest => right(),
            Behaviour::SometimesWrong => {
                if self.rng.chance(200) {
                    lie
                } else {
                    right()
                }
            }
            Behaviour::WrongResult => lie,
            Behaviour::CommitmentMismatch => {
                let committed = BlobId(self.rng.bytes());
                return Some(Answer { commitment: commitment(&node, &lease, &committed), output: lie });
            }
            Behaviour::CopiedCommitment => {
                let copied = air.commitment(&task.unit, &node)?;
                return Some(Answer { commitment: copied.value, output: lie });
            }
            Behaviour::WaitsAndCopies => air.output(&task.unit, &node, task.granted_ms)?.value,
            Behaviour::Replay => air.output_of_another(&task.unit, self.rng.next_u64())?.value,
            Behaviour::Silent | Behaviour::Returns => return None,
        };
        Some(Answer { commitment: commitment(&node, &lease, &output), output })
    }

    fn output_to_reveal(&self, task: &Task, answer: Answer, air: &Air) -> BlobId {
        if self.scenario.behaviour != Behaviour::CopiedCommitment {
            return answer.output;
        }
        air.output(&task.unit, &self.scenario.node, task.granted_ms).map_or(answer.output, |heard| heard.value)
    }

    /// Old outputs on leases that are used up, and on other workers' leases.
    fn replay(&mut self, air: &Air) -> Vec<ToRelay> {
        let used = self.used.get(self.rng.range(0, KEPT_LEASES as u64) as usize).copied();
        let unit = used.map_or(UnitId([0; 32]), |(_, unit)| unit);
        let Some(heard) = air.output_of_another(&unit, self.rng.next_u64()) else { return Vec::new() };
        let lease = used.map_or(heard.lease, |(lease, _)| lease);
        let commitment = commitment(&self.scenario.node, &lease, &heard.value);
        vec![ToRelay::Commit { lease, commitment }, ToRelay::Result { lease, output: heard.value }]
    }

    /// The unit of one of its leases, for those who overhear it.
    pub(crate) fn unit_of(&self, lease: &LeaseId) -> Option<UnitId> {
        self.tasks.get(lease).map(|task| task.unit)
    }
}
