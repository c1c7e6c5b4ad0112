//! Whole jobs: real workers over TCP, from the submitted document to the fetched model.

use crate::common::{TestRelay, submit_points, worker::TestWorker};
use futures::StreamExt as _;
use shoal_compute::{Tensors, evaluate::evaluate};
use shoal_wire::{
    api::{JobState, JobStatus, WorkerRow},
    envelope::Verified,
    job::JobSpec,
    proto::{Outcome, Receipt, Verdict},
};

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_train_a_model() {
    let relay = TestRelay::start().await;
    let api = &relay.api;
    let (one, two) = (TestWorker::start(api, 1), TestWorker::start(api, 2));
    api.connected(2).await;
    let job = submit_points(api, 5, |document| document["training"]["gradient_units_per_round"] = 1.into()).await;
    let status = api.finished(job).await;

    assert_eq!((status.rounds_done, status.round_accepted, status.rounds), (5, 4, 5));
    let accuracy = status.held_out_accuracy.unwrap();
    assert!(accuracy > 0.95, "accuracy {accuracy}");
    assert!(status.validation_overhead.unwrap() >= 1.0, "{:?}", status.validation_overhead);
    assert_eq!(status.workers.iter().map(|row| row.accepted_units).sum::<u64>(), 20);
    assert_eq!(status.workers.iter().map(|row| row.verified_ops).sum::<u64>(), status.verified_ops);
    for worker in [&one, &two] {
        let row = status.workers.iter().find(|row| row.node == worker.node).expect("both took part");
        assert!(row.accepted_units >= 2 && row.rejected_units == 0, "{row:?}");
    }

    // The model is what the relay says it is.
    let model = api.get(&format!("/v1/jobs/{job}/model")).await.bytes().await.unwrap();
    let spec = JobSpec::from_json(
        crate::common::document(status.model.unwrap(), status.model.unwrap(), 5).to_string().as_bytes(),
    );
    let held_out = Tensors::from_bytes(&crate::common::points(40, 7)).unwrap();
    let measured = evaluate(&spec.unwrap().model, &Tensors::from_bytes(&model).unwrap(), &held_out).unwrap();
    assert_eq!(measured.accuracy(), accuracy);

    check_receipts(&relay, job).await;
    one.stop();
    two.stop();
    let rows: Vec<WorkerRow> = api.get("/v1/workers").await.json().await.unwrap();
    assert_eq!(rows.len(), 2);
    let metrics = api.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("shoal_relay_verdicts_total{outcome=\"accepted\"} 20"), "{metrics}");
    relay.stop().await;
}

/// Every receipt is the relay's, holds an accepting verdict, and pays each unit once.
async fn check_receipts(relay: &TestRelay, job: shoal_wire::ids::JobId) {
    let body: serde_json::Value = relay.api.get(&format!("/v1/jobs/{job}/receipts")).await.json().await.unwrap();
    let mut units = std::collections::BTreeSet::new();
    let join = &relay.api.ready.join;
    for row in body.as_array().unwrap() {
        let envelope = hex::decode(row["envelope"].as_str().unwrap()).unwrap();
        let opened = Verified::open_from(&envelope, &join.network, &join.relay).unwrap();
        let receipt: Receipt = opened.message().unwrap();
        let verdict: Verdict = Verified::open(&receipt.verdict, &join.network).unwrap().message().unwrap();
        assert_eq!(verdict.outcome(), Outcome::Accepted);
        assert_eq!((verdict.unit, verdict.output), (receipt.unit.clone(), receipt.output));
        assert!(units.insert(receipt.unit), "a unit is paid once");
    }
    assert_eq!(units.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_end_with_the_job() {
    let relay = TestRelay::start().await;
    let job = submit_points(&relay.api, 2, |_| ()).await;
    let mut events = relay.api.get(&format!("/v1/jobs/{job}/events")).await.bytes_stream();
    let _worker = TestWorker::start(&relay.api, 1);
    let mut text = String::new();
    while let Some(part) = tokio::time::timeout(crate::common::PATIENCE, events.next()).await.unwrap() {
        text.push_str(std::str::from_utf8(&part.unwrap()).unwrap());
    }
    let statuses: Vec<JobStatus> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert!(statuses.len() >= 2, "{text}");
    assert_eq!(statuses.last().unwrap().state, JobState::Finished);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_each_paid() {
    let relay = TestRelay::start().await;
    let job = submit_points(&relay.api, 2, |document| document["scheduling"]["replicas"] = 2.into()).await;
    let _workers = [1, 2, 3].map(|seed| TestWorker::start(&relay.api, seed));
    let status = relay.api.finished(job).await;
    assert_eq!(status.workers.iter().map(|row| row.accepted_units).sum::<u64>(), 16);
    assert_eq!(status.workers.iter().map(|row| row.verified_ops).sum::<u64>(), 2 * status.verified_ops);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diverging_job_fails_by_name_and_the_relay_goes_on() {
    let relay = TestRelay::start().await;
    let _worker = TestWorker::start(&relay.api, 1);
    // Finite samples whose gradients are not.
    let mut huge = Tensors::new();
    huge.insert("x", shoal_compute::Tensor::f32([16, 3], (0..48).map(|i| (i % 5) as f32 * 1e30).collect()));
    huge.insert("y", shoal_compute::Tensor::i32([16], (0..16).map(|i| i % 2).collect()));
    let huge = relay.api.put_blob(huge.to_bytes()).await;
    let mut document = crate::common::document(huge, huge, 3);
    document["training"]["learning_rate"] = 1e6.into();
    let job = relay.api.submit(&document).await;
    let deadline = tokio::time::Instant::now() + crate::common::PATIENCE;
    let failure = loop {
        let status = relay.api.status(job).await;
        if status.state == JobState::Failed {
            break status.failure.unwrap();
        }
        assert!(tokio::time::Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(failure.contains("not finite"), "{failure}");
    let good = submit_points(&relay.api, 1, |_| ()).await;
    relay.api.finished(good).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_swarm_takes_only_who_knows_the_secret() {
    let relay = TestRelay::start_with(|config| config.private = true).await;
    let job = submit_points(&relay.api, 1, |_| ()).await;
    let secret = std::fs::read_to_string(relay.api.ready.join_secret_file.as_ref().unwrap()).unwrap();
    let secret: [u8; 32] = hex::decode(secret.trim()).unwrap().try_into().unwrap();
    let mut stranger = crate::common::peer::Peer::connect(&relay.api, 9).await;
    let (mut reader, mut writer) = stranger.open().await;
    stranger.send(&mut writer, &crate::common::peer::hello()).await;
    let refusal: shoal_wire::proto::Refusal = stranger.wait(&mut reader).await;
    assert_eq!(refusal.code(), shoal_wire::proto::RefusalCode::JoinProof);

    let _member = TestWorker::start_with(&relay.api, 1, |config| config.join_secret = Some(secret));
    relay.api.finished(job).await;
    relay.stop().await;
}
