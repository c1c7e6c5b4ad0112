//! `crowd`: peers with sessions that fetch when they are told to, all at once.
//!
//! A round is `fetch BLOB LEN` or `fetch BLOB LEN SMALL SMALL_LEN`: everybody fetches the blob, and then the small one, whose
//! time is what somebody waits who comes while others are being served.

use std::{error::Error, rc::Rc, time::Instant};

use serde_json::json;
use shoal_node::{HttpClient, NativeHttp, Reach};
use shoal_wire::ids::BlobId;
use tokio::sync::{mpsc, watch};

use crate::{
    arguments::Arguments,
    cast::{Act, Part},
    lines,
    peer::{self, Visited},
    say,
};

/// What everybody fetches, and its length in bytes.
type Wanted = (BlobId, u64);

#[derive(Clone, Debug)]
struct Round {
    number: u64,
    blob: Option<Wanted>,
    small: Option<Wanted>,
}

/// What a peer has to tell.
enum News {
    Joined,
    Fetched { seconds: f64, small_seconds: Option<f64> },
    Failed(String),
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let arguments = Rc::new(arguments);
    let http: Option<Rc<dyn HttpClient>> =
        if arguments.sources { Some(Rc::new(NativeHttp::new(Reach::Anywhere)?)) } else { None };
    let (rounds, round) = watch::channel(Some(Round { number: 0, blob: None, small: None }));
    let (news, mut arriving) = mpsc::unbounded_channel();
    let mut peers = Vec::new();
    for number in 0..arguments.peers {
        let part = Part { act: Act::Idle, ..Part::of(arguments.seed, number) };
        let (arguments, http, round, news) = (arguments.clone(), http.clone(), round.clone(), news.clone());
        peers.push(tokio::task::spawn_local(async move {
            if let Err(reason) = member(&arguments, part, http.as_ref(), round, &news).await {
                let _ = news.send(News::Failed(format!("{}: {reason}", part.way.name())));
            }
        }));
        tokio::time::sleep(part.way.pace()).await;
    }
    let mut failed = gather(&mut arriving, arguments.peers).await.failed;
    say(&json!({"event": "ready", "failed": failed}));
    let mut lines = lines();
    let mut number = 0;
    while let Some(line) = lines.recv().await {
        number += 1;
        let Some(next) = parse(&line, number)? else { break };
        let start = Instant::now();
        rounds.send_replace(Some(next));
        let gathered = gather(&mut arriving, arguments.peers - failed.len() as u64).await;
        failed.extend(gathered.failed.clone());
        say(&json!({
            "event": "fetched", "wall_s": start.elapsed().as_secs_f64(), "failed": gathered.failed,
            "seconds": gathered.seconds, "small_seconds": gathered.small_seconds,
        }));
    }
    rounds.send_replace(None);
    futures::future::join_all(peers).await;
    say(&json!({"event": "gone"}));
    Ok(())
}

/// The round that a line asks for; `None` is the end.
fn parse(line: &str, number: u64) -> Result<Option<Round>, Box<dyn Error>> {
    let words: Vec<&str> = line.split(' ').collect();
    let (blob, small) = match words[..] {
        ["fetch", blob, len] => ((blob.parse()?, len.parse()?), None),
        ["fetch", blob, len, small, small_len] => {
            ((blob.parse()?, len.parse()?), Some((small.parse()?, small_len.parse()?)))
        }
        ["leave"] => return Ok(None),
        _ => return Err(format!("unknown: {line}").into()),
    };
    Ok(Some(Round { number, blob: Some(blob), small }))
}

/// One peer, from its hello to the end.
async fn member(
    arguments: &Arguments,
    part: Part,
    http: Option<&Rc<dyn HttpClient>>,
    mut rounds: watch::Receiver<Option<Round>>,
    news: &mpsc::UnboundedSender<News>,
) -> Result<(), String> {
    let worker = peer::worker(arguments, &part, http)?;
    let stay = async |visit: Visited<'_>| {
        let _ = news.send(News::Joined);
        let mut done = 0;
        loop {
            let next = rounds.wait_for(|round| round.as_ref().is_none_or(|round| round.number > done)).await;
            let Ok(Some(round)) = next.map(|round| round.clone()) else { return Ok(()) };
            done = round.number;
            let seconds = timed(&visit, round.blob).await?.ok_or("a round without a blob")?;
            let small_seconds = timed(&visit, round.small).await?;
            let _ = news.send(News::Fetched { seconds, small_seconds });
        }
    };
    worker.visit(stay).await.map_err(|error| error.to_string())?
}

async fn timed(visit: &Visited<'_>, wanted: Option<Wanted>) -> Result<Option<f64>, String> {
    let Some((blob, len)) = wanted else { return Ok(None) };
    let start = Instant::now();
    let bytes = visit.fetch(blob, len).await.map_err(|error| error.to_string())?;
    if bytes.len() as u64 == len {
        Ok(Some(start.elapsed().as_secs_f64()))
    } else {
        Err(format!("{} bytes", bytes.len()))
    }
}

#[derive(Default)]
struct Gathered {
    seconds: Vec<f64>,
    small_seconds: Vec<f64>,
    failed: Vec<String>,
}

/// One word of each of so many peers.
async fn gather(arriving: &mut mpsc::UnboundedReceiver<News>, peers: u64) -> Gathered {
    let mut gathered = Gathered::default();
    for _ in 0..peers {
        match arriving.recv().await {
            Some(News::Joined) => {}
            Some(News::Fetched { seconds, small_seconds }) => {
                gathered.seconds.push(seconds);
                gathered.small_seconds.extend(small_seconds);
            }
            Some(News::Failed(reason)) => gathered.failed.push(reason),
            None => break,
        }
    }
    gathered
}
