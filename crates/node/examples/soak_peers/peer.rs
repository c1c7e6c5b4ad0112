//! One peer: a worker's visit to the relay, and what it does there.

use std::{rc::Rc, time::Duration};

use futures::io::{ReadHalf, WriteHalf};
use libp2p::{StreamProtocol, swarm::Stream};
use prost::Message as _;
use shoal_compute::CpuBackend;
use shoal_node::{
    Devices, HttpClient, TokioPlatform, Visit, Worker, WorkerConfig,
    limits::{FETCH_RETRY, MAX_FRUITLESS_ATTEMPTS},
};
use shoal_transport::framed::{FrameReader, FrameWriter, framed};
use shoal_wire::{
    ids::BlobId,
    limits::INITIAL_BLOB_CREDIT,
    proto::{BlobReply, BlobRequest, blob_reply::Reply},
    version::BLOB_PROTOCOL,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    arguments::Arguments,
    cast::{Act, Part},
};

pub(crate) type Native = Worker<TokioPlatform, CpuBackend>;
pub(crate) type Visited<'a> = Visit<'a, TokioPlatform, CpuBackend>;

/// Longest blob of the soak, bytes.
pub(crate) const MAX_BLOB: u64 = 64 * 1024 * 1024;

/// Streams of a peer in the middle of blobs: what an honest worker has.
const STREAMS: usize = 4;

/// Granted to each stream by a peer that reads nothing: below what a webrtc stream may hold unread, so that it stands.
const DEAF_CREDIT: u64 = 1024 * 1024;

/// The slowest limit that a volunteer can set, bytes/s.
const TRICKLE_RATE: u64 = 4 * 1024;

/// A handshake over loopback takes a few milliseconds to some tens.
const MAX_CUT: Duration = Duration::from_millis(30);

/// A worker that keeps nothing of what it fetches.
pub(crate) fn worker(arguments: &Arguments, part: &Part, http: Option<&Rc<dyn HttpClient>>) -> Result<Native, String> {
    let address = part.way.address(&arguments.relay)?;
    let mut config = WorkerConfig::new(part.key, vec![address]);
    config.network.clone_from(&arguments.network);
    config.agent = "shoal-soak".to_owned();
    config.cache_bytes = 0;
    config.max_down = (part.act == Act::Trickle).then_some(TRICKLE_RATE);
    config.loopback_sources = arguments.sources;
    let transport = part.way.transport(&Native::keypair(&part.key))?;
    let made = Worker::new(config, TokioPlatform::new(), transport, Devices::cpu(), |_| ());
    let (worker, _) = made.map_err(|error| error.to_string())?;
    Ok(match http {
        Some(http) => worker.with_http(http.clone()),
        None => worker,
    })
}

/// Plays its part. `standing` is called when it has got where the part leads; the part ends when `leave` does.
pub(crate) async fn play(
    arguments: &Arguments,
    part: Part,
    standing: impl FnOnce(),
    leave: impl Future<Output = ()>,
) -> Result<(), String> {
    let address = part.way.address(&arguments.relay)?;
    match part.act {
        Act::Stalled if let Some(socket) = part.way.tcp_socket(&address) => {
            let mut socket = TcpStream::connect(socket).await.map_err(|error| error.to_string())?;
            let beginning: &[u8] = if part.dice.is_multiple_of(2) { b"GET / HTTP/1.1\r\nUpgr" } else { b"\x13/multi" };
            socket.write_all(beginning).await.map_err(|error| error.to_string())?;
            standing();
            leave.await;
            Ok(())
        }
        // There is no connection to stall halfway over UDP but a handshake.
        Act::Cut | Act::Stalled => {
            let after = MAX_CUT.mul_f64(f64::from(part.dice) / 255.0);
            part.way.cut(&Native::keypair(&part.key), address, after).await?;
            standing();
            Ok(())
        }
        Act::Idle | Act::NoCredit | Act::Deaf | Act::Trickle => {
            let worker = worker(arguments, &part, None)?;
            let stay = async |visit: Visited<'_>| {
                tokio::select! {
                    ended = stay(&visit, part.act, arguments.blob, standing) => ended,
                    () = leave => Ok(()),
                }
            };
            worker.visit(stay).await.map_err(|error| error.to_string())?
        }
    }
}

/// Does it until it is dropped; returns only when something is wrong.
async fn stay(visit: &Visited<'_>, act: Act, blob: Option<BlobId>, standing: impl FnOnce()) -> Result<(), String> {
    let blob = || blob.ok_or("no blob to be in the middle of");
    let mut held = Vec::new();
    match act {
        Act::NoCredit | Act::Deaf => {
            for _ in 0..STREAMS {
                held.push(begin_again(visit, blob()?, act).await?);
            }
        }
        Act::Trickle => {
            standing();
            let fetched = visit.fetch(blob()?, MAX_BLOB).await;
            return Err(
                fetched.map_or_else(|error| error.to_string(), |_| "a trickle brought the whole blob".to_owned())
            );
        }
        Act::Idle | Act::Cut | Act::Stalled => {}
    }
    standing();
    std::future::pending().await
}

type Halves = (FrameReader<ReadHalf<Stream>>, FrameWriter<WriteHalf<Stream>>);

/// Tries a few times, as workers do: a relay drops blob streams until its engine has heard of the session, which may be after
/// the welcome.
async fn begin_again(visit: &Visited<'_>, blob: BlobId, act: Act) -> Result<Halves, String> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match begin(visit, blob, act).await {
            Err(_) if attempt < MAX_FRUITLESS_ATTEMPTS => tokio::time::sleep(FETCH_RETRY * attempt).await,
            begun => return begun,
        }
    }
}

/// Asks for a blob and reads its beginning.
async fn begin(visit: &Visited<'_>, blob: BlobId, act: Act) -> Result<Halves, String> {
    let stream = visit.control().open_stream(visit.relay(), StreamProtocol::new(BLOB_PROTOCOL)).await;
    let (mut reader, mut writer) = framed(stream.map_err(|error| error.to_string())?);
    let credit = if act == Act::Deaf { DEAF_CREDIT } else { INITIAL_BLOB_CREDIT };
    let request = BlobRequest { id: blob.0.to_vec(), credit, ..BlobRequest::default() };
    writer.send(&request.encode_to_vec()).await.map_err(|error| error.to_string())?;
    // Even the deaf wait for the header: it says that they were understood.
    let expected: &[&str] = if act == Act::Deaf { &["header"] } else { &["header", "chunk"] };
    for expected in expected {
        let frame = reader.next().await.map_err(|error| error.to_string())?;
        let frame = frame.ok_or_else(|| format!("no {expected}: the stream ended"))?;
        match (*expected, BlobReply::decode(frame.as_slice()).map_err(|error| error.to_string())?.reply) {
            ("header", Some(Reply::Header(_))) | ("chunk", Some(Reply::Chunk(_))) => {}
            (_, reply) => return Err(format!("no {expected} but {reply:?}")),
        }
    }
    Ok((reader, writer))
}
