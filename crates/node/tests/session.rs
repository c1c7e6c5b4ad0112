//! Whole sessions against a relay made by hand.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use common::{NETWORK, Relay, capabilities, config, reference, soon, unit, worker};
use shoal_node::{Event, Payout, WorkerError};
use shoal_wire::{
    commitment::{commitment, verify_join_proof},
    envelope::{NodeKey, Verified},
    ids::{BlobId, LeaseId},
    proto::{
        Class, Commit, CommitAck, LeaseRequest, LeaseReturn, NoWork, Outcome, PayoutBinding, Receipt, Refusal,
        RefusalCode, Rejection, Welcome,
    },
};

const LEASE: LeaseId = LeaseId([7; 32]);
const SECOND: LeaseId = LeaseId([8; 32]);

#[tokio::test]
async fn a_unit_goes_from_lease_to_receipt() {
    let mut relay = Relay::start().await;
    let secret = [9; 32];
    let mut config = config(&relay);
    config.join_secret = Some(secret);
    config.payout = Some(Payout { address: [3; 20], chain_id: 31_337 });
    let (worker, handle, events) = worker(config);
    let node = worker.node_id();
    let test = async {
        let (mut peer, hello) = relay.accept().await;
        assert_eq!(peer.node, node);
        assert!(verify_join_proof(&secret, &node, &peer.key.node_id(), &hello.join_proof));
        let binding = Verified::open_from(&hello.payout_binding, NETWORK, &node).unwrap();
        let binding: PayoutBinding = binding.message().unwrap();
        assert_eq!((binding.address, binding.chain_id), (vec![3; 20], 31_337));
        assert_eq!(
            capabilities(&hello).classes,
            [Class::Exact as i32, Class::Tolerant as i32],
            "a CPU is right for both"
        );

        peer.send(&Welcome { network: NETWORK.into(), relay_agent: "test".into(), max_leases: 16 }).await;
        assert_eq!(peer.receive::<LeaseRequest>().await.max_units, 2, "one to compute and one to fetch");
        peer.send(&NoWork { reason: "nothing open".into() }).await;

        let unit = unit(3);
        relay.store.add(&unit);
        peer.lease(LEASE, &unit).await;
        // The other lease of the request is still to come, so nothing is asked for in between.
        let commit: Commit = peer.receive().await;
        let right = reference(&unit);
        let output = BlobId::of(&right);
        assert_eq!(commit.commitment, commitment(&node, &LEASE, &output), "bit for bit what the reference computes");
        assert!(peer.fetch(output).await.is_err(), "nothing is revealed before the acknowledgement");

        peer.send(&CommitAck { lease: commit.lease }).await;
        let result: shoal_wire::proto::Result = peer.receive().await;
        assert_eq!((result.output_len, &result.output[..]), (right.len() as u64, &output.0[..]));
        assert_eq!(peer.fetch(output).await.unwrap(), right);

        let receipt = peer.receipt(&unit, &LEASE, &output);
        peer.send(&receipt).await;
        let accepted = events.wait(|event| matches!(event, Event::Accepted { .. })).await;
        let Event::Accepted { receipt: kept, unit: accepted } = accepted else { unreachable!() };
        assert_eq!(accepted.reference_ops, unit.unit.message.reference_ops);
        let kept = Verified::open_from(&hex::decode(kept).unwrap(), NETWORK, &peer.key.node_id()).unwrap();
        assert_eq!(kept.message::<Receipt>().unwrap(), receipt, "the proof is kept as the relay signed it");
        let ops = unit.unit.message.reference_ops;
        events.wait(|e| matches!(e, Event::Stats(s) if s.verified_ops == ops && s.pending_units == 0)).await;
        handle.stop();
    };
    let (ended, ()) = futures::join!(soon(worker.run()), test);
    assert_eq!(ended, Ok(()));
    assert_eq!(events.all().last(), Some(&Event::Stopped));
    assert!(events.find(|event| matches!(event, Event::Waiting { reason } if reason == "nothing open")).is_some());
}

