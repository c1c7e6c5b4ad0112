//! The two ends whose throughput `cargo xtask bench transport` measures. `tests/src/bench/transport` drives them.
//!
//! Natively it is a program with three roles: `relay`, our listener; `websocket`, a plain WebSocket server to compare with;
//! `proxy`, the paths that are long and lossy. Each says on its standard output where it listens and ends with its standard
//! input. For WebAssembly it is a module for a dedicated worker: the tab's end of our transport.
#![cfg_attr(target_arch = "wasm32", allow(missing_docs))]

mod protocol;
mod transfers;

#[cfg(not(target_arch = "wasm32"))]
mod paths;
#[cfg(not(target_arch = "wasm32"))]
mod relay;
#[cfg(target_arch = "wasm32")]
pub mod tab;
#[cfg(not(target_arch = "wasm32"))]
mod websocket;

#[cfg(not(target_arch = "wasm32"))]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["relay"] => until_input_ends(relay::run()).await,
        ["websocket"] => until_input_ends(websocket::run()).await,
        ["proxy", seed, round_trip_ms, loss_per_mille, mbit_s] => {
            let round_trip = std::time::Duration::from_millis(round_trip_ms.parse()?);
            let mut conditions = shoal_netem::Conditions::new(round_trip, loss_per_mille.parse()?);
            conditions.rate = Some(mbit_s.parse::<u64>()? * 1_000_000 / 8).filter(|rate| *rate > 0);
            paths::run(conditions, seed.parse()?).await
        }
        _ => {
            let roles = "bench_transport relay | websocket | proxy SEED ROUND_TRIP_MS LOSS_PER_MILLE MBIT_S";
            Err(format!("usage: {roles}; `cargo xtask bench transport` runs it").into())
        }
    }
}

/// Whoever started the program may be killed without a chance to end it; its end of the pipe then closes.
#[cfg(not(target_arch = "wasm32"))]
async fn until_input_ends(
    role: impl Future<Output = Result<(), Box<dyn std::error::Error>>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut lines = input_lines();
    tokio::select! {
        ended = role => ended,
        _ = lines.recv() => Ok(()),
    }
}

/// The lines of standard input, read by a thread that the program does not wait for.
#[cfg(not(target_arch = "wasm32"))]
fn input_lines() -> tokio::sync::mpsc::Receiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(target_arch = "wasm32")]
fn main() {}
