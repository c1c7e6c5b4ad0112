//! A relay made by hand: real libp2p, Noise and Yamux over memory, and every message under the test's control.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod http;

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{
    StreamExt as _,
    channel::mpsc,
    io::{ReadHalf, WriteHalf},
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport as _,
    core::{transport::MemoryTransport, upgrade::Version},
    noise,
    swarm::{self, SwarmEvent},
    yamux,
};
use shoal_compute::{CpuBackend, Tensor, Tensors, program::Budget, program::run_unit_on_cpu, vectors::VectorUnit};
use shoal_graph::programs;
use shoal_node::{BoxedTransport, Devices, Event, TokioPlatform, Worker, WorkerConfig, WorkerHandle};
use shoal_transport::{
    blob::{Blob, BlobSource, fetch, serve},
    framed::{EnvelopeReader, EnvelopeWriter, session},
    peer, streams,
};
use shoal_wire::{
    envelope::{NodeKey, Signed, Verified},
    ids::{BlobId, LeaseId, NodeId},
    limits::INITIAL_BLOB_CREDIT,
    proto::{
        Capabilities, Commit, CommitAck, Hello, Lease, LeaseRequest, LocalTraining, Outcome, Receipt, Unit, Verdict,
        Welcome, unit::Program,
    },
    unit::CheckedUnit,
    version::{BLOB_PROTOCOL, WORK_PROTOCOL},
};

pub(crate) const NETWORK: &str = "test";
const RELAY_SEED: [u8; 32] = [1; 32];
pub(crate) const WORKER_SEED: [u8; 32] = [2; 32];

/// Nothing in these tests takes long; a step that never comes fails here.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("this should have happened by now")
}

pub(crate) fn transport(seed: &[u8; 32]) -> BoxedTransport {
    MemoryTransport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&peer::keypair(seed)).unwrap())
        .multiplex(yamux::Config::default())
        .boxed()
}

/// Blobs that the relay serves, which of them were asked for, and what was sent.
#[derive(Clone, Default)]
pub(crate) struct Store {
    blobs: Arc<Mutex<HashMap<BlobId, Blob>>>,
    pub(crate) asked: Arc<Mutex<Vec<BlobId>>>,
    sources: Arc<Mutex<Vec<String>>>,
    sent: Arc<Mutex<HashMap<BlobId, u64>>>,
    serving: Arc<Mutex<usize>>,
}

impl Store {
    pub(crate) fn add(&self, unit: &VectorUnit) {
        for bytes in [&unit.graph, &unit.parameters, &unit.data] {
            let blob = Blob::new(bytes.clone());
            self.blobs.lock().unwrap().insert(blob.id(), blob);
        }
    }
}

impl BlobSource for Store {
    async fn blob(&self, id: &BlobId) -> Option<Blob> {
        self.asked.lock().unwrap().push(*id);
        self.blobs.lock().unwrap().get(id).cloned()
    }

    fn sources(&self, blob: &Blob) -> Vec<String> {
        let large = blob.bytes().len() as u64 > INITIAL_BLOB_CREDIT;
        if large { self.sources.lock().unwrap().clone() } else { Vec::new() }
    }
}

impl Store {
    /// Names sources for every blob that does not fit the first grant of credit.
    pub(crate) fn name_sources(&self, urls: Vec<String>) {
        *self.sources.lock().unwrap() = urls;
    }

