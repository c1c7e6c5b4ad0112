//! A unit's way from lease to verdict: what is taken, what is refused, what is never counted twice.

mod common;

use common::{Driver, JOB, LEASE_MS, blob, grants, node, owned_by, plan, unit};
use shoal_mesh::{
    AcceptedUnit, Input, InputError, NoWorkReason, Output, PlanError, RefusalReason, RoundPlan, Strikes, TimeMs,
    VerdictEffect, WithdrawnReason, limits,
};
use shoal_wire::{
    commitment::commitment,
    ids::{JobId, LeaseId},
    proto::{Class, Outcome},
};

#[test]
fn a_unit_goes_from_request_to_round_complete() {
    let mut driver = Driver::with_round(plan(1));
    let a = node(1);
    driver.join(a);
    let outputs = driver.request(a, 1);
    let granted = grants(&outputs)[0];
    let (lease, unit) = (granted.lease, unit(JOB, 0, 0, Class::Exact).unit);
    let (job, round, index, output) = (JOB, 0, 0, blob(9));
    assert_eq!(
        outputs,
        [Output::GrantLease { worker: a, lease, job, round, index, unit, replica: 0, duration_ms: LEASE_MS }]
    );
    assert_eq!(driver.commit(granted, output), [Output::CommitAcked { worker: a, lease }]);
    let agreeing_replicas = 0;
    assert_eq!(
        driver.reveal(granted, output),
        [Output::NeedVerdict { lease, worker: a, job, round, index, unit, output, output_len: 10, agreeing_replicas }]
    );
    assert_eq!(driver.coordinator.verdict_effect(&lease), VerdictEffect::Accepts);
    assert_eq!(
        driver.verdict(granted, Outcome::Accepted),
        [
            Output::Accepted { lease, worker: a, job, round, index, unit, output },
            Output::RoundComplete { job, round, outputs: vec![AcceptedUnit { index, output, worker: a }] },
        ]
    );
    assert_eq!(driver.coordinator.verdict_effect(&lease), VerdictEffect::Ignored);
    assert_eq!(driver.coordinator.progress(&JOB), None);
}

#[test]
fn repeated_messages_change_nothing() {
    let mut driver = Driver::with_round(plan(2));
    let a = node(1);
    driver.join(a);
    let granted = driver.lease(a);
    assert_eq!(driver.commit(granted, blob(1)).len(), 1);
    assert_eq!(driver.commit(granted, blob(1)).len(), 1, "acknowledged again, in case the first was lost");
    driver.reveal(granted, blob(1));
    assert_eq!(driver.reveal(granted, blob(1)), []);
    assert_eq!(driver.commit(granted, blob(1)), []);
    driver.verdict(granted, Outcome::Accepted);
    let lease = granted.lease;
    assert_eq!(driver.verdict(granted, Outcome::Accepted), [Output::VerdictIgnored { lease }]);
    let unknown = [Output::RefuseMessage { worker: a, lease, reason: RefusalReason::UnknownLease }];
    assert_eq!(driver.commit(granted, blob(1)), unknown, "a used nonce is worth nothing");
    assert_eq!(driver.reveal(granted, blob(1)), unknown);
}

#[test]
fn messages_out_of_order_are_refused() {
    let mut driver = Driver::with_round(plan(2));
    let (a, b) = (node(1), node(2));
    driver.join(a);
    driver.join(b);
    let granted = driver.lease(a);
    let lease = granted.lease;
    let refused = |reason| [Output::RefuseMessage { worker: a, lease, reason }];
    assert_eq!(driver.reveal(granted, blob(1)), refused(RefusalReason::NotCommitted));
    driver.commit(granted, blob(1));
    assert_eq!(driver.commit(granted, blob(2)), refused(RefusalReason::CommittedAlready));
    let stolen = common::Granted { worker: b, ..granted };
    let reason = RefusalReason::NotYourLease;
    assert_eq!(driver.reveal(stolen, blob(1)), [Output::RefuseMessage { worker: b, lease, reason }]);
    driver.reveal(granted, blob(1));
    assert_eq!(driver.reveal(granted, blob(2)), refused(RefusalReason::RevealedAlready));
    let returned = driver.feed(Input::LeaseReturn { worker: a, lease });
    assert_eq!(returned, refused(RefusalReason::TooLateToReturn));
    let lease = LeaseId([0; 32]);
    let outputs = driver.feed(Input::LeaseReturn { worker: a, lease });
    assert_eq!(outputs, [Output::RefuseMessage { worker: a, lease, reason: RefusalReason::UnknownLease }]);
}

