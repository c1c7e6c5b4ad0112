//! A libp2p peer that speaks the work protocol by hand, so that a test can say what no worker says.

use futures::{AsyncWriteExt as _, StreamExt as _};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, swarm::SwarmEvent, tcp, yamux};
use shoal_transport::{
    blob::{Blob, BlobSource, serve},
    framed::{FrameReader, FrameWriter, framed},
    peer::{keypair, node_id},
    streams,
};
use shoal_wire::{
    envelope::{NodeKey, Signed, Verified},
    ids::{BlobId, NodeId},
    proto::{Backend, Capabilities, Class, Hello, MessageType, Platform, Refusal, RefusalCode},
    version::{BLOB_PROTOCOL, WORK_PROTOCOL},
};

use super::{Api, PATIENCE};

pub type Reader = FrameReader<futures::io::ReadHalf<libp2p::Stream>>;
pub type Writer = FrameWriter<futures::io::WriteHalf<libp2p::Stream>>;

/// A connected peer.
pub struct Peer {
    pub key: NodeKey,
    pub relay: NodeId,
    relay_peer: PeerId,
    network: String,
    control: streams::Control,
    swarm: tokio::task::JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

impl Peer {
    pub async fn connect(api: &Api, seed: u8) -> Self {
        let join = &api.ready.join;
        let address: Multiaddr = join.addresses.iter().find(|a| a.contains("/tcp/")).unwrap().parse().unwrap();
        let relay_peer = shoal_transport::peer::peer_id(&join.relay).unwrap();
        let mut swarm: Swarm<streams::Behaviour> = SwarmBuilder::with_existing_identity(keypair(&[seed; 32]))
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| streams::Behaviour::new())
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        let control = swarm.behaviour().new_control();
        swarm.dial(address).unwrap();
        while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
        let swarm = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        let key = NodeKey::from_seed(&[seed; 32], join.network.clone());
        Self { key, relay: node_id(&relay_peer).unwrap(), relay_peer, network: join.network.clone(), control, swarm }
    }

    /// Serves these outputs to whoever asks.
    pub fn serve(&mut self, blobs: Vec<Vec<u8>>) {
        let mut incoming = self.control.accept(StreamProtocol::new(BLOB_PROTOCOL)).unwrap();
        let source = Outputs(blobs.into_iter().map(Blob::new).collect());
        tokio::spawn(async move {
            while let Some((_, stream)) = incoming.next().await {
                let _ = serve(stream, &source).await;
            }
        });
    }

    /// A stream of the work protocol.
    pub async fn open(&mut self) -> (Reader, Writer) {
        framed(self.open_raw().await)
    }

    pub async fn open_raw(&mut self) -> libp2p::Stream {
        self.control.open_stream(self.relay_peer, StreamProtocol::new(WORK_PROTOCOL)).await.unwrap()
    }

    /// A session that was welcomed.
    pub async fn join(&mut self) -> (Reader, Writer) {
        let (mut reader, mut writer) = self.open().await;
        writer.send(&self.key.seal_bytes(&hello())).await.unwrap();
        assert_eq!(self.next(&mut reader).await.message_type(), MessageType::Welcome);
        (reader, writer)
    }

    pub async fn send<M: Signed>(&self, writer: &mut Writer, message: &M) {
        writer.send(&self.key.seal_bytes(message)).await.unwrap();
    }

    /// The relay's next message.
    pub async fn next(&self, reader: &mut Reader) -> Verified {
        let frame = tokio::time::timeout(PATIENCE, reader.next()).await.unwrap().unwrap().expect("the stream goes on");
        Verified::open_from(&frame, &self.network, &self.relay).unwrap()
    }

    /// The next message of this type; others are passed over.
    pub async fn wait<M: Signed>(&self, reader: &mut Reader) -> M {
        loop {
            let message = self.next(reader).await;
            if message.message_type() == M::TYPE {
                return message.message().unwrap();
            }
        }
    }

    /// The refusal that raw bytes on a new stream are answered with.
    pub async fn refusal_of_bytes(&mut self, bytes: &[u8]) -> (RefusalCode, String) {
        let mut stream = self.open_raw().await;
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
        let (mut reader, _writer) = framed(stream);
        let refusal: Refusal = self.wait(&mut reader).await;
        assert!(reader.next().await.map_or(true, |frame| frame.is_none()), "the stream ends after a refusal");
        (refusal.code(), refusal.detail)
    }
}

pub fn hello() -> Hello {
    let capabilities = Capabilities {
        classes: vec![Class::Exact as i32, Class::Tolerant as i32],
        backend: Backend::Cpu as i32,
        adapter: String::new(),
        memory_bytes: 1 << 30,
        max_unit_ops: 1 << 50,
        platform: Platform::Native as i32,
    };
    Hello { protocol: 1, agent: "test/1".to_owned(), capabilities: Some(capabilities), ..Hello::default() }
}

struct Outputs(Vec<Blob>);

impl BlobSource for Outputs {
    async fn blob(&self, id: &BlobId) -> Option<Blob> {
        self.0.iter().find(|blob| blob.id() == *id).cloned()
    }
}
