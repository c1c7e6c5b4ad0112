//! Who gets which unit: budgets, fairness, shares, devices, and patience with the silent.

mod common;

use common::{Driver, Granted, JOB, LEASE_MS, blob, cpu, gpu, grants, node, plan, unit};
use shoal_mesh::{Input, NoWorkReason, Output, RoundPlan, UnitPlan, WorkerProfile, limits};
use shoal_wire::{
    ids::{JobId, NodeId},
    proto::{Class, Outcome},
};

#[test]
fn a_unit_goes_only_where_it_fits() {
    let profiles = [
        WorkerProfile { exact: false, ..cpu(node(1)) },
        WorkerProfile { memory_bytes: 99, ..cpu(node(2)) },
        WorkerProfile { max_unit_ops: 99, ..cpu(node(3)) },
    ];
    let mut driver = Driver::with_round(plan(1));
    for (number, profile) in (1u8..).zip(profiles) {
        driver.join_as(node(number), profile);
        let reason = NoWorkReason::NothingSuitable;
        assert_eq!(driver.request(node(number), 1), [Output::Queued { worker: node(number), reason }]);
    }
    driver.join_as(node(4), WorkerProfile { memory_bytes: 100, max_unit_ops: 100, tolerant: false, ..cpu(node(4)) });
    driver.lease(node(4));
}

#[test]
fn queued_requests_are_served_fewest_units_first() {
    let mut driver = Driver::new();
    let workers = [node(3), node(1), node(2)];
    for worker in workers {
        driver.join(worker);
        let reason = NoWorkReason::NothingOpen;
        assert_eq!(driver.request(worker, 4), [Output::Queued { worker, reason }]);
    }
    let order: Vec<_> = grants(&driver.start(plan(7))).iter().map(|granted| granted.worker).collect();
    let round_robin: Vec<_> = workers.iter().cycle().take(7).copied().collect();
    assert_eq!(order, round_robin, "one each in the order they asked, then again");
}

#[test]
fn a_fast_worker_gets_no_more_than_its_share_while_others_take_part() {
    let mut driver = Driver::with_round(RoundPlan { max_worker_share_permille: 300, ..plan(10) });
    let (fast, slow) = (node(1), node(2));
    driver.join(fast);
    driver.join(slow);
    driver.request(slow, 1);
    let mut done = 0;
    while let Some(granted) = grants(&driver.request(fast, 1)).first() {
        driver.deliver(*granted, blob(1), Outcome::Accepted);
        done += 1;
    }
    assert_eq!(done, 5, "two take part: half is more than the share of 30 %");
    let outputs = driver.leave(slow);
    assert_eq!(grants(&outputs).len(), 1, "alone, it takes what is left: {outputs:?}");
}

#[test]
fn the_share_of_a_worker_between_two_units_is_kept_for_a_while() {
    let lease_duration_ms = 60_000;
    let mut driver = Driver::with_round(RoundPlan { max_worker_share_permille: 500, lease_duration_ms, ..plan(4) });
    let (fast, slow) = (node(1), node(2));
    driver.join(fast);
    driver.join(slow);
    let first = driver.lease(slow);
    assert_eq!(grants(&driver.request(fast, 4)).len(), 2);
    driver.deliver(first, blob(1), Outcome::Accepted);
    let granted = grants(&driver.wait(limits::PARTICIPATION_GRACE_MS));
    assert_eq!(granted.len(), 1, "it did not ask again in time");
    assert_eq!(granted[0].worker, fast);
}

#[test]
fn a_share_never_stops_a_round() {
    // The only other worker is barred from the last unit, so the one at its share gets it.
    let mut driver = Driver::with_round(RoundPlan { max_worker_share_permille: 1, ..plan(2) });
    let (a, b) = (node(1), node(2));
    driver.join(a);
    driver.join(b);
    let wrong = driver.lease(b);
    let right = driver.lease(a);
    driver.deliver(right, blob(1), Outcome::Accepted);
    driver.request(b, 1);
    driver.request(a, 1);
    let outputs = driver.deliver(wrong, blob(66), Outcome::WrongResult);
    let granted = grants(&outputs);
    assert_eq!(granted.len(), 1);
    assert_eq!(granted[0].worker, a);
}

