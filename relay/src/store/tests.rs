//! What must hold across a crash is asked of a file that is closed and opened again.

use shoal_wire::{
    api::JobState,
    ids::{BlobId, JobId, LeaseId, NodeId},
    proto::{Class, Gradient, Outcome, Unit, unit::Program},
    unit::CheckedUnit,
};

use super::*;
use crate::plan::job_id;

const WORKER: NodeId = NodeId([7; 32]);

fn unit(job: JobId, round: u32, index: u32) -> CheckedUnit {
    CheckedUnit::new(Unit {
        job: job.to_vec(),
        round,
        index,
        class: Class::Exact as i32,
        graph: vec![1; 32],
        parameters: vec![2; 32],
        data: vec![3; 32],
        reference_ops: 100,
        memory_bytes: 10,
        program: Some(Program::Gradient(Gradient { batch: 1 })),
    })
    .unwrap()
}

fn job(ordinal: u64) -> NewJob {
    let id = job_id(b"{}", ordinal);
    NewJob {
        id,
        document: b"{}".to_vec(),
        ordinal,
        name: "toy".to_owned(),
        rounds: 2,
        parameters: BlobId([4; 32]),
        shards: [5, 6].map(|id| Shard { blob: BlobId([id; 32]), samples: 9 }).to_vec(),
        units: vec![unit(id, 0, 0), unit(id, 0, 1)],
        map_rows: None,
    }
}

fn seen(node: NodeId, payout: Option<(u8, u64)>) -> WorkerSeen {
    let binding = payout.map(|(byte, issued_at_s)| Binding { address: [byte; 20], issued_at_s, envelope: vec![byte] });
    let (adapter, agent) = (String::new(), "test/1".to_owned());
    WorkerSeen { node, kind: "native", backend: "cpu", adapter, agent, binding }
}

fn result(unit: &CheckedUnit, lease: u8) -> NewResult {
    NewResult {
        lease: LeaseId([lease; 32]),
        unit: unit.id,
        worker: WORKER,
        output: BlobId([8; 32]),
        output_len: 1,
        compute_ms: 2,
        gpu_dispatches: 3,
        site: String::new(),
        commit: vec![1],
        result: vec![2],
    }
}

fn verdict(unit: &CheckedUnit, lease: u8, outcome: Outcome) -> NewVerdict {
    NewVerdict {
        lease: LeaseId([lease; 32]),
        unit: unit.id,
        worker: WORKER,
        outcome,
        envelope: vec![3],
        check_seconds: 2.0,
        compute_seconds: 1.0,
    }
}

fn receipt(unit: &CheckedUnit, lease: u8) -> NewReceipt {
    NewReceipt {
        unit: unit.id,
        worker: WORKER,
        job: unit.job,
        lease: LeaseId([lease; 32]),
        reference_ops: 100,
        payout: None,
        envelope: vec![4],
    }
}

async fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("relay.sqlite")).await.unwrap();
    store.worker_seen(&seen(WORKER, None)).await.unwrap();
    (dir, store)
}

#[tokio::test]
async fn a_job_survives_a_restart() {
    let (dir, store) = store().await;
    let job = job(0);
    store.insert_job(&job).await.unwrap();
    store.close().await;
    let store = Store::open(&dir.path().join("relay.sqlite")).await.unwrap();
    let row = store.job(&job.id).await.unwrap().unwrap();
    assert_eq!((row.state, row.rounds_done, row.parameters), (JobState::Running, 0, job.parameters));
    assert_eq!(store.shards(&job.id).await.unwrap(), job.shards);
    let units: Vec<_> = store.round_units(&job.id, 0).await.unwrap().into_iter().map(|row| row.unit).collect();
    assert_eq!(units, job.units);
    assert_eq!(store.count_documents(b"{}").await.unwrap(), 1);
}

