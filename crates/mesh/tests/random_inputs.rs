//! Arbitrary inputs, legal and absurd: nothing panics, every invariant holds after each, no unit is accepted twice, and
//! honest workers can always finish what is left.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Driver, gpu, node, unit};
use proptest::prelude::*;
use shoal_mesh::{AcceptedUnit, Input, Output, Owner, RoundPlan, Strikes, WorkerProfile};
use shoal_wire::{
    commitment::commitment,
    ids::{BlobId, JobId, LeaseId, NodeId},
    proto::{Class, Outcome},
};

const NODES: u8 = 6;
const JOBS: u8 = 3;

/// What happens next; `pick` chooses among the leases seen so far.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Join(u8),
    Leave(u8),
    Request(u8, u32),
    Return(u8, usize),
    Commit { node: Option<u8>, pick: usize, output: u8, broken: bool },
    Reveal { node: Option<u8>, pick: usize, output: u8 },
    Verdict { pick: usize, outcome: i32 },
    Start { job: u8, units: u32, replicas: u32, share: u32, restored: u32 },
    Cancel(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || 0..NODES;
    // Mostly the lease's own worker, else anybody.
    let sender = || prop_oneof![9 => Just(None), 1 => node().prop_map(Some)];
    // Mostly the newest leases.
    let pick = || prop_oneof![4 => 0usize..4, 1 => 0usize..64];
    let output = || prop_oneof![8 => Just(1u8), 1 => Just(2u8)];
    let step = prop_oneof![
        4 => prop_oneof![0u64..200, 0u64..100_000].prop_map(Step::Wait),
        3 => node().prop_map(Step::Join),
        1 => node().prop_map(Step::Leave),
        8 => (node(), prop_oneof![0u32..5, any::<u32>()]).prop_map(|(node, units)| Step::Request(node, units)),
        1 => (node(), pick()).prop_map(|(node, pick)| Step::Return(node, pick)),
        10 => (sender(), pick(), output(), prop::bool::weighted(0.05))
            .prop_map(|(node, pick, output, broken)| Step::Commit { node, pick, output, broken }),
        10 => (sender(), pick(), output()).prop_map(|(node, pick, output)| Step::Reveal { node, pick, output }),
        10 => (pick(), prop_oneof![3 => Just(1), 1 => 0i32..7])
            .prop_map(|(pick, outcome)| Step::Verdict { pick, outcome }),
        2 => (0..JOBS, 0u32..7, 0u32..4, 0u32..1002, 0u32..3)
            .prop_map(|(job, units, replicas, share, restored)| Step::Start { job, units, replicas, share, restored }),
        1 => (0..JOBS).prop_map(Step::Cancel),
    ];
    prop::collection::vec(step, 1..250)
}

/// What the test knows from inputs and outputs alone.
struct Model {
    driver: Driver,
    rounds_started: u32,
    seen: Vec<(LeaseId, NodeId)>,
    judged: BTreeSet<LeaseId>,
    accepted: BTreeMap<(JobId, u32, u32), (BlobId, NodeId)>,
    active: BTreeMap<JobId, (u32, usize)>,
}

impl Model {
    fn new() -> Self {
        Self {
            driver: Driver::new(),
            rounds_started: 0,
            seen: Vec::new(),
            judged: BTreeSet::new(),
            accepted: BTreeMap::new(),
            active: BTreeMap::new(),
        }
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        let outputs = self.driver.try_feed(input.clone()).unwrap_or_default();
        for output in &outputs {
            self.observe(output);
        }
        outputs
    }

    fn observe(&mut self, output: &Output) {
        match output {
            Output::GrantLease { worker, lease, .. } => {
                assert!(self.seen.iter().all(|(seen, _)| seen != lease), "nonces are used once");
                self.seen.push((*lease, *worker));
            }
            Output::NeedVerdict { lease, .. } => assert!(self.judged.insert(*lease), "a lease is judged once"),
            Output::Accepted { job, round, index, output, worker, lease, .. } => {
                assert!(self.judged.contains(lease), "nothing is accepted unjudged");
                let before = self.accepted.insert((*job, *round, *index), (*output, *worker));
                assert_eq!(before, None, "a unit is accepted once");
            }
            Output::Confirmed { job, round, index, .. } => {
                assert!(self.accepted.contains_key(&(*job, *round, *index)), "confirmed after accepted");
            }
            Output::RoundComplete { job, round, outputs } => {
                let (active, units) = self.active.remove(job).expect("only active rounds complete");
                assert_eq!((*round, outputs.len()), (active, units));
                for (index, unit) in (0u32..).zip(outputs) {
                    assert_eq!(unit.index, index);
                    assert_eq!(self.accepted[&(*job, *round, index)], (unit.output, unit.worker));
                }
            }
            _ => {}
        }
    }

    fn lease(&self, pick: usize) -> (LeaseId, NodeId) {
        let newest_first = self.seen.len().checked_sub(1 + pick);
        newest_first.map_or((LeaseId([9; 32]), node(0)), |position| self.seen[position])
    }

