//! Map jobs: rows in, outputs out, in order and bit for bit what one machine computes, whatever workers and the relay do.

use crate::common::{
    Api, TestRelay,
    peer::{Peer, Reader, Writer},
    worker::TestWorker,
};
use serde_json::{Value, json};
use shoal_compute::{
    CpuBackend, Tensor, Tensors,
    init::initial_parameters,
    program::{Budget, run_unit_on_cpu},
    vectors::model,
};
use shoal_graph::programs;
use shoal_wire::{
    api::{JobState, MapOutput, RowProgress},
    commitment::commitment,
    ids::{BlobId, JobId, LeaseId},
    proto::{Commit, CommitAck, Lease, LeaseRequest, Outcome, Rejection, Result as WorkResult, WorkReport},
    unit::CheckedUnit,
};

/// Rows of one run of each graph, and which parameters it has. Two share their graph, two their parameters.
const GRAPHS: [(u32, usize); 3] = [(8, 0), (3, 1), (8, 1)];

/// Rows of each shard, and its graph; none is a multiple of the batch.
const SHARDS: [(u32, usize); 6] = [(20, 0), (20, 1), (20, 2), (20, 0), (20, 1), (3, 2)];

struct MapJob {
    graphs: Vec<Vec<u8>>,
    parameters: [Vec<u8>; 2],
    shards: Vec<Vec<u8>>,
}

impl MapJob {
    fn new() -> Self {
        let graph = |(batch, _)| programs::inference(&model(), batch).unwrap().bytes().to_vec();
        let parameters = [3, 4].map(|seed| initial_parameters(&model(), [seed; 32]).unwrap().to_bytes());
        let shard = |(index, (rows, _)): (usize, &(u32, usize))| {
            let values = (0..rows * 64).map(|i| ((i * 31 + index as u32 * 977) % 257) as f32 / 257.0 - 0.5);
            let mut tensors = Tensors::new();
            tensors.insert("x", Tensor::f32([*rows, 1, 8, 8], values.collect()));
            tensors.to_bytes()
        };
        Self { graphs: GRAPHS.map(graph).to_vec(), parameters, shards: SHARDS.iter().enumerate().map(shard).collect() }
    }

    /// The logits of all rows, one run of the graph a row.
    fn direct(&self) -> Vec<f32> {
        let graph = programs::inference(&model(), 1).unwrap();
        let mut backend = CpuBackend::new();
        let mut logits = Vec::new();
        for (shard, (_, graph_index)) in self.shards.iter().zip(SHARDS) {
            let shard = Tensors::from_bytes(shard).unwrap();
            let parameters = Tensors::from_bytes(&self.parameters[GRAPHS[graph_index].1]).unwrap();
            for row in shard.get("x").unwrap().as_f32().unwrap().chunks(64) {
                let mut inputs = parameters.clone();
                inputs.insert("x", Tensor::f32([1, 1, 8, 8], row.to_vec()));
                let made = backend.run_now(&graph, inputs).unwrap();
                logits.extend_from_slice(made.get("logits").unwrap().as_f32().unwrap());
            }
        }
        logits
    }

    async fn document(&self, api: &Api) -> Value {
        let mut shards = Vec::new();
        for (bytes, (rows, graph)) in self.shards.iter().zip(SHARDS) {
            shards.push(json!({"blob": api.put_blob(bytes.clone()).await, "rows": rows, "graph": graph}));
        }
        let mut graphs = Vec::new();
        for (graph, (batch, parameters)) in self.graphs.iter().zip(GRAPHS) {
            let (graph, parameters) = (graph.clone(), self.parameters[parameters].clone());
            let (graph, parameters) = (api.put_blob(graph).await, api.put_blob(parameters).await);
            graphs.push(json!({"graph": graph, "parameters": parameters, "batch": batch}));
        }
        json!({"kind": "map", "name": "rows", "graphs": graphs, "shards": shards, "scheduling": {"lease_ms": 20_000}})
    }