#[tokio::test]
async fn a_unit_is_accepted_once_and_paid_once() {
    let (_dir, store) = store().await;
    let job = job(0);
    store.insert_job(&job).await.unwrap();
    let unit = &job.units[0];
    store.insert_result(&result(unit, 1)).await.unwrap();
    assert_eq!(store.pending_results(&job.id).await.unwrap().len(), 1);
    let output = BlobId([8; 32]);
    let accepted = verdict(unit, 1, Outcome::Accepted);
    assert!(store.accept(&accepted, &output, &receipt(unit, 1)).await.unwrap());
    assert!(store.pending_results(&job.id).await.unwrap().is_empty());

    // The same worker again under another lease: the table refuses, and nothing of the transaction stays.
    store.insert_result(&result(unit, 2)).await.unwrap();
    store.accept(&verdict(unit, 2, Outcome::Accepted), &output, &receipt(unit, 2)).await.unwrap_err();
    assert_eq!(store.job_receipts(&job.id).await.unwrap().len(), 1);
    assert_eq!(store.validation_cost(&job.id).await.unwrap().check_seconds, 2.0);
    assert_eq!(store.outbox_depth().await.unwrap(), 1);
    assert_eq!(store.round_units(&job.id, 0).await.unwrap()[0].accepted, Some((output, WORKER)));

    let rows = store.worker_rows(Some(&job.id)).await.unwrap();
    assert_eq!((rows[0].verified_ops, rows[0].accepted_units, rows[0].gpu_dispatches), (100, 1, 3));
}

#[tokio::test]
async fn a_round_ends_once() {
    let (_dir, store) = store().await;
    let job = job(0);
    store.insert_job(&job).await.unwrap();
    let next = [unit(job.id, 1, 0), unit(job.id, 1, 1)];
    let parameters = BlobId([9; 32]);
    assert!(store.finish_round(&job.id, 0, &parameters, Some(0.5), &next).await.unwrap());
    assert!(!store.finish_round(&job.id, 0, &parameters, Some(0.5), &next).await.unwrap());
    let row = store.job(&job.id).await.unwrap().unwrap();
    assert_eq!((row.rounds_done, row.state, row.held_out_accuracy), (1, JobState::Running, Some(0.5)));
    assert!(store.finish_round(&job.id, 1, &parameters, Some(0.75), &[]).await.unwrap());
    assert_eq!(store.job(&job.id).await.unwrap().unwrap().state, JobState::Finished);
    assert!(!store.end_job(&job.id, JobState::Cancelled, None).await.unwrap());
}

#[tokio::test]
async fn strikes_are_counted_by_class_and_rejections_shown() {
    let (_dir, store) = store().await;
    let job = job(0);
    store.insert_job(&job).await.unwrap();
    for (lease, outcome) in
        [(1, Outcome::WrongResult), (2, Outcome::OutputUnavailable), (3, Outcome::CommitmentMismatch)]
    {
        store.insert_verdict(&verdict(&job.units[1], lease, outcome)).await.unwrap();
    }
    assert_eq!(store.strikes(&WORKER).await.unwrap(), (2, 0));
    assert_eq!(store.worker_rows(None).await.unwrap()[0].rejected_units, 2);
}

#[tokio::test]
async fn only_a_newer_binding_counts() {
    let (_dir, store) = store().await;
    for (byte, issued_at) in [(1, 10), (2, 5), (1, 20), (3, 30)] {
        store.worker_seen(&seen(WORKER, Some((byte, issued_at)))).await.unwrap();
    }
    assert_eq!(store.payout(&WORKER).await.unwrap(), Some([3; 20]));
    let bindings = store.bindings_after(0, 10).await.unwrap();
    assert_eq!(bindings.iter().map(|b| b.payout[0]).collect::<Vec<_>>(), [1, 3]);
}

#[tokio::test]
async fn a_crowd_of_strangers_does_not_keep_the_relay_from_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("relay.sqlite")).await.unwrap();
    let public = store.public();
    let mut crowd = Vec::new();
    for _ in 0..READERS {
        crowd.push(public.reader.acquire().await.unwrap());
    }
    assert!(public.reader.try_acquire().is_none(), "the crowd holds all that strangers may have");
    assert!(store.reader.try_acquire().is_some(), "the relay's own queries do not wait for it");
    assert!(store.writer.try_acquire().is_some());
}