#[test]
fn gpus_get_tolerant_units_first() {
    let units: Vec<UnitPlan> =
        (0..4).map(|index| unit(JOB, 0, index, if index % 2 == 0 { Class::Exact } else { Class::Tolerant })).collect();
    let order = |profile: WorkerProfile| {
        let mut driver = Driver::with_round(RoundPlan { units: units.clone(), ..plan(1) });
        driver.join_as(node(1), profile);
        grants(&driver.request(node(1), 4)).iter().map(|granted| granted.index).collect::<Vec<_>>()
    };
    assert_eq!(order(gpu(node(1))), [1, 3, 0, 2]);
    assert_eq!(order(cpu(node(1))), [0, 1, 2, 3]);
}

#[test]
fn a_silent_worker_rests_longer_each_time() {
    let mut driver = Driver::with_round(plan(20));
    let silent = node(1);
    driver.join(silent);
    let mut held = driver.lease(silent);
    for lapse in 0..limits::MAX_LAPSE_DOUBLINGS + 3 {
        held = rest_after_a_lapse(&mut driver, silent, limits::LAPSE_REST_MS << lapse.min(limits::MAX_LAPSE_DOUBLINGS));
    }
    driver.deliver(held, blob(1), Outcome::Accepted);
    driver.lease(silent);
    rest_after_a_lapse(&mut driver, silent, limits::LAPSE_REST_MS);
}

/// Lets the worker's lease lapse and checks how long it waits for the next one.
fn rest_after_a_lapse(driver: &mut Driver, silent: NodeId, rest_ms: u64) -> Granted {
    driver.wait(u64::from(LEASE_MS));
    let reason = NoWorkReason::Resting;
    assert_eq!(driver.request(silent, 1), [Output::Queued { worker: silent, reason }]);
    assert_eq!(grants(&driver.wait(rest_ms - 1)), [], "rest of {rest_ms} ms");
    let granted = grants(&driver.wait(1));
    assert_eq!(granted.len(), 1, "its request waited all the time");
    granted[0]
}

#[test]
fn a_unit_that_lapsed_goes_to_somebody_else_first() {
    let mut driver = Driver::with_round(plan(1));
    let (a, b) = (node(1), node(2));
    driver.join(a);
    let returned = driver.lease(a);
    driver.join(b);
    driver.request(a, 1);
    driver.request(b, 1);
    let outputs = driver.feed(Input::LeaseReturn { worker: a, lease: returned.lease });
    assert_eq!(grants(&outputs)[0].worker, b);
    let again = grants(&driver.leave(b));
    assert_eq!(again[0].worker, a, "with nobody else there, it may try again");
}

#[test]
fn a_worker_holds_no_more_leases_than_it_may() {
    let mut driver = Driver::with_round(plan(40));
    let a = node(1);
    driver.join(a);
    assert_eq!(grants(&driver.request(a, u32::MAX)).len(), 16);
    let reason = NoWorkReason::EnoughLeases;
    assert_eq!(driver.request(a, 1), [Output::Queued { worker: a, reason }]);
}

#[test]
fn jobs_share_the_workers() {
    let mut driver = Driver::with_round(plan(10));
    driver.start(RoundPlan { job: JobId([8; 32]), ..plan(10) });
    driver.join(node(1));
    let jobs: Vec<_> = driver
        .request(node(1), 6)
        .iter()
        .filter_map(|output| if let Output::GrantLease { job, .. } = output { Some(*job) } else { None })
        .collect();
    assert_eq!(jobs.iter().filter(|job| **job == JOB).count(), 3, "{jobs:?}");
}