#[test]
fn a_late_result_counts_until_the_unit_has_gone_to_another() {
    let mut driver = Driver::with_round(plan(1));
    let (a, b) = (node(1), node(2));
    driver.join(a);
    let late = driver.lease(a);
    let outputs = driver.wait(u64::from(LEASE_MS));
    assert!(matches!(outputs[..], [Output::LeaseWithdrawn { reason: WithdrawnReason::Expired, .. }]));
    assert_eq!(driver.commit(late, blob(1)).len(), 1, "nobody else has the unit");
    let outputs = driver.wait(limits::REVEAL_TIMEOUT_MS);
    assert!(matches!(outputs[..], [Output::LeaseWithdrawn { reason: WithdrawnReason::NotRevealed, .. }]));
    assert!(matches!(driver.reveal(late, blob(1))[..], [Output::NeedVerdict { .. }]), "nobody has it still");
    driver.verdict(late, Outcome::OutputUnavailable);

    driver.join(b);
    let lost = driver.lease(b);
    driver.wait(u64::from(LEASE_MS));
    driver.wait(limits::LAPSE_REST_MS << limits::MAX_LAPSE_DOUBLINGS);
    let next = driver.lease(a);
    assert_eq!(next.index, 0);
    let outputs = driver.commit(lost, blob(1));
    assert!(matches!(outputs[..], [Output::RefuseMessage { reason: RefusalReason::UnknownLease, .. }]));
    assert!(matches!(driver.deliver(next, blob(1), Outcome::Accepted)[..], [.., Output::RoundComplete { .. }]));
}

#[test]
fn a_worker_that_left_may_come_back_and_deliver() {
    let mut driver = Driver::with_round(plan(1));
    let a = node(1);
    driver.join(a);
    let granted = driver.lease(a);
    driver.commit(granted, blob(1));
    assert!(matches!(driver.leave(a)[..], [Output::LeaseWithdrawn { reason: WithdrawnReason::WorkerLeft, .. }]));
    driver.join(a);
    assert_eq!(driver.commit(granted, blob(1)), [Output::CommitAcked { worker: a, lease: granted.lease }]);
    driver.reveal(granted, blob(1));
    driver.leave(a);
    let outputs = driver.verdict(granted, Outcome::Accepted);
    assert!(matches!(outputs[..], [Output::Accepted { .. }, Output::RoundComplete { .. }]), "judged while it is away");
}

#[test]
fn a_copied_commitment_is_worthless() {
    let mut driver = Driver::with_round(RoundPlan { replicas: 2, ..plan(1) });
    let (a, b) = (node(1), node(2));
    driver.join(a);
    driver.join(b);
    let (honest, copier) = (driver.lease(a), driver.lease(b));
    let copied = commitment(&a, &honest.lease, &blob(1));
    driver.commit(honest, blob(1));
    driver.feed(Input::Commit { worker: b, lease: copier.lease, commitment: copied });
    driver.reveal(honest, blob(1));
    let outputs = driver.reveal(copier, blob(1));
    assert!(
        matches!(
            outputs[..],
            [
                Output::Rejected { outcome: Outcome::CommitmentMismatch, worker, .. },
                Output::NeedVerdict { agreeing_replicas: 0, .. }
            ] if worker == b
        ),
        "{outputs:?}"
    );
    assert_eq!(driver.coordinator.worker(&b).unwrap().strikes, Strikes { exact: 1, tolerant: 0 });
}

