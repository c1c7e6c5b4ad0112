//! A relay on free ports of loopback, real workers beside it, and small jobs for both.
#![allow(unreachable_pub)]

pub mod peer;
pub mod worker;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use shoal_compute::{Tensor, Tensors};
use shoal_relay::{
    config::{Config, ListenAddr},
    relay::Relay,
};
use shoal_wire::{
    api::{BlobCreated, JobCreated, JobState, JobStatus, RelayReady, WorkerRow},
    ids::{BlobId, JobId},
};

/// Longest any condition may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub fn config(data_dir: &Path) -> Config {
    let free = "127.0.0.1:0".parse().unwrap();
    Config {
        data_dir: data_dir.to_owned(),
        http_addr: free,
        tcp_addr: ListenAddr::On(free),
        webrtc_addr: ListenAddr::Off,
        quic_addr: ListenAddr::Off,
        ws_addr: ListenAddr::Off,
        rewards: false,
        ..Config::default()
    }
}

/// A relay in this process.
pub struct TestRelay {
    pub api: Api,
    pub dir: tempfile::TempDir,
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl TestRelay {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub async fn start_with(edit: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), edit).await
    }

    pub async fn start_in(dir: tempfile::TempDir, edit: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(dir.path());
        edit(&mut config);
        let relay = Relay::start(config).await.unwrap();
        let api = Api::new(relay.ready().clone());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(relay.run_until(async move {
            let _ = stopped.await;
        }));
        Self { api, dir, stop, task }
    }

    /// Stops it politely and gives its folder back.
    pub async fn stop(self) -> tempfile::TempDir {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        self.dir
    }
}

/// A consumer of a relay's HTTP side.
#[derive(Clone)]
pub struct Api {
    pub ready: RelayReady,
    pub client: reqwest::Client,
}

impl Api {
    pub fn new(ready: RelayReady) -> Self {
        Self { ready, client: reqwest::Client::new() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.ready.http)
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub async fn put_blob(&self, bytes: Vec<u8>) -> BlobId {
        let answer = self.client.put(self.url("/v1/blobs")).body(bytes).send().await.unwrap();
        answer.error_for_status().unwrap().json::<BlobCreated>().await.unwrap().id
    }

    pub async fn submit(&self, document: &Value) -> JobId {
        let answer = self.client.post(self.url("/v1/jobs")).json(document).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{text}");
        serde_json::from_str::<JobCreated>(&text).unwrap().id
    }

    pub async fn status(&self, job: JobId) -> JobStatus {
        self.get(&format!("/v1/jobs/{job}")).await.json().await.unwrap()
    }

    /// Waits until the job's status is as wanted.
    pub async fn wait(&self, job: JobId, wanted: impl Fn(&JobStatus) -> bool) -> JobStatus {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self.status(job).await;
            if wanted(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "{status:?}");
            assert!(!matches!(status.state, JobState::Failed), "{status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until so many workers have a session.
    pub async fn connected(&self, workers: usize) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let rows: Vec<WorkerRow> = self.get("/v1/workers").await.json().await.unwrap();
            if rows.iter().filter(|row| row.connected).count() >= workers {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{rows:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn finished(&self, job: JobId) -> JobStatus {
        self.wait(job, |status| status.state == JobState::Finished).await
    }
}

/// Two classes of points that a small net tells apart.
pub fn points(n: u32, seed: u32) -> Vec<u8> {
    let mut x = Vec::new();
    let mut y = Vec::new();
    for i in 0..n {
        let label = i % 2;
        let noise = |k: u32| ((i * 37 + k * 101 + seed) % 17) as f32 / 17.0 - 0.5;
        let centre = if label == 0 { -1.0 } else { 1.0 };
        x.extend([centre + noise(1), -centre + noise(2), noise(3)]);
        y.push(label as i32);
    }
    let mut tensors = Tensors::new();
    tensors.insert("x", Tensor::f32([n, 3], x));
    tensors.insert("y", Tensor::i32([n], y));
    tensors.to_bytes()
}

/// A job document over uploaded points.
pub fn document(train: BlobId, held_out: BlobId, rounds: u32) -> Value {
    json!({
        "name": "points",
        "model": {"input": [3], "layers": [{"op": "dense", "units": 8}, {"op": "relu"}, {"op": "dense", "units": 2}]},
        "data": {"train": train, "held_out": held_out},
        "training": {"rounds": rounds, "units_per_round": 4, "local_steps": 8, "batch": 8, "learning_rate": 0.1,
                     "momentum": 0.9, "gradient_batch": 16, "gradient_learning_rate": 0.1, "seed": 5},
        "scheduling": {"lease_ms": 20_000},
    })
}

/// Uploads points and submits a job on them.
pub async fn submit_points(api: &Api, rounds: u32, edit: impl Fn(&mut Value)) -> JobId {
    let (train, held_out) = (api.put_blob(points(64, 0)).await, api.put_blob(points(40, 7)).await);
    let mut document = document(train, held_out, rounds);
    edit(&mut document);
    api.submit(&document).await
}

/// Parameters of [`document`]'s model, all zero: an output of the right shape that is never right.
pub fn zeros() -> Vec<u8> {
    let any = BlobId([0; 32]);
    let model = serde_json::from_value(document(any, any, 1)["model"].clone()).unwrap();
    let parameters = shoal_graph::programs::parameters(&model).unwrap();
    parameters.into_iter().map(|p| (p.name, Tensor::zeros(p.shape))).collect::<Tensors>().to_bytes()
}