    /// Bytes of slices of a blob that were sent, once no transfer is under way.
    pub(crate) async fn sent(&self, id: &BlobId) -> u64 {
        soon(async {
            while *self.serving.lock().unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        self.sent.lock().unwrap().get(id).copied().unwrap_or_default()
    }

    async fn serve(&self, stream: swarm::Stream) {
        *self.serving.lock().unwrap() += 1;
        if let Ok(served) = serve(stream, self).await {
            *self.sent.lock().unwrap().entry(served.id).or_default() += served.sent;
        }
        *self.serving.lock().unwrap() -= 1;
    }
}

pub(crate) struct Relay {
    pub(crate) key: NodeKey,
    pub(crate) address: Multiaddr,
    pub(crate) store: Store,
    control: streams::Control,
    sessions: mpsc::UnboundedReceiver<(PeerId, swarm::Stream)>,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let keypair = peer::keypair(&RELAY_SEED);
        let streams = streams::Behaviour::new();
        let control = streams.new_control();
        let mut blob_streams = control.accept(StreamProtocol::new(BLOB_PROTOCOL)).unwrap();
        let mut work_streams = control.accept(StreamProtocol::new(WORK_PROTOCOL)).unwrap();
        let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
        let mut swarm = Swarm::new(transport(&RELAY_SEED), streams, keypair.public().to_peer_id(), config);
        swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address.with_p2p(keypair.public().to_peer_id()).unwrap();
            }
        };
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        let store = Store::default();
        let serving = store.clone();
        tokio::spawn(async move {
            while let Some((_, stream)) = blob_streams.next().await {
                let store = serving.clone();
                tokio::spawn(async move { store.serve(stream).await });
            }
        });
        let (sender, sessions) = mpsc::unbounded();
        tokio::spawn(async move {
            while let Some(stream) = work_streams.next().await {
                sender.unbounded_send(stream).unwrap();
            }
        });
        Self { key: NodeKey::from_seed(&RELAY_SEED, NETWORK), address, store, control, sessions }
    }

    /// The next session, after its hello; the welcome is still to be sent.
    pub(crate) async fn accept(&mut self) -> (Peer, Hello) {
        let (peer, stream) = soon(self.sessions.next()).await.unwrap();
        let node = peer::node_id(&peer).unwrap();
        let (reader, writer) = session(stream, self.key.clone(), node);
        let mut peer = Peer { peer, node, reader, writer, key: self.key.clone(), control: self.control.clone() };
        let hello = peer.receive().await;
        (peer, hello)
    }

    /// The next session, welcomed.
    pub(crate) async fn welcome(&mut self) -> Peer {
        let (mut peer, _) = self.accept().await;
        peer.send(&Welcome { network: NETWORK.into(), relay_agent: "test".into(), max_leases: 16 }).await;
        peer
    }
}

/// A worker as the relay sees it.
pub(crate) struct Peer {
    pub(crate) peer: PeerId,
    pub(crate) node: NodeId,
    pub(crate) reader: EnvelopeReader<ReadHalf<swarm::Stream>>,
    pub(crate) writer: EnvelopeWriter<WriteHalf<swarm::Stream>>,
    pub(crate) key: NodeKey,
    control: streams::Control,
}