#[test]
fn replicas_reveal_together_and_one_is_accepted() {
    let mut driver = Driver::with_round(RoundPlan { replicas: 2, ..plan(1) });
    let (a, b) = (node(1), node(2));
    driver.join(a);
    driver.join(b);
    let (first, second) = (driver.lease(a), driver.lease(b));
    assert_eq!(driver.commit(first, blob(1)), [], "the other replica could copy");
    let early = driver.reveal(first, blob(1));
    assert!(matches!(early[..], [Output::RefuseMessage { reason: RefusalReason::RevealedTooEarly, .. }]));
    assert_eq!(driver.commit(second, blob(1)).len(), 2, "both are acknowledged");
    assert_eq!(driver.reveal(first, blob(1)), []);
    let outputs = driver.reveal(second, blob(1));
    assert!(outputs.iter().all(|output| matches!(output, Output::NeedVerdict { agreeing_replicas: 1, .. })));
    assert_eq!(outputs.len(), 2);
    assert!(matches!(driver.verdict(second, Outcome::Accepted)[..], [Output::Accepted { .. }]));
    assert_eq!(driver.coordinator.verdict_effect(&first.lease), VerdictEffect::Confirms);
    let outputs = driver.verdict(first, Outcome::Accepted);
    assert!(matches!(outputs[..], [Output::Confirmed { .. }, Output::RoundComplete { .. }]), "{outputs:?}");
}

#[test]
fn a_replica_that_dies_does_not_hold_up_the_other() {
    let mut driver = Driver::with_round(RoundPlan { replicas: 2, ..plan(1) });
    let (a, b) = (node(1), node(2));
    driver.join(a);
    driver.join(b);
    let (first, _) = (driver.lease(a), driver.lease(b));
    driver.commit(first, blob(1));
    let outputs = driver.leave(b);
    assert!(matches!(outputs[..], [Output::LeaseWithdrawn { .. }]), "a successor is awaited: {outputs:?}");
    let outputs = driver.wait(limits::REPLICA_PATIENCE_MS);
    assert_eq!(outputs, [Output::CommitAcked { worker: a, lease: first.lease }], "but not for ever");
    driver.join(b);
    let outputs = driver.request(b, 1);
    assert!(matches!(outputs[..], [Output::Queued { .. }]), "nobody joins a group that reveals: {outputs:?}");
}

#[test]
fn patience_runs_from_the_first_commitment_that_stands() {
    let mut driver = Driver::with_round(RoundPlan { replicas: 2, lease_duration_ms: 600_000, ..plan(1) });
    let (a, b) = (node(1), node(2));
    driver.join(a);
    let first = driver.lease(a);
    driver.commit(first, blob(1));
    driver.leave(a);
    driver.wait(limits::REPLICA_PATIENCE_MS);
    driver.join(b);
    let second = driver.lease(b);
    assert_eq!(driver.commit(second, blob(1)), [], "its own patience has only begun");
    assert_eq!(driver.wait(limits::REPLICA_PATIENCE_MS - 1), []);
    assert_eq!(driver.wait(1), [Output::CommitAcked { worker: b, lease: second.lease }]);
}

#[test]
fn who_waited_for_the_others_to_reveal_comes_too_late() {
    let mut driver = Driver::with_round(RoundPlan { replicas: 2, ..plan(1) });
    let (a, copier) = (node(1), node(2));
    driver.join(a);
    driver.join(copier);
    let (first, waits) = (driver.lease(a), driver.lease(copier));
    driver.commit(first, blob(1));
    driver.wait(u64::from(LEASE_MS));
    driver.wait(limits::REPLICA_PATIENCE_MS);
    driver.reveal(first, blob(1));
    let refused = |reason| [Output::RefuseMessage { worker: copier, lease: waits.lease, reason }];
    assert_eq!(driver.commit(waits, blob(1)), refused(RefusalReason::TooLateToCommit));
    driver.verdict(first, Outcome::OutputUnavailable);
    assert_eq!(driver.commit(waits, blob(1)), refused(RefusalReason::UnknownLease), "although the unit is open again");
}

#[test]
fn two_replicas_never_go_to_one_owner() {
    let mut driver = Driver::with_round(RoundPlan { replicas: 2, ..plan(2) });
    for number in 1..=2 {
        driver.join_as(node(number), owned_by(node(number), 50));
        assert_eq!(grants(&driver.request(node(number), 4)).len(), if number == 1 { 2 } else { 0 });
    }
    driver.join(node(3));
    assert_eq!(grants(&driver.request(node(3), 4)).len(), 2);
}

