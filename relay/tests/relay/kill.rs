//! The relay as a program: killed at any instant, a job ends with the model and the receipts of an undisturbed run.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::common::{Api, TestRelay, submit_points, worker::TestWorker};
use shoal_wire::{
    api::JobStatus,
    ids::{BlobId, JobId},
};

/// A relay process; killed when dropped.
struct Program {
    child: Child,
    api: Api,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts it on the ports it had before, so that workers find it again.
    async fn start(dir: &Path, before: Option<&Api>) -> Self {
        let tcp = before.map_or("127.0.0.1:0".to_owned(), |api| {
            let port = api.ready.join.addresses[0].split('/').nth(4).unwrap().to_owned();
            format!("127.0.0.1:{port}")
        });
        let http = before.map_or("127.0.0.1:0".to_owned(), |api| api.ready.http.replace("http://", ""));
        let ready = dir.join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let mut child = Command::new(env!("CARGO_BIN_EXE_shoal-relay"))
            .args(["--webrtc-addr", "off", "--quic-addr", "off", "--ws-addr", "off", "--tcp-addr", &tcp])
            .args(["--rewards", "false", "--log-filter", "warn"])
            .args(["--http-addr", &http, "--data-dir"])
            .arg(dir.join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = tokio::time::Instant::now() + crate::common::PATIENCE;
        let text = loop {
            if let Ok(text) = std::fs::read(&ready) {
                break text;
            }
            assert_eq!(child.try_wait().unwrap(), None, "the relay runs");
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Self { child, api: Api::new(serde_json::from_slice(&text).unwrap()) }
    }

    fn kill(mut self) -> Api {
        // SIGKILL on Unix: nothing of the program runs any more.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.api.clone()
    }

    async fn receipts(&self, job: JobId) -> BTreeMap<String, u64> {
        let rows: serde_json::Value = self.api.get(&format!("/v1/jobs/{job}/receipts")).await.json().await.unwrap();
        let rows = rows.as_array().unwrap();
        let units: BTreeMap<String, u64> = rows
            .iter()
            .map(|row| (row["unit"].as_str().unwrap().to_owned(), row["reference_ops"].as_u64().unwrap()))
            .collect();
        assert_eq!(units.len(), rows.len(), "no unit has two receipts");
        units
    }
}

/// Long enough to be killed in the middle, several times.
const ROUNDS: u32 = 8;

async fn outcome(program: &Program, status: &JobStatus) -> (Option<BlobId>, BTreeMap<String, u64>) {
    (status.model, program.receipts(status.id).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_and_double_nothing() {
    let undisturbed = {
        let dir = tempfile::tempdir().unwrap();
        let program = Program::start(dir.path(), None).await;
        let _worker = TestWorker::start(&program.api, 1);
        let job = submit_points(&program.api, ROUNDS, |_| ()).await;
        let status = program.api.finished(job).await;
        outcome(&program, &status).await
    };
    assert_eq!(undisturbed.1.len(), 4 * ROUNDS as usize);

    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), None).await;
    let job = submit_points(&program.api, ROUNDS, |_| ()).await;
    let _workers = [1, 2].map(|seed| TestWorker::start(&program.api, seed));
    for kill_at in [1_u32, 6, 13, 14, 25] {
        // Accepted units decide when to kill, so that the instants lie between the first and the last verdict.
        program.api.wait(job, |status| status.rounds_done * 4 + status.round_accepted >= kill_at).await;
        let api = program.kill();
        program = Program::start(dir.path(), Some(&api)).await;
    }
    let status = program.api.finished(job).await;
    assert_eq!(outcome(&program, &status).await, undisturbed);
}

/// Puts a finished one-round job back to the instant after its results were stored and before any was judged.
async fn forget_verdicts(data_dir: &Path, job: JobId) {
    let store = shoal_relay::store::Store::open(&data_dir.join("relay.sqlite")).await.unwrap();
    let initial = store.round_units(&job, 0).await.unwrap()[0].unit.parameters;
    store.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data_dir.join("relay.sqlite"));
    let database = sqlx::SqlitePool::connect_with(options).await.unwrap();
    for sql in ["DELETE FROM receipts", "DELETE FROM verdicts", "DELETE FROM checkpoints"] {
        sqlx::query(sql).execute(&database).await.unwrap();
    }
    sqlx::query("UPDATE units SET output = NULL, worker = NULL").execute(&database).await.unwrap();
    let sql = "UPDATE jobs SET state = 'running', rounds_done = 0, held_out_accuracy = NULL, parameters = ?";
    sqlx::query(sql).bind(&initial.0[..]).execute(&database).await.unwrap();
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_stored_before_a_kill_are_judged_after_it_without_any_worker() {
    let relay = TestRelay::start().await;
    let worker = TestWorker::start(&relay.api, 1);
    let job = submit_points(&relay.api, 1, |_| ()).await;
    let before = relay.api.finished(job).await;
    drop(worker);
    let dir = relay.stop().await;
    forget_verdicts(dir.path(), job).await;
    let relay = TestRelay::start_in(dir, |_| ()).await;
    let after = relay.api.finished(job).await;
    assert_eq!((after.model, after.verified_ops), (before.model, before.verified_ops));
    assert_eq!(after.workers[0].accepted_units, 4);
    // The worker did not get these receipts; they are waiting for it.
    let mut peer = crate::common::peer::Peer::connect(&relay.api, 1).await;
    let (mut reader, _writer) = peer.join().await;
    for _ in 0..4 {
        let _: shoal_wire::proto::Receipt = peer.wait(&mut reader).await;
    }
    relay.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_polite_signal_ends_it_with_success() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Program::start(dir.path(), None).await;
    let mut peer = crate::common::peer::Peer::connect(&program.api, 4).await;
    let (mut reader, _writer) = peer.join().await;
    let pid = program.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let refusal: shoal_wire::proto::Refusal = peer.wait(&mut reader).await;
    assert_eq!(refusal.code(), shoal_wire::proto::RefusalCode::ShuttingDown);
    let deadline = tokio::time::Instant::now() + crate::common::PATIENCE;
    let status = loop {
        if let Some(status) = program.child.try_wait().unwrap() {
            break status;
        }
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}");
}

#[test]
fn config_explain_names_each_source() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relay.toml");
    std::fs::write(&file, "network = 'filed'\n").unwrap();
    let explain = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_shoal-relay"))
            .args(["config", "explain", "--config"])
            .arg(&file)
            .args(args)
            .env("SHOAL_RELAY_VALIDATORS", "3")
            .output()
            .unwrap()
    };
    let text = String::from_utf8(explain(&["--epoch-seconds", "5"]).stdout).unwrap();
    let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("network").ends_with(&format!("= filed  (file {})", file.display())), "{text}");
    assert!(line("validators").ends_with("= 3  (environment SHOAL_RELAY_VALIDATORS)"), "{text}");
    assert!(line("epoch_seconds").ends_with("= 5  (flag --epoch-seconds)"), "{text}");
    assert!(line("private").ends_with("= false  (default)"), "{text}");
    std::fs::write(&file, "netwrok = 'filed'\n").unwrap();
    let refused = explain(&[]);
    assert!(!refused.status.success() && String::from_utf8(refused.stderr).unwrap().contains("netwrok"));
}