impl Peer {
    pub(crate) async fn send<M: Signed>(&mut self, message: &M) {
        self.writer.send(message).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Verified {
        soon(self.reader.next()).await.unwrap().expect("the session is open")
    }

    /// The next message, which must be of this type.
    pub(crate) async fn receive<M: Signed>(&mut self) -> M {
        self.next().await.message().unwrap()
    }

    /// The next message of this type; lease requests in between are skipped.
    pub(crate) async fn receive_past_requests<M: Signed>(&mut self) -> M {
        loop {
            let message = self.next().await;
            if message.message::<LeaseRequest>().is_err() {
                return message.message().unwrap();
            }
        }
    }

    pub(crate) async fn lease(&mut self, lease: LeaseId, unit: &VectorUnit) {
        let lease = Lease { lease: lease.to_vec(), unit: unit.unit.encode(), duration_ms: 60_000 };
        self.send(&lease).await;
    }

    /// Takes a commitment and the output revealed after its acknowledgement.
    pub(crate) async fn take_result(&mut self) -> (Commit, shoal_wire::proto::Result, Vec<u8>) {
        let commit: Commit = self.receive_past_requests().await;
        self.send(&CommitAck { lease: commit.lease.clone() }).await;
        let result: shoal_wire::proto::Result = self.receive_past_requests().await;
        let output = self.fetch(BlobId::try_from(&result.output).unwrap()).await.unwrap();
        (commit, result, output)
    }

    pub(crate) async fn fetch(&mut self, id: BlobId) -> Result<Vec<u8>, shoal_transport::blob::FetchError> {
        let stream = soon(self.control.open_stream(self.peer, StreamProtocol::new(BLOB_PROTOCOL))).await.unwrap();
        soon(fetch(stream, id, 1 << 20)).await
    }

    pub(crate) fn receipt(&self, unit: &VectorUnit, lease: &LeaseId, output: &BlobId) -> Receipt {
        let verdict = Verdict {
            unit: unit.unit.id.to_vec(),
            lease: lease.to_vec(),
            worker: self.node.to_vec(),
            output: output.to_vec(),
            outcome: Outcome::Accepted as i32,
            deviation: 0.0,
        };
        Receipt {
            job: unit.unit.job.to_vec(),
            unit: unit.unit.id.to_vec(),
            round: unit.unit.message.round,
            index: unit.unit.message.index,
            worker: self.node.to_vec(),
            relay: self.key.node_id().to_vec(),
            reference_ops: unit.unit.message.reference_ops,
            output: output.to_vec(),
            verdict: self.key.seal_bytes(&verdict),
            class: unit.unit.message.class,
            ..Receipt::default()
        }
    }
}

/// Events as they come.
#[derive(Clone, Default)]
pub(crate) struct Events(Rc<RefCell<Vec<Event>>>);

impl Events {
    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.borrow().clone()
    }

    pub(crate) fn find(&self, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
        self.0.borrow().iter().find(|event| wanted(event)).cloned()
    }

    /// Waits for an event.
    pub(crate) async fn wait(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        soon(async {
            loop {
                if let Some(event) = self.find(&wanted) {
                    return event;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

pub(crate) fn config(relay: &Relay) -> WorkerConfig {
    let mut config = WorkerConfig::new(WORKER_SEED, vec![relay.address.clone()]);
    config.network = NETWORK.into();
    config
}

/// A worker on the CPU. Its future must be polled beside the test's.
pub(crate) fn worker(config: WorkerConfig) -> (Worker<TokioPlatform, CpuBackend>, WorkerHandle, Events) {
    let events = Events::default();
    let sink = events.0.clone();
    let on_event = move |event| sink.borrow_mut().push(event);
    let transport = transport(&config.seed);
    let (worker, handle) = Worker::new(config, TokioPlatform::new(), transport, Devices::cpu(), on_event).unwrap();
    (worker, handle, events)
}

pub(crate) fn unit(steps: u32) -> VectorUnit {
    let training = LocalTraining { steps, batch: 8, learning_rate: 0.05, momentum: 0.9 };
    shoal_compute::vectors::vector_unit(Program::LocalTraining(training))
}

/// A unit whose data has about so many bytes.
pub(crate) fn large_unit(len: usize) -> VectorUnit {
    let mut unit = unit(1);
    let samples = len / (64 * 4 + 4);
    let mut data = Tensors::new();
    let values = (0..samples * 64).map(|i| (i.wrapping_mul(2_654_435_761) >> 8 & 0xff) as f32 / 256.0).collect();
    data.insert(programs::SAMPLES, Tensor::f32([samples as u32, 1, 8, 8], values));
    data.insert(programs::LABELS, Tensor::i32([samples as u32], (0..samples).map(|i| (i % 10) as i32).collect()));
    unit.data = data.to_bytes();
    let message = Unit { data: BlobId::of(&unit.data).to_vec(), ..unit.unit.message };
    unit.unit = CheckedUnit::new(message).unwrap();
    unit
}

pub(crate) fn reference(unit: &VectorUnit) -> Vec<u8> {
    let budget = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };
    run_unit_on_cpu(&unit.unit, &unit.graph, &unit.parameters, &unit.data, &budget).unwrap()
}

pub(crate) fn capabilities(hello: &Hello) -> &Capabilities {
    hello.capabilities.as_ref().unwrap()
}