#[test]
fn wrong_results_go_to_another_owner_and_end_in_refusal() {
    let mut driver = Driver::with_round(plan(5));
    let (a, b) = (node(1), node(2));
    driver.join(a);
    for strike in 1..=limits::MAX_EXACT_STRIKES {
        let granted = driver.lease(a);
        assert_eq!(granted.index, strike - 1, "never the unit it got wrong");
        let outputs = driver.deliver(granted, blob(66), Outcome::WrongResult);
        let refused = outputs.iter().any(|output| matches!(output, Output::RefuseWorker { .. }));
        assert_eq!(refused, strike == limits::MAX_EXACT_STRIKES);
    }
    let queued = |reason| [Output::Queued { worker: a, reason }];
    assert_eq!(driver.request(a, 1), queued(NoWorkReason::Refused));
    driver.leave(a);
    assert!(matches!(driver.join(a)[..], [Output::RefuseWorker { .. }]), "leaving forgives nothing");
    assert_eq!(driver.request(a, 1), queued(NoWorkReason::Refused));
    driver.join(b);
    assert_eq!(driver.lease(b).index, 0);
}

#[test]
fn a_refused_worker_loses_what_it_has_not_revealed() {
    let mut driver = Driver::with_round(plan(8));
    let a = node(1);
    driver.join(a);
    let held = grants(&driver.request(a, 5));
    for granted in &held[..4] {
        driver.commit(*granted, blob(66));
        driver.reveal(*granted, blob(66));
    }
    driver.verdict(held[0], Outcome::WrongResult);
    driver.verdict(held[1], Outcome::NonFinite);
    let outputs = driver.verdict(held[2], Outcome::MalformedOutput);
    let withdrawn: Vec<_> = outputs.iter().filter(|output| matches!(output, Output::LeaseWithdrawn { .. })).collect();
    assert_eq!(withdrawn.len(), 1, "the one it computed; the one being judged stays: {outputs:?}");
    let outputs = driver.verdict(held[3], Outcome::Accepted);
    assert!(matches!(outputs[..], [Output::Accepted { .. }]), "what is proven right counts");
}

#[test]
fn tolerant_strikes_leave_the_exact_units() {
    let units = (0..6).map(|index| unit(JOB, 0, index, if index < 4 { Class::Tolerant } else { Class::Exact }));
    let mut driver = Driver::with_round(RoundPlan { units: units.collect(), ..plan(1) });
    let a = node(1);
    driver.join_as(a, common::gpu(a));
    for _ in 0..limits::MAX_TOLERANT_STRIKES {
        let granted = driver.lease(a);
        driver.deliver(granted, blob(66), Outcome::WrongResult);
    }
    assert_eq!(driver.lease(a).index, 4, "tolerant unit 3 is no longer for it");
}

#[test]
fn a_cancelled_job_frees_its_workers_and_ignores_its_verdicts() {
    let mut driver = Driver::with_round(plan(2));
    let a = node(1);
    driver.join(a);
    let held = grants(&driver.request(a, 2));
    driver.commit(held[0], blob(1));
    driver.reveal(held[0], blob(1));
    assert_eq!(driver.feed(Input::CancelJob { job: JOB }).len(), 2);
    assert_eq!(driver.verdict(held[0], Outcome::Accepted), [Output::VerdictIgnored { lease: held[0].lease }]);
    assert_eq!(driver.coordinator.worker(&a).unwrap().leases, 0);
    assert_eq!(driver.coordinator.next_timeout(), None);
    driver.start(RoundPlan { job: JobId([8; 32]), ..plan(1) });
    driver.lease(a);
}

