//! One worker's session: a task that reads its frames, checks them, and hands them to the engine; and writes what the
//! engine sends. Anything malformed ends the session with a refusal that names what was wrong; the relay goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    AsyncRead, AsyncWrite, StreamExt as _,
    io::{ReadHalf, WriteHalf},
};
use libp2p::{PeerId, swarm::Stream};
use shoal_mesh::limits::MAX_LEASES_PER_WORKER;
use shoal_transport::streams::IncomingStreams;
use shoal_transport::{
    framed::{FrameReader, FrameWriter, FramedError, framed},
    peer::node_id,
};
use shoal_wire::{
    envelope::{EnvelopeError, Verified},
    ids::{BlobId, LeaseId, NodeId},
    limits::{MAX_LEASES_PER_REQUEST, MAX_REASON_LEN},
    proto::{self, MessageType, Refusal, RefusalCode, Welcome},
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

use super::{
    AGENT,
    handshake::{Membership, Refused, hello, names_signer, strikes},
};
use crate::{
    context::Context,
    engine::{Command, EngineHandle, Outgoing, SessionEnd, SessionId, SessionStart, WorkerMessage},
};

/// Time for the first message: the stream is open, so the worker is there.
const HELLO_TIMEOUT: Duration = Duration::from_secs(15);

/// Sessions being written to the store at once: a crowd of newcomers, or one peer that begins again and again, must
/// not stand between the engine and the only writer.
const MAX_OPENING: usize = 16;

/// Time for one message to be taken by the link.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time between a refusal and the end of the connection: a socket closed at once may take the refusal with it, and a peer
/// that understands it leaves by itself.
const FAREWELL: Duration = Duration::from_secs(1);

/// Messages queued towards one worker: leases, acknowledgements and answers for all that it may hold, several times.
const OUTGOING_QUEUE: usize = 8 * MAX_LEASES_PER_WORKER as usize;

/// Takes work streams for ever.
pub(super) async fn accept(
    mut incoming: IncomingStreams,
    context: Arc<Context>,
    engine: EngineHandle,
    membership: Arc<Membership>,
    closing: mpsc::Sender<PeerId>,
) {
    let next = AtomicU64::new(0);
    let opening = Arc::new(Semaphore::new(MAX_OPENING));
    while let Some((peer, stream)) = incoming.next().await {
        let Ok(worker) = node_id(&peer) else {
            tracing::debug!(%peer, "a peer without an Ed25519 key");
            let _ = closing.try_send(peer);
            continue;
        };
        let session = SessionId(next.fetch_add(1, Ordering::Relaxed));
        let (context, engine) = (context.clone(), engine.clone());
        let (membership, closing, opening) = (membership.clone(), closing.clone(), opening.clone());
        tokio::spawn(async move {
            let task = SessionTask { context, engine, membership, opening, session, worker, peer };
            if let Err(end) = task.run(stream).await {
                tracing::debug!(worker = %worker.short(), %end, "session ended");
                if end.is_fault() {
                    tokio::time::sleep(FAREWELL).await;
                    // A full queue means that many are being closed; the stream is gone in any case.
                    let _ = closing.try_send(peer);
                }
            }
        });
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Framed(#[from] FramedError),
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("the worker takes no more messages")]
    Slow,
    #[error("the store failed: {0}")]
    Store(#[from] crate::store::StoreError),
    #[error(transparent)]
    Stopped(#[from] crate::engine::EngineStopped),
    #[error("replaced or refused by the engine")]
    Dropped,
}

impl End {
    /// Whether the peer broke the protocol, so that its connection is closed as well.
    fn is_fault(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Framed(FramedError::Frame(_)))
    }
}

struct SessionTask {
    context: Arc<Context>,
    engine: EngineHandle,
    membership: Arc<Membership>,
    opening: Arc<Semaphore>,
    session: SessionId,
    worker: NodeId,
    peer: PeerId,
}

type Reader<S> = FrameReader<ReadHalf<S>>;
type Writer<S> = FrameWriter<WriteHalf<S>>;

impl SessionTask {
    async fn run(&self, stream: Stream) -> Result<(), End> {
        let (mut reader, mut writer) = framed(stream);
        let ended = self.hold(&mut reader, &mut writer).await;
        let refused = match &ended {
            Err(End::Refused(refused)) => Some(refused.clone()),
            Err(End::Stopped(stopped)) => {
                Some(Refused { code: RefusalCode::ShuttingDown, detail: stopped.to_string() })
            }
            _ => None,
        };
        if let Some(Refused { code, mut detail }) = refused {
            self.context.metrics.refusals.inc();
            tracing::info!(worker = %self.worker.short(), ?code, detail, "refused");
            detail.truncate(detail.floor_char_boundary(MAX_REASON_LEN));
            let refusal = self.context.key.seal_bytes(&Refusal { code: code as i32, detail });
            // The peer may be gone already, and then needs no telling.
            let _ = timeout(WRITE_TIMEOUT, writer.send(&refusal)).await;
        }
        let _ = timeout(WRITE_TIMEOUT, writer.close()).await;
        ended
    }

    async fn hold<S>(&self, reader: &mut Reader<S>, writer: &mut Writer<S>) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let silent = || Refused { code: RefusalCode::OutOfOrder, detail: "no hello in time".to_owned() };
        let first = timeout(HELLO_TIMEOUT, reader.next()).await.map_err(|_| silent())?;
        let Some(frame) = self.frame(first)? else { return Ok(()) };
        let joined = self.membership.check(self.worker, &hello(&self.open(&frame)?)?)?;
        let turn = self.opening.acquire().await.expect("the semaphore is never closed");
        self.context.store.worker_seen(&joined.seen).await?;
        let strikes = strikes(self.context.store.strikes(&self.worker).await?);
        drop(turn);
        let welcome = Welcome {
            network: self.membership.network.clone(),
            relay_agent: AGENT.to_owned(),
            max_leases: MAX_LEASES_PER_WORKER,
        };
        self.write(writer, &self.context.key.seal_bytes(&welcome)).await?;
        for row in self.context.store.undelivered(&self.worker).await? {
            self.write(writer, &row.receipt.envelope).await?;
            self.context.store.mark_delivered(&row.receipt.lease).await?;
        }
        tracing::info!(
            worker = %self.worker.short(), kind = joined.labels.kind, backend = joined.labels.backend,
            adapter = joined.seen.adapter, agent = joined.seen.agent, "worker joined"
        );
        let (outgoing, queue) = mpsc::channel(OUTGOING_QUEUE);
        let (session, worker) = (self.session, self.worker);
        let start = SessionStart {
            session,
            worker,
            peer: self.peer,
            profile: joined.profile,
            strikes,
            labels: joined.labels,
            site: joined.site,
            outgoing,
        };
        self.engine.send(Command::Joined(start)).await?;
        let ended = self.exchange(reader, writer, queue).await;
        // An error means that the engine has stopped, and then nobody needs to know.
        let _ = self.engine.send(Command::Left(SessionEnd { session, worker })).await;
        ended
    }

    /// Both directions until either ends. Reading a frame loses nothing when it is interrupted.
    async fn exchange<S>(
        &self,
        reader: &mut Reader<S>,
        writer: &mut Writer<S>,
        mut queue: mpsc::Receiver<Outgoing>,
    ) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            tokio::select! {
                outgoing = queue.recv() => {
                    let Some(Outgoing { envelope, receipt, last }) = outgoing else { return Err(End::Dropped) };
                    self.write(writer, &envelope).await?;
                    if let Some(lease) = receipt {
                        self.context.store.mark_delivered(&lease).await?;
                    }
                    if last {
                        return Ok(());
                    }
                }
                frame = reader.next() => {
                    let Some(frame) = self.frame(frame)? else { return Ok(()) };
                    let message = message(&self.open(&frame)?, frame)?;
                    let (session, worker) = (self.session, self.worker);
                    self.engine.send(Command::FromWorker { session, worker, message }).await?;
                }
            }
        }
    }

    async fn write<S: AsyncRead + AsyncWrite + Unpin>(&self, writer: &mut Writer<S>, bytes: &[u8]) -> Result<(), End> {
        Ok(timeout(WRITE_TIMEOUT, writer.send(bytes)).await.map_err(|_| End::Slow)??)
    }

    /// Bytes that are no frames are refused by name; a link that broke is not the peer's fault.
    fn frame(&self, read: Result<Option<Vec<u8>>, FramedError>) -> Result<Option<Vec<u8>>, End> {
        match read {
            Ok(frame) => Ok(frame),
            Err(FramedError::Frame(error)) => {
                Err(Refused { code: RefusalCode::Malformed, detail: error.to_string() }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open(&self, frame: &[u8]) -> Result<Verified, Refused> {
        Verified::open_from(frame, &self.membership.network, &self.worker).map_err(|error| {
            let code = match error {
                // The signature covers the network's name, so a worker of another network fails here.
                EnvelopeError::BadSignature if names_signer(frame, &self.worker) => RefusalCode::WrongNetwork,
                EnvelopeError::BadSignature | EnvelopeError::WrongSigner { .. } | EnvelopeError::BadSigner => {
                    RefusalCode::BadSignature
                }
                _ => RefusalCode::Malformed,
            };
            Refused { code, detail: format!("{error}, expected network {:?}", self.membership.network) }
        })
    }
}

/// A message after Hello.
fn message(verified: &Verified, envelope: Vec<u8>) -> Result<WorkerMessage, Refused> {
    fn decode<M: shoal_wire::envelope::Signed>(verified: &Verified) -> Result<M, Refused> {
        verified.message().map_err(|error| Refused { code: RefusalCode::Malformed, detail: error.to_string() })
    }
    let bad = |error: shoal_wire::ids::IdError| Refused { code: RefusalCode::Malformed, detail: error.to_string() };
    let malformed = |detail| Refused { code: RefusalCode::Malformed, detail };
    match verified.message_type() {
        MessageType::LeaseRequest => {
            let max_units = decode::<proto::LeaseRequest>(verified)?.max_units;
            if !(1..=MAX_LEASES_PER_REQUEST).contains(&max_units) {
                let detail = format!("max_units is {max_units}, allowed is 1 to {MAX_LEASES_PER_REQUEST}");
                return Err(malformed(detail));
            }
            Ok(WorkerMessage::LeaseRequest { max_units })
        }
        MessageType::LeaseReturn => {
            let proto::LeaseReturn { lease, reason } = decode(verified)?;
            if reason.len() > MAX_REASON_LEN {
                return Err(malformed(format!("reason has {} bytes, allowed is {MAX_REASON_LEN}", reason.len())));
            }
            Ok(WorkerMessage::LeaseReturn { lease: LeaseId::try_from(&lease).map_err(bad)?, reason })
        }
        MessageType::Commit => {
            let proto::Commit { lease, commitment } = decode(verified)?;
            let found = commitment.len();
            let commitment =
                commitment.try_into().map_err(|_| malformed(format!("commitment has {found} bytes, not 32")))?;
            Ok(WorkerMessage::Commit { lease: LeaseId::try_from(&lease).map_err(bad)?, commitment, envelope })
        }
        MessageType::Result => {
            let proto::Result { lease, output, output_len, report } = decode(verified)?;
            Ok(WorkerMessage::Result {
                lease: LeaseId::try_from(&lease).map_err(bad)?,
                output: BlobId::try_from(&output).map_err(bad)?,
                output_len,
                report: report.unwrap_or_default(),
                envelope,
            })
        }
        other => {
            Err(Refused { code: RefusalCode::OutOfOrder, detail: format!("{other:?} is not a worker's message here") })
        }
    }
}
