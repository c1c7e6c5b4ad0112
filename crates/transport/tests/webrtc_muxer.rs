//! Streams of one connection, without a swarm on top: half-closing, resets, back-pressure, and channels given back.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _};
use libp2p::core::muxing::StreamMuxer as _;
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportEvent};
use libp2p::core::{Endpoint, Transport as _};
use libp2p::identity::Keypair;
use shoal_transport::webrtc::limits::{MAX_SEND_WINDOW, MAX_STREAMS, MAX_UNREAD_PER_STREAM};
use shoal_transport::webrtc::native::{Certificate, CloseReason, Config, Muxer, Substream, Transport};

/// A muxer whose streams are opened and accepted through clones.
#[derive(Clone)]
struct Side(Arc<Mutex<Muxer>>);

impl Side {
    async fn open(&self) -> Result<Substream, CloseReason> {
        poll_fn(|cx| Pin::new(&mut *self.0.lock().unwrap()).poll_outbound(cx)).await
    }

    async fn accept(&self) -> Result<Substream, CloseReason> {
        poll_fn(|cx| Pin::new(&mut *self.0.lock().unwrap()).poll_inbound(cx)).await
    }

    async fn closed(&self) -> CloseReason {
        poll_fn(|cx| Pin::new(&mut *self.0.lock().unwrap()).poll(cx)).await.unwrap_err()
    }

    fn close(&self) {
        let closed = poll_fn(|cx| Pin::new(&mut *self.0.lock().unwrap()).poll_close(cx)).now_or_never();
        assert!(matches!(closed, Some(Ok(()))));
    }
}

fn transport() -> Transport {
    let certificate = Certificate::generate().unwrap();
    Transport::new(Config { identity: Keypair::generate_ed25519(), certificate })
}

/// Listener's and dialler's side of a new connection.
async fn connect() -> (Side, Side) {
    let (mut listener, mut dialler) = (transport(), transport());
    listener.listen_on(ListenerId::next(), "/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap()).unwrap();
    let mut dial = None;
    loop {
        let event = poll_fn(|cx| {
            if let Some(Poll::Ready(result)) =
                dial.as_mut().map(|dial: &mut <Transport as libp2p::Transport>::Dial| dial.poll_unpin(cx))
            {
                panic!("connected before anybody accepted: {result:?}");
            }
            Pin::new(&mut listener).poll(cx)
        })
        .await;
        match event {
            TransportEvent::NewAddress { listen_addr, .. } => {
                let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
                dial = Some(dialler.dial(listen_addr, opts).unwrap());
            }
            TransportEvent::Incoming { upgrade, .. } => {
                let (accepted, dialled) = futures::try_join!(upgrade, dial.unwrap()).unwrap();
                let side = |muxer| Side(Arc::new(Mutex::new(muxer)));
                // Dropping the listening transport stops accepting; the connection lives on.
                return (side(accepted.1), side(dialled.1));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A stream opened by `from` and accepted by `to`.
async fn stream(from: &Side, to: &Side) -> (Substream, Substream) {
    let (opened, accepted) = futures::join!(from.open(), to.accept());
    (opened.unwrap(), accepted.unwrap())
}

async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_stream_still_carries_the_other_way() {
    let (listener, dialler) = within(20, connect()).await;
    for (from, to) in [(&listener, &dialler), (&dialler, &listener)] {
        within(20, async {
            let (mut a, mut b) = stream(from, to).await;
            a.write_all(b"question").await.unwrap();
            a.close().await.unwrap();
            let mut text = String::new();
            b.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "question");
            b.write_all(b"answer").await.unwrap();
            b.close().await.unwrap();
            drop(b);
            text.clear();
            a.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "answer");
            assert_eq!(a.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_an_unfinished_stream_resets_it() {
    let (listener, dialler) = within(20, connect()).await;
    within(20, async {
        let (mut a, mut b) = stream(&dialler, &listener).await;
        a.write_all(b"half").await.unwrap();
        drop(a);
        let mut all = Vec::new();
        assert_eq!(b.read_to_end(&mut all).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        // The peer reads no more either.
        while b.write(&[0; 1000]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_streams_give_their_channels_back() {
    let (listener, dialler) = within(20, connect()).await;
    let echo = listener.clone();
    tokio::spawn(async move {
        while let Ok(stream) = echo.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                futures::io::copy(&mut read, &mut write).await.unwrap();
                write.close().await.unwrap();
            });
        }
    });
    let echo_once = |len: usize| {
        let dialler = dialler.clone();
        async move {
            let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut stream = dialler.open().await.unwrap();
            stream.write_all(&data).await.unwrap();
            stream.close().await.unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).await.unwrap();
            assert!(back == data);
        }
    };
    // More in all than may be open at once.
    for _ in 0..6 {
        within(60, futures::future::join_all((0..MAX_STREAMS / 2).map(|i| echo_once(i * 50)))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_are_capped() {
    let (_listener, dialler) = within(20, connect()).await;
    let mut streams = Vec::new();
    while let Some(stream) = dialler.open().now_or_never() {
        streams.push(stream.unwrap());
        assert!(streams.len() <= MAX_STREAMS);
    }
    assert!(streams.len() > MAX_STREAMS / 2);
    streams.pop();
    // The freed place goes to who waits.
    within(20, dialler.open()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_nobody_reads_is_reset_and_others_go_on() {
    let (listener, dialler) = within(20, connect()).await;
    within(60, async {
        let (mut unread, mut ignored) = stream(&dialler, &listener).await;
        let (mut a, mut b) = stream(&dialler, &listener).await;
        let chunk = vec![7; 64 * 1024];
        let mut sent = 0;
        while let Ok(n) = unread.write(&chunk).await {
            sent += n;
            assert!(sent <= MAX_UNREAD_PER_STREAM + 2 * MAX_SEND_WINDOW, "a bounded amount is in flight");
        }
        assert!(sent >= MAX_UNREAD_PER_STREAM);
        assert_eq!(ignored.read(&mut [0; 10]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        a.write_all(b"fine").await.unwrap();
        let mut text = [0; 4];
        b.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"fine");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_every_wait_on_both_sides() {
    let (listener, dialler) = within(20, connect()).await;
    within(20, async {
        let (mut a, mut b) = stream(&dialler, &listener).await;
        let (end, reason, read) = futures::join!(
            async {
                dialler.close();
                dialler.closed().await
            },
            listener.closed(),
            async { b.read(&mut [0; 1]).await.unwrap_err().kind() },
        );
        assert_eq!((end, reason, read), (CloseReason::Local, CloseReason::Peer, ErrorKind::ConnectionReset));
        assert!(a.write(b"x").await.is_err());
        assert!(dialler.open().await.is_err());
        assert!(listener.accept().await.is_err());
    })
    .await;
}