    /// The output of a shard and its unit, computed here.
    fn right(&self, unit: &CheckedUnit) -> Vec<u8> {
        let plenty = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };
        let index = unit.message.index as usize;
        let graph = SHARDS[index].1;
        let parameters = &self.parameters[GRAPHS[graph].1];
        run_unit_on_cpu(unit, &self.graphs[graph], parameters, &self.shards[index], &plenty).unwrap()
    }
}

async fn outputs(api: &Api, job: JobId) -> Vec<MapOutput> {
    api.get(&format!("/v1/jobs/{job}/outputs")).await.json().await.unwrap()
}

/// All logits as the relay has them, in the order of its list.
async fn fetched(api: &Api, job: JobId) -> Vec<f32> {
    let mut logits = Vec::new();
    for (shard, output) in outputs(api, job).await.into_iter().enumerate() {
        assert_eq!((output.shard as usize, output.rows), (shard, SHARDS[shard].0));
        let bytes = api.get(&format!("/v1/blobs/{}", output.blob)).await.bytes().await.unwrap();
        let tensors = Tensors::from_bytes(&bytes).unwrap();
        assert_eq!(tensors.get("logits").unwrap().shape(), [output.rows, 10]);
        logits.extend_from_slice(tensors.get("logits").unwrap().as_f32().unwrap());
    }
    logits
}

