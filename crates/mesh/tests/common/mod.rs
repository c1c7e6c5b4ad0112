//! A hand-driven coordinator for tests: keeps the clock, drains outputs, checks every invariant after every input.

#![allow(dead_code, reason = "each test file uses its part")]

use shoal_mesh::{Coordinator, Input, InputError, Output, Owner, RoundPlan, Strikes, TimeMs, UnitPlan, WorkerProfile};
use shoal_wire::{
    commitment::commitment,
    ids::{BlobId, JobId, LeaseId, NodeId, UnitId},
    proto::{Backend, Class, Outcome},
};

pub(crate) const JOB: JobId = JobId([7; 32]);
pub(crate) const LEASE_MS: u32 = 1_000;

pub(crate) fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

pub(crate) fn blob(number: u8) -> BlobId {
    BlobId([number; 32])
}

pub(crate) fn cpu(worker: NodeId) -> WorkerProfile {
    WorkerProfile {
        owner: worker.into(),
        exact: true,
        tolerant: true,
        backend: Backend::Cpu,
        memory_bytes: 1000,
        max_unit_ops: 1000,
    }
}

pub(crate) fn gpu(worker: NodeId) -> WorkerProfile {
    WorkerProfile { backend: Backend::Webgpu, ..cpu(worker) }
}

pub(crate) fn unit(job: JobId, round: u32, index: u32, class: Class) -> UnitPlan {
    let mut id = [0; 32];
    id[0] = job.0[0];
    id[1..5].copy_from_slice(&round.to_le_bytes());
    id[5..9].copy_from_slice(&index.to_le_bytes());
    UnitPlan { unit: UnitId(id), class, reference_ops: 100, memory_bytes: 100 }
}

/// A round of exact units without replicas and without a share.
pub(crate) fn plan(units: u32) -> RoundPlan {
    RoundPlan {
        job: JOB,
        round: 0,
        units: (0..units).map(|index| unit(JOB, 0, index, Class::Exact)).collect(),
        replicas: 1,
        lease_duration_ms: LEASE_MS,
        max_worker_share_permille: 1000,
    }
}

/// A granted lease, as the worker got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) worker: NodeId,
    pub(crate) lease: LeaseId,
    pub(crate) index: u32,
}

pub(crate) struct Driver {
    pub(crate) coordinator: Coordinator,
    pub(crate) now: TimeMs,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Self { coordinator: Coordinator::new([1; 32]), now: TimeMs(1_000) }
    }

    pub(crate) fn with_round(plan: RoundPlan) -> Self {
        let mut driver = Self::new();
        driver.start(plan);
        driver
    }

    pub(crate) fn feed(&mut self, input: Input) -> Vec<Output> {
        self.try_feed(input).expect("this input keeps the driving contract")
    }

    pub(crate) fn try_feed(&mut self, input: Input) -> Result<Vec<Output>, InputError> {
        self.coordinator.handle_input(self.now, input)?;
        let outputs = std::iter::from_fn(|| self.coordinator.poll_output()).collect();
        self.coordinator.assert_invariants();
        if let Some(timeout) = self.coordinator.next_timeout() {
            assert!(timeout > self.now, "what was due at {timeout} was handled at {}", self.now);
        }
        Ok(outputs)
    }

    pub(crate) fn start(&mut self, plan: RoundPlan) -> Vec<Output> {
        self.feed(Input::StartRound { plan, accepted: Vec::new() })
    }

    pub(crate) fn join(&mut self, worker: NodeId) -> Vec<Output> {
        self.join_as(worker, cpu(worker))
    }

    pub(crate) fn join_as(&mut self, worker: NodeId, profile: WorkerProfile) -> Vec<Output> {
        self.feed(Input::WorkerJoined { worker, profile, strikes: Strikes::default() })
    }

    pub(crate) fn leave(&mut self, worker: NodeId) -> Vec<Output> {
        self.feed(Input::WorkerLeft { worker })
    }

    pub(crate) fn request(&mut self, worker: NodeId, max_units: u32) -> Vec<Output> {
        self.feed(Input::LeaseRequest { worker, max_units })
    }

    /// Asks for one unit that must be granted at once.
    pub(crate) fn lease(&mut self, worker: NodeId) -> Granted {
        let outputs = self.request(worker, 1);
        match grants(&outputs)[..] {
            [granted] => granted,
            _ => panic!("expected one lease, got {outputs:?}"),
        }
    }

    pub(crate) fn commit(&mut self, granted: Granted, output: BlobId) -> Vec<Output> {
        let commitment = commitment(&granted.worker, &granted.lease, &output);
        self.feed(Input::Commit { worker: granted.worker, lease: granted.lease, commitment })
    }

    pub(crate) fn reveal(&mut self, granted: Granted, output: BlobId) -> Vec<Output> {
        self.feed(Input::Result { worker: granted.worker, lease: granted.lease, output, output_len: 10 })
    }

    pub(crate) fn verdict(&mut self, granted: Granted, outcome: Outcome) -> Vec<Output> {
        self.feed(Input::Verdict { lease: granted.lease, outcome })
    }

    /// From commitment to verdict.
    pub(crate) fn deliver(&mut self, granted: Granted, output: BlobId, outcome: Outcome) -> Vec<Output> {
        let mut outputs = self.commit(granted, output);
        outputs.extend(self.reveal(granted, output));
        outputs.extend(self.verdict(granted, outcome));
        outputs
    }

    pub(crate) fn wait(&mut self, duration_ms: u64) -> Vec<Output> {
        self.now = self.now.after(duration_ms);
        self.feed(Input::Tick)
    }
}

pub(crate) fn grants(outputs: &[Output]) -> Vec<Granted> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::GrantLease { worker, lease, index, .. } => {
                Some(Granted { worker: *worker, lease: *lease, index: *index })
            }
            _ => None,
        })
        .collect()
}

pub(crate) fn owned_by(worker: NodeId, owner: u8) -> WorkerProfile {
    WorkerProfile { owner: Owner([owner; 32]), ..cpu(worker) }
}
