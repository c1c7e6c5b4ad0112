//! The largest round a plan may have, with a crowd of workers: leasing must not slow down with the square of the crowd.

mod common;

use std::collections::VecDeque;

use common::{JOB, blob, cpu, plan, unit};
use shoal_mesh::{Coordinator, Input, Output, RoundPlan, Strikes, TimeMs};
use shoal_wire::{
    commitment::commitment,
    ids::NodeId,
    limits::MAX_SHARDS,
    proto::{Class, Outcome},
};

const WORKERS: u32 = 300;

fn worker(number: u32) -> NodeId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_le_bytes());
    NodeId(id)
}

#[test]
fn the_largest_round_is_leased_out_and_completes() {
    let mut coordinator = Coordinator::new([1; 32]);
    let units = (0..MAX_SHARDS).map(|index| unit(JOB, 0, index, Class::Exact)).collect();
    // At an equal share each: most of the time most workers wait at their share.
    let plan = RoundPlan { units, max_worker_share_permille: 1, ..plan(1) };
    let mut inputs = VecDeque::from([Input::StartRound { plan, accepted: Vec::new() }]);
    for number in 0..WORKERS {
        let (worker, strikes) = (worker(number), Strikes::default());
        inputs.push_back(Input::WorkerJoined { worker, profile: cpu(worker), strikes });
        inputs.push_back(Input::LeaseRequest { worker, max_units: 4 });
    }
    let mut accepted = 0;
    while let Some(input) = inputs.pop_front() {
        coordinator.handle_input(TimeMs(1), input).expect("the inputs keep the contract");
        while let Some(output) = coordinator.poll_output() {
            match output {
                Output::GrantLease { worker, lease, .. } => {
                    let commitment = commitment(&worker, &lease, &blob(1));
                    inputs.push_back(Input::Commit { worker, lease, commitment });
                }
                Output::CommitAcked { worker, lease } => {
                    inputs.push_back(Input::Result { worker, lease, output: blob(1), output_len: 1 });
                }
                Output::NeedVerdict { lease, .. } => {
                    inputs.push_back(Input::Verdict { lease, outcome: Outcome::Accepted });
                }
                Output::Accepted { worker, .. } => {
                    accepted += 1;
                    inputs.push_back(Input::LeaseRequest { worker, max_units: 4 });
                }
                Output::RoundComplete { outputs, .. } => assert_eq!(outputs.len(), MAX_SHARDS as usize),
                _ => {}
            }
        }
    }
    assert_eq!(accepted, MAX_SHARDS);
}