    fn start(&mut self, job: u8, units: u32, replicas: u32, share: u32, restored: u32) {
        let job = JobId([job; 32]);
        let round = self.rounds_started;
        let class = |index| if index % 3 == 1 { Class::Tolerant } else { Class::Exact };
        let plan = RoundPlan {
            job,
            round,
            units: (0..units).map(|index| unit(job, round, index, class(index))).collect(),
            replicas,
            lease_duration_ms: 1_000,
            max_worker_share_permille: share,
        };
        let accepted: Vec<AcceptedUnit> = (0..restored)
            .map(|index| AcceptedUnit { index: index * 2, output: BlobId([3; 32]), worker: node(index as u8) })
            .collect();
        let input = Input::StartRound { plan, accepted: accepted.clone() };
        let before = self.active.insert(job, (round, units as usize));
        for unit in &accepted {
            self.accepted.insert((job, round, unit.index), (unit.output, unit.worker));
        }
        match self.driver.try_feed(input) {
            Ok(outputs) => {
                self.rounds_started += 1;
                outputs.iter().for_each(|output| self.observe(output));
            }
            Err(_) => {
                // Refused, so nothing may have changed.
                for unit in &accepted {
                    self.accepted.remove(&(job, round, unit.index));
                }
                match before {
                    Some(before) => self.active.insert(job, before),
                    None => self.active.remove(&job),
                };
            }
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Wait(duration_ms) => {
                self.driver.now = self.driver.now.after(duration_ms);
                self.feed(Input::Tick);
            }
            Step::Join(number) => {
                // Two nodes share an owner; one takes exact units only.
                let worker = node(number);
                let profile = WorkerProfile {
                    owner: Owner([number.max(1); 32]),
                    tolerant: number != 2,
                    ..if number % 2 == 0 { gpu(worker) } else { common::cpu(worker) }
                };
                self.feed(Input::WorkerJoined { worker, profile, strikes: Strikes::default() });
            }
            Step::Leave(number) => drop(self.feed(Input::WorkerLeft { worker: node(number) })),
            Step::Request(number, max_units) => {
                drop(self.feed(Input::LeaseRequest { worker: node(number), max_units }));
            }
            Step::Return(number, pick) => {
                let (lease, _) = self.lease(pick);
                self.feed(Input::LeaseReturn { worker: node(number), lease });
            }
            Step::Commit { node: sender, pick, output, broken } => {
                let (lease, holder) = self.lease(pick);
                let worker = sender.map_or(holder, node);
                let mut commitment = commitment(&worker, &lease, &BlobId([output; 32]));
                commitment[0] ^= u8::from(broken);
                self.feed(Input::Commit { worker, lease, commitment });
            }
            Step::Reveal { node: sender, pick, output } => {
                let (lease, holder) = self.lease(pick);
                let worker = sender.map_or(holder, node);
                self.feed(Input::Result { worker, lease, output: BlobId([output; 32]), output_len: 1 });
            }
            Step::Verdict { pick, outcome } => {
                let (lease, _) = self.lease(pick);
                let outcome = Outcome::try_from(outcome).expect("outcomes are numbered 0 to 6");
                self.feed(Input::Verdict { lease, outcome });
            }
            Step::Start { job, units, replicas, share, restored } => self.start(job, units, replicas, share, restored),
            Step::Cancel(job) => {
                let job = JobId([job; 32]);
                if self.driver.try_feed(Input::CancelJob { job }).is_ok() {
                    self.active.remove(&job);
                }
            }
        }
    }

    /// Answers outstanding verdicts, sends everybody home and lets new honest workers do the rest.
    fn finish(&mut self) {
        for number in 0..NODES {
            self.feed(Input::WorkerLeft { worker: node(number) });
        }
        for lease in self.judged.clone() {
            self.feed(Input::Verdict { lease, outcome: Outcome::OutputUnavailable });
        }
        let honest: Vec<NodeId> = (100..104).map(node).collect();
        for worker in &honest {
            self.feed(Input::WorkerJoined { worker: *worker, profile: gpu(*worker), strikes: Strikes::default() });
        }
        let mut idle = 0;
        let mut outputs = Vec::new();
        while !self.active.is_empty() {
            for worker in &honest {
                outputs.extend(self.feed(Input::LeaseRequest { worker: *worker, max_units: 2 }));
            }
            idle = if outputs.iter().any(|output| matches!(output, Output::GrantLease { .. })) { 0 } else { idle + 1 };
            assert!(idle < 10, "honest workers wait for ever: {:?}", self.driver.coordinator);
            while let Some(output) = outputs.pop() {
                let more = match output {
                    Output::GrantLease { worker, lease, .. } => {
                        let commitment = commitment(&worker, &lease, &BlobId([5; 32]));
                        self.feed(Input::Commit { worker, lease, commitment })
                    }
                    Output::CommitAcked { worker, lease } => {
                        self.feed(Input::Result { worker, lease, output: BlobId([5; 32]), output_len: 1 })
                    }
                    Output::NeedVerdict { lease, .. } => {
                        self.feed(Input::Verdict { lease, outcome: Outcome::Accepted })
                    }
                    _ => Vec::new(),
                };
                outputs.extend(more);
            }
            if let Some(timeout) = self.driver.coordinator.next_timeout() {
                self.driver.now = timeout;
                // Who waited is granted a lease here too, and would lapse if nobody answered.
                outputs = self.feed(Input::Tick);
            }
        }
        assert_eq!(self.driver.coordinator.active_jobs().count(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, max_shrink_iters: 4096, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_is_counted_twice(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.apply(step);
        }
        model.finish();
    }
}
