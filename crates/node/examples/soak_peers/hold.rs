//! `hold`: connections of all kinds that stand until they are told to leave, or until the process is killed.

use std::{collections::BTreeMap, error::Error, rc::Rc};

use futures::FutureExt as _;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::{arguments::Arguments, cast::Part, lines, peer, say};

/// What a peer has to tell.
enum News {
    Standing(Part),
    Failed(Part, String),
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let arguments = Rc::new(arguments);
    let (leave, leaving) = watch::channel(false);
    let (news, mut arriving) = mpsc::unbounded_channel();
    let mut peers = Vec::new();
    for number in 0..arguments.peers {
        let mut part = Part::of(arguments.seed, number);
        part.act = arguments.act.unwrap_or(part.act);
        let (arguments, news, mut leaving) = (arguments.clone(), news.clone(), leaving.clone());
        let pace = part.way.pace();
        peers.push(tokio::task::spawn_local(async move {
            // An error means that the program has ended.
            let leave = async move { leaving.wait_for(|leave| *leave).map(drop).await };
            let stands = || {
                let _ = news.send(News::Standing(part));
            };
            if let Err(reason) = peer::play(&arguments, part, stands, leave).await {
                let _ = news.send(News::Failed(part, reason));
            }
        }));
        tokio::time::sleep(pace).await;
    }
    drop(news);
    let mut settled = 0;
    let mut standing: BTreeMap<String, u64> = BTreeMap::new();
    let mut lines = lines();
    let mut told = false;
    loop {
        if settled == arguments.peers && !told {
            told = true;
            say(&json!({"event": "ready", "standing": standing}));
        }
        tokio::select! {
            news = arriving.recv() => match news {
                Some(News::Standing(part)) => {
                    settled += 1;
                    *standing.entry(format!("{}, {}", part.way.name(), part.act.name())).or_default() += 1;
                }
                Some(News::Failed(part, reason)) => {
                    // One that stood and fell is counted once more, and by then nobody counts.
                    settled += 1;
                    say(&json!({"event": "failed", "way": part.way.name(), "act": part.act.name(), "reason": reason}));
                }
                None => break,
            },
            // The end of the input is the conductor's.
            _ = lines.recv() => break,
        }
    }
    leave.send_replace(true);
    futures::future::join_all(peers).await;
    say(&json!({"event": "gone"}));
    Ok(())
}