#[tokio::test]
async fn a_receipt_that_does_not_fit_is_not_believed() {
    let mut relay = Relay::start().await;
    let (worker, handle, events) = worker(config(&relay));
    let test = async {
        let mut peer = relay.welcome().await;
        let unit = unit(1);
        relay.store.add(&unit);
        peer.lease(LEASE, &unit).await;
        let (_, result, _) = peer.take_result().await;
        let output = BlobId::try_from(&result.output).unwrap();
        let good = peer.receipt(&unit, &LEASE, &output);

        let stranger = NodeKey::from_seed(&[77; 32], "another network");
        let verdict = Verified::open(&good.verdict, NETWORK).unwrap().message::<shoal_wire::proto::Verdict>().unwrap();
        let mut wrong = verdict.clone();
        wrong.outcome = Outcome::WrongResult as i32;
        let bad = [
            Receipt { reference_ops: good.reference_ops - 1, ..good.clone() },
            Receipt { worker: vec![1; 32], ..good.clone() },
            Receipt { relay: vec![1; 32], ..good.clone() },
            Receipt { output: vec![1; 32], ..good.clone() },
            Receipt { unit: vec![1; 5], ..good.clone() },
            Receipt { verdict: vec![], ..good.clone() },
            Receipt { verdict: stranger.seal_bytes(&verdict), ..good.clone() },
            Receipt { verdict: peer.key.seal_bytes(&wrong), ..good.clone() },
        ];
        for receipt in &bad {
            peer.send(receipt).await;
        }
        peer.send(&good).await;
        peer.send(&good).await;
        events.wait(|event| matches!(event, Event::Accepted { .. })).await;
        let is_bad = |event: &Event| matches!(event, Event::BadReceipt { .. });
        events.wait(|_| events.all().iter().filter(|event| is_bad(event)).count() == bad.len()).await;
        let once = events.all().iter().filter(|event| matches!(event, Event::Accepted { .. })).count();
        assert_eq!(once, 1, "a receipt shown twice counts once");
        handle.stop();
    };
    futures::join!(soon(worker.run()), test).0.unwrap();
}

#[tokio::test]
async fn a_unit_beyond_the_agreement_goes_back() {
    let mut relay = Relay::start().await;
    let mut config = config(&relay);
    let unit = unit(4);
    config.budget.reference_ops = unit.unit.message.reference_ops - 1;
    let (worker, handle, _events) = worker(config);
    let test = async {
        let mut peer = relay.welcome().await;
        relay.store.add(&unit);
        peer.receive::<LeaseRequest>().await;
        peer.lease(LEASE, &unit).await;
        let back: LeaseReturn = peer.receive_past_requests().await;
        assert_eq!(back.lease, LEASE.to_vec());
        assert!(back.reason.contains("reference operations, the budget is"), "{}", back.reason);
        assert!(relay.store.asked.lock().unwrap().is_empty(), "nothing is fetched for it");
        handle.stop();
    };
    futures::join!(soon(worker.run()), test).0.unwrap();
}

#[tokio::test]
async fn a_unit_whose_blobs_are_missing_goes_back() {
    let mut relay = Relay::start().await;
    let (worker, handle, _events) = worker(config(&relay));
    let test = async {
        let mut peer = relay.welcome().await;
        peer.lease(LEASE, &unit(1)).await;
        let back: LeaseReturn = peer.receive_past_requests().await;
        assert!(back.reason.contains("refused: NotFound"), "{}", back.reason);
        handle.stop();
    };
    futures::join!(soon(worker.run()), test).0.unwrap();
}

#[tokio::test]
async fn the_next_unit_is_fetched_while_one_is_computed_and_a_stop_gives_both_back() {
    let mut relay = Relay::start().await;
    let (worker, handle, events) = worker(config(&relay));
    let test = async {
        let mut peer = relay.welcome().await;
        // Far more steps than this test waits for.
        let (long, next) = (unit(100_000), unit(1));
        relay.store.add(&long);
        peer.lease(LEASE, &long).await;
        events.wait(|event| matches!(event, Event::Computing { .. })).await;
        relay.store.add(&next);
        let asked_before = relay.store.asked.lock().unwrap().len();
        peer.lease(SECOND, &next).await;
        // Its inputs are those of the first unit, which the cache holds, so nothing is asked for twice.
        events.wait(|event| matches!(event, Event::Stats(stats) if stats.cached_blobs == 3)).await;
        assert_eq!(relay.store.asked.lock().unwrap().len(), asked_before);
        handle.stop();
        let mut back: Vec<_> = [peer.receive_past_requests().await, peer.receive_past_requests().await]
            .into_iter()
            .map(|LeaseReturn { lease, .. }| lease)
            .collect();
        back.sort();
        assert_eq!(back, [LEASE.to_vec(), SECOND.to_vec()]);
        assert!(soon(peer.reader.next()).await.unwrap().is_none(), "then it closes the session");
    };
    futures::join!(soon(worker.run()), test).0.unwrap();
    assert!(events.find(|event| matches!(event, Event::Committed { .. })).is_none());
}