async fn lease(peer: &Peer, reader: &mut Reader, writer: &mut Writer) -> (Lease, CheckedUnit) {
    peer.send(writer, &LeaseRequest { max_units: 1 }).await;
    let lease: Lease = peer.wait(reader).await;
    let unit = CheckedUnit::decode(&lease.unit).unwrap();
    (lease, unit)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_job_gives_every_row_once_in_order_whatever_workers_do() {
    let relay = TestRelay::start().await;
    let api = &relay.api;
    let map = MapJob::new();
    let job = api.submit(&map.document(api).await).await;
    assert_eq!(api.status(job).await.rows, Some(RowProgress { done: 0, total: 103 }));
    assert!(outputs(api, job).await.is_empty());

    // One vanishes in the middle of its shard.
    let mut vanished = Peer::connect(api, 65).await;
    let (mut reader, mut writer) = vanished.join().await;
    let (_, left_behind) = lease(&vanished, &mut reader, &mut writer).await;
    drop((reader, writer, vanished));

    // One gives a right output with one number changed.
    let mut cheat = Peer::connect(api, 66).await;
    let (mut reader, mut writer) = cheat.join().await;
    let (leased, unit) = lease(&cheat, &mut reader, &mut writer).await;
    let mut wrong = map.right(&unit);
    *wrong.last_mut().unwrap() ^= 1;
    let (output, output_len) = (BlobId::of(&wrong), wrong.len() as u64);
    cheat.serve(vec![wrong]);
    let id = LeaseId::try_from(&leased.lease).unwrap();
    let commitment = commitment(&cheat.key.node_id(), &id, &output).to_vec();
    cheat.send(&mut writer, &Commit { lease: leased.lease.clone(), commitment }).await;
    let _: CommitAck = cheat.wait(&mut reader).await;
    let report = Some(WorkReport::default());
    cheat.send(&mut writer, &WorkResult { lease: leased.lease, output: output.to_vec(), output_len, report }).await;
    let rejection: Rejection = cheat.wait(&mut reader).await;
    assert_eq!(rejection.outcome(), Outcome::WrongResult);

    let _workers = [1, 2].map(|seed| TestWorker::start(api, seed));
    let status = api.finished(job).await;
    assert_eq!((status.rounds_done, status.round_accepted, status.units_per_round), (1, 6, 6));
    assert_eq!(status.rows, Some(RowProgress { done: 103, total: 103 }));
    assert_eq!(status.model, None);
    assert_eq!(status.workers.iter().map(|row| row.accepted_units).sum::<u64>(), 6);
    assert_eq!(status.workers.iter().map(|row| row.rejected_units).sum::<u64>(), 1);
    assert!(left_behind.message.index < 6);
    assert_eq!(fetched(api, job).await, map.direct());
    assert_eq!(api.get(&format!("/v1/jobs/{job}/model")).await.status(), 404);
    let metrics = api.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("shoal_relay_map_rows_total 103"), "{metrics}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_restarts_keeps_what_was_accepted_and_goes_on() {
    let relay = TestRelay::start().await;
    let map = MapJob::new();
    let job = relay.api.submit(&map.document(&relay.api).await).await;
    // Two shards by a peer that then leaves, so that the job is in the middle when the relay stops.
    let mut peer = Peer::connect(&relay.api, 7).await;
    let (mut reader, mut writer) = peer.join().await;
    let mut leased = Vec::new();
    for _ in 0..2 {
        leased.push(lease(&peer, &mut reader, &mut writer).await);
    }
    peer.serve(leased.iter().map(|(_, unit)| map.right(unit)).collect());
    for (lease, unit) in leased {
        let right = map.right(&unit);
        let (output, output_len) = (BlobId::of(&right), right.len() as u64);
        let id = LeaseId::try_from(&lease.lease).unwrap();
        let commitment = commitment(&peer.key.node_id(), &id, &output).to_vec();
        peer.send(&mut writer, &Commit { lease: lease.lease.clone(), commitment }).await;
        let _: CommitAck = peer.wait(&mut reader).await;
        let report = Some(WorkReport::default());
        peer.send(&mut writer, &WorkResult { lease: lease.lease, output: output.to_vec(), output_len, report }).await;
        let _: shoal_wire::proto::Receipt = peer.wait(&mut reader).await;
    }
    let before = outputs(&relay.api, job).await;
    assert_eq!(before.len(), 2);
    drop((reader, writer, peer));

    let relay = TestRelay::start_in(relay.stop().await, |_| ()).await;
    assert_eq!(outputs(&relay.api, job).await, before);
    let worker = TestWorker::start(&relay.api, 1);
    let status = relay.api.finished(job).await;
    let row = status.workers.iter().find(|row| row.node == worker.node).unwrap();
    assert_eq!(row.accepted_units, 4, "accepted shards are not computed again");
    assert_eq!(fetched(&relay.api, job).await, map.direct());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_job_that_cannot_run_is_refused_with_its_reason() {
    let relay = TestRelay::start().await;
    let map = MapJob::new();
    let good = map.document(&relay.api).await;
    for (edit, reason) in [
        ((|d| d["graphs"][2]["batch"] = 4.into()) as fn(&mut Value), "graphs[2].parameters: "),
        (|d| d["shards"][1]["rows"] = 19.into(), "shards[1]: tensor \"x\" is F32 [20, 1, 8, 8]"),
        (|d| d["graphs"][1]["graph"] = d["graphs"][1]["parameters"].clone(), "graphs[1].graph: "),
        (|d| d["graphs"][0]["parameters"] = d["shards"][0]["blob"].clone(), "graphs[0].parameters: "),
        (|d| d["graphs"][1]["parameters"] = "11".repeat(32).into(), "graphs[1].parameters names blob 1111"),
        (|d| d["shards"][4]["blob"] = "11".repeat(32).into(), "shards[4].blob names blob 1111"),
        (|d| d["shards"][4]["graph"] = 3.into(), "shards[4].graph is 3, allowed is 0 to 2"),
        (|d| d["kind"] = "reduce".into(), "unknown variant `reduce`"),
    ] {
        let mut document = good.clone();
        edit(&mut document);
        let answer = relay.api.client.post(relay.api.url("/v1/jobs")).json(&document).send().await.unwrap();
        assert!(answer.status().is_client_error());
        let text = answer.text().await.unwrap();
        assert!(text.replace("\\\"", "\"").contains(reason), "{reason}: {text}");
    }
    let training = crate::common::submit_points(&relay.api, 1, |_| ()).await;
    assert_eq!(relay.api.get(&format!("/v1/jobs/{training}/outputs")).await.status(), 409);
    assert_eq!(relay.api.status(training).await.state, JobState::Running);
    relay.stop().await;
}