#[test]
fn a_restored_round_counts_nothing_twice() {
    let restored = [AcceptedUnit { index: 1, output: blob(4), worker: node(9) }];
    let mut driver = Driver::new();
    driver.feed(Input::StartRound { plan: plan(3), accepted: restored.to_vec() });
    let a = node(1);
    driver.join(a);
    let held = grants(&driver.request(a, 3));
    assert_eq!(held.iter().map(|granted| granted.index).collect::<Vec<_>>(), [0, 2]);
    driver.deliver(held[0], blob(0), Outcome::Accepted);
    let outputs = driver.deliver(held[1], blob(2), Outcome::Accepted);
    let Some(Output::RoundComplete { outputs, .. }) = outputs.last() else { panic!("not complete: {outputs:?}") };
    let expected = [(0, 0, a), (1, 4, node(9)), (2, 2, a)];
    assert_eq!(*outputs, expected.map(|(index, output, worker)| AcceptedUnit { index, output: blob(output), worker }));

    let whole: Vec<_> = (0..3).map(|index| AcceptedUnit { index, output: blob(index as u8), worker: a }).collect();
    let outputs = Driver::new().feed(Input::StartRound { plan: plan(3), accepted: whole.clone() });
    assert_eq!(outputs, [Output::RoundComplete { job: JOB, round: 0, outputs: whole }]);
}

#[test]
fn breaking_the_contract_is_a_named_error_that_changes_nothing() {
    let mut driver = Driver::with_round(plan(1));
    let a = node(1);
    let request = Input::LeaseRequest { worker: a, max_units: 1 };
    assert_eq!(driver.try_feed(request.clone()), Err(InputError::NotJoined { worker: a }));
    driver.join(a);
    let join = Input::WorkerJoined { worker: a, profile: common::cpu(a), strikes: Strikes::default() };
    assert_eq!(driver.try_feed(join), Err(InputError::AlreadyJoined { worker: a }));
    let start = Input::StartRound { plan: RoundPlan { round: 1, ..plan(1) }, accepted: vec![] };
    assert_eq!(driver.try_feed(start), Err(InputError::RoundActive { job: JOB, active: 0, round: 1 }));
    let job = JobId([1; 32]);
    assert_eq!(driver.try_feed(Input::CancelJob { job }), Err(InputError::UnknownJob { job }));
    let (last, now) = (driver.now, TimeMs(driver.now.0 - 1));
    let error = driver.coordinator.handle_input(now, Input::Tick).unwrap_err();
    assert_eq!(error, InputError::TimeWentBack { last, now });
    driver.coordinator.handle_input(last, request.clone()).unwrap();
    let error = driver.coordinator.handle_input(last, request).unwrap_err();
    assert_eq!(error, InputError::OutputsPending { pending: 1 });
}

#[test]
fn bad_plans_are_refused_by_name() {
    let refused = |plan: RoundPlan, accepted: Vec<AcceptedUnit>| match Driver::new()
        .try_feed(Input::StartRound { plan, accepted })
    {
        Err(InputError::Plan(error)) => error,
        other => panic!("not refused: {other:?}"),
    };
    assert!(matches!(refused(plan(0), vec![]), PlanError::UnitCount { units: 0, .. }));
    assert!(matches!(refused(plan(65_537), vec![]), PlanError::UnitCount { .. }));
    assert!(matches!(refused(RoundPlan { replicas: 0, ..plan(1) }, vec![]), PlanError::Replicas { .. }));
    assert!(matches!(refused(RoundPlan { replicas: 8, ..plan(1) }, vec![]), PlanError::Replicas { .. }));
    assert!(matches!(refused(RoundPlan { lease_duration_ms: 9, ..plan(1) }, vec![]), PlanError::LeaseDuration { .. }));
    let share = RoundPlan { max_worker_share_permille: 0, ..plan(1) };
    assert_eq!(refused(share, vec![]), PlanError::WorkerShare { permille: 0 });
    let twice = RoundPlan { units: vec![unit(JOB, 0, 0, Class::Exact); 2], ..plan(1) };
    assert!(matches!(refused(twice, vec![]), PlanError::DuplicateUnit { index: 1, .. }));
    let classless = RoundPlan { units: vec![unit(JOB, 0, 0, Class::Unspecified)], ..plan(1) };
    assert_eq!(refused(classless, vec![]), PlanError::UnspecifiedClass { index: 0 });
    let accepted = AcceptedUnit { index: 0, output: blob(1), worker: node(1) };
    assert_eq!(refused(plan(2), vec![accepted; 2]), PlanError::AcceptedTwice { index: 0 });
    let outside = AcceptedUnit { index: 2, ..accepted };
    assert_eq!(refused(plan(2), vec![outside]), PlanError::AcceptedIndex { index: 2, units: 2 });
}