#[tokio::test]
async fn a_lost_session_is_dialled_again_and_the_cache_survives() {
    let mut relay = Relay::start().await;
    let (worker, handle, events) = worker(config(&relay));
    let test = async {
        let mut peer = relay.welcome().await;
        let unit = unit(1);
        relay.store.add(&unit);
        peer.lease(LEASE, &unit).await;
        let (_, result, _) = peer.take_result().await;
        let output = BlobId::try_from(&result.output).unwrap();
        drop(peer);
        events.wait(|event| matches!(event, Event::Disconnected { .. })).await;

        let mut peer = relay.welcome().await;
        // The verdict came while it was away; the output can still be fetched.
        assert_eq!(BlobId::of(&peer.fetch(output).await.unwrap()), output);
        let receipt = peer.receipt(&unit, &LEASE, &output);
        peer.send(&receipt).await;
        events.wait(|event| matches!(event, Event::Accepted { .. })).await;
        peer.lease(SECOND, &unit).await;
        peer.take_result().await;
        assert_eq!(relay.store.asked.lock().unwrap().len(), 3, "graph, parameters and data, once each");
        handle.stop();
    };
    futures::join!(soon(worker.run()), test).0.unwrap();
}

#[tokio::test]
async fn what_is_not_a_message_of_the_relay_ends_the_session_and_nothing_else() {
    let mut relay = Relay::start().await;
    let (worker, handle, events) = worker(config(&relay));
    let test = async {
        let lost = |events: &common::Events| {
            events.all().iter().filter(|event| matches!(event, Event::Disconnected { .. })).count()
        };
        let stranger = NodeKey::from_seed(&[77; 32], NETWORK);
        let no_work = NoWork { reason: String::new() };
        let garbage: [Vec<u8>; 4] = [
            vec![0xff; 40],
            stranger.seal_bytes(&no_work),
            relay.key.seal_bytes(&LeaseRequest { max_units: 1 }),
            relay.key.seal_bytes(&CommitAck { lease: vec![1; 31] }),
        ];
        for (i, bytes) in garbage.iter().enumerate() {
            let mut peer = relay.welcome().await;
            peer.writer.send_sealed(bytes).await.unwrap();
            events.wait(|_| lost(&events) == i + 1).await;
        }
        relay.welcome().await;
        handle.stop();
    };
    futures::join!(soon(worker.run()), test).0.unwrap();
}

#[tokio::test]
async fn a_refused_worker_ends_with_the_reason() {
    let mut relay = Relay::start().await;
    let (worker, _handle, _events) = worker(config(&relay));
    let test = async {
        let (mut peer, _) = relay.accept().await;
        let code = RefusalCode::JoinProof;
        peer.send(&Refusal { code: code as i32, detail: "wrong secret".into() }).await;
    };
    let (ended, ()) = futures::join!(soon(worker.run()), test);
    assert_eq!(ended, Err(WorkerError::Refused { code: RefusalCode::JoinProof, detail: "wrong secret".into() }));
}

#[tokio::test]
async fn a_paused_worker_holds_no_leases_and_computes_nothing() {
    let mut relay = Relay::start().await;
    let (worker, handle, events) = worker(config(&relay));
    let test = async {
        let mut peer = relay.welcome().await;
        peer.receive::<LeaseRequest>().await;
        handle.set_paused(true);
        let unit = unit(1);
        relay.store.add(&unit);
        peer.lease(LEASE, &unit).await;
        let back: LeaseReturn = peer.receive().await;
        assert_eq!(back.lease, LEASE.to_vec());
        assert!(events.find(|event| matches!(event, Event::Computing { .. })).is_none());

        // Two were asked for and one is still to come: nothing is asked for again.
        handle.set_paused(false);
        peer.lease(SECOND, &unit).await;
        let (commit, ..) = peer.take_result().await;
        assert_eq!(commit.lease, SECOND.to_vec());
        let (lease, outcome) = (SECOND.to_vec(), Outcome::WrongResult as i32);
        peer.send(&Rejection { lease, outcome, reason: "for the test".into() }).await;
        let rejected = events.wait(|event| matches!(event, Event::Rejected { .. })).await;
        let Event::Rejected { outcome, .. } = rejected else { unreachable!() };
        assert_eq!(outcome, "wrong_result");
        handle.stop();
    };
    futures::join!(soon(worker.run()), test).0.unwrap();
}
