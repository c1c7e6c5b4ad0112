//! The peers of the soak (`cargo xtask soak`): many workers' ends in one process, told what to do line by line.
//!
//! - `hold` makes connections of many kinds, in an order that the seed decides, and holds them: some are handshakes given up
//!   halfway, some are in the middle of a blob. It leaves politely when it is told to; to leave rudely it is killed.
//! - `crowd` keeps peers with sessions that all fetch a blob when they are told to, and says how long each took.
//!
//! It writes one JSON object a line. Sessions and fetching are the worker's own ([`shoal_node::Visit`]); nothing is computed.

mod arguments;
mod cast;
mod crowd;
mod hold;
mod peer;
mod way;

use std::error::Error;

use arguments::{Arguments, Mode};

/// Peers are futures of one thread, as workers are; their connections are tasks of all.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    let local = tokio::task::LocalSet::new();
    match arguments.mode {
        Mode::Hold => local.run_until(hold::run(arguments)).await,
        Mode::Crowd => local.run_until(crowd::run(arguments)).await,
    }
}

/// Tells the conductor something.
fn say(line: &serde_json::Value) {
    println!("{line}");
}

/// What the conductor tells, line by line. The input is read by a thread of its own, because reading it blocks.
fn lines() -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if line.is_ok_and(|line| sender.send(line).is_ok()) {
                continue;
            }
            break;
        }
    });
    receiver
}
