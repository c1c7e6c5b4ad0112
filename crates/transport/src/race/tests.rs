//! Races on a clock that stands until a test lets a sleep end.

use std::sync::{Arc, Mutex};

use futures::{FutureExt as _, channel::oneshot};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        transport::{DialOpts, PortUse},
    },
};

use super::*;

type Outcome = Result<&'static str, std::io::Error>;
type Dial = BoxFuture<'static, Outcome>;

/// Dials that the test ends, by name of their kind; each says when it has been polled for the first time.
#[derive(Default)]
struct Dials(Vec<(&'static str, bool, Option<oneshot::Sender<Outcome>>)>);

struct Scripted(Arc<Mutex<Dials>>);

impl libp2p::Transport for Scripted {
    type Output = &'static str;
    type Error = std::io::Error;
    type ListenerUpgrade = Dial;
    type Dial = Dial;

    fn listen_on(&mut self, _: ListenerId, addr: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        Err(TransportError::MultiaddrNotSupported(addr))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, addr: Multiaddr, _: DialOpts) -> Result<Dial, TransportError<Self::Error>> {
        let kind = Kind::of(&addr).unwrap().name();
        let (sender, outcome) = oneshot::channel();
        let dials = self.0.clone();
        let at = dials.lock().unwrap().0.len();
        dials.lock().unwrap().0.push((kind, false, Some(sender)));
        Ok(async move {
            dials.lock().unwrap().0[at].1 = true;
            outcome.await.unwrap()
        }
        .boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Dial, Self::Error>> {
        Poll::Pending
    }
}

/// Each sleep asked for, and what ends it.
type Sleeps = Arc<Mutex<Vec<(Duration, oneshot::Sender<()>)>>>;

struct Track {
    race: Race<Scripted>,
    dials: Arc<Mutex<Dials>>,
    sleeps: Sleeps,
    peer: PeerId,
}

const HEAD_START: Duration = Duration::from_millis(700);

impl Track {
    fn new() -> Self {
        let (dials, sleeps) = (Arc::<Mutex<Dials>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let asleep = sleeps.clone();
        let sleep: Sleep = Arc::new(move |duration| {
            let (sender, over) = oneshot::channel();
            asleep.lock().unwrap().push((duration, sender));
            over.map(|_| ()).boxed()
        });
        let race = Race::with_sleep(Scripted(dials.clone()), Kind::WebRtc, HEAD_START, sleep);
        Self { race, dials, sleeps, peer: PeerId::random() }
    }

    fn dial(&mut self, kind: Kind) -> Dial {
        let address = match kind {
            Kind::WebRtc => "/ip4/127.0.0.1/udp/1/webrtc-direct",
            Kind::WebSocket => "/ip4/127.0.0.1/tcp/1/ws",
            Kind::Quic => "/ip4/127.0.0.1/udp/1/quic-v1",
            Kind::Tcp => "/ip4/127.0.0.1/tcp/1",
        };
        let address: Multiaddr = address.parse().unwrap();
        let address = address.with(Protocol::P2p(self.peer));
        self.race.dial(address, DialOpts { role: Endpoint::Dialer, port_use: PortUse::New }).unwrap()
    }

    fn begun(&self) -> Vec<&'static str> {
        self.dials.lock().unwrap().0.iter().filter(|dial| dial.1).map(|dial| dial.0).collect()
    }

    fn end(&self, at: usize, outcome: Outcome) {
        // Nobody hears of it if the dial was dropped.
        let _ = self.dials.lock().unwrap().0[at].2.take().unwrap().send(outcome);
    }
}

fn refused() -> Outcome {
    Err(std::io::ErrorKind::ConnectionRefused.into())
}

/// Polls once; a dial that has not ended is `None`.
fn poll(dial: &mut Dial) -> Option<Outcome> {
    dial.now_or_never()
}

#[test]
fn the_second_waits_for_the_head_start_whatever_the_order_of_the_addresses() {
    let mut track = Track::new();
    let (mut websocket, mut webrtc) = (track.dial(Kind::WebSocket), track.dial(Kind::WebRtc));
    assert!(poll(&mut websocket).is_none() && poll(&mut webrtc).is_none());
    assert_eq!(track.begun(), ["webrtc"]);
    let (asked, over) = track.sleeps.lock().unwrap().pop().unwrap();
    assert_eq!(asked, HEAD_START);
    over.send(()).unwrap();
    assert!(poll(&mut websocket).is_none());
    assert_eq!(track.begun(), ["websocket", "webrtc"]);
    track.end(0, Ok("connected"));
    assert_eq!(poll(&mut websocket).unwrap().unwrap(), "connected");
}

#[test]
fn the_second_goes_at_once_when_every_first_has_failed() {
    let mut track = Track::new();
    let mut firsts = [track.dial(Kind::WebRtc), track.dial(Kind::WebRtc)];
    let mut websocket = track.dial(Kind::WebSocket);
    assert!(poll(&mut websocket).is_none());
    track.end(0, refused());
    assert!(poll(&mut firsts[0]).unwrap().is_err());
    assert!(poll(&mut websocket).is_none());
    assert_eq!(track.begun(), ["webrtc"], "the other first is still under way");
    track.end(1, refused());
    assert!(poll(&mut firsts[1]).unwrap().is_err());
    assert!(poll(&mut websocket).is_none());
    assert_eq!(track.begun(), ["webrtc", "webrtc", "websocket"]);
}

#[test]
fn a_first_that_is_given_up_holds_nobody_up() {
    let mut track = Track::new();
    let (first, mut websocket) = (track.dial(Kind::WebRtc), track.dial(Kind::WebSocket));
    assert!(poll(&mut websocket).is_none());
    drop(first);
    assert!(poll(&mut websocket).is_none());
    assert_eq!(track.begun(), ["websocket"]);
}

#[test]
fn nobody_waits_for_a_kind_that_the_peer_has_not() {
    let mut track = Track::new();
    let mut websocket = track.dial(Kind::WebSocket);
    assert!(poll(&mut websocket).is_none());
    assert_eq!(track.begun(), ["websocket"]);
    assert!(track.sleeps.lock().unwrap().is_empty());
}

#[test]
fn another_peers_dial_does_not_hold_this_one_up() {
    let mut track = Track::new();
    let _other = track.dial(Kind::WebRtc);
    track.peer = PeerId::random();
    let mut websocket = track.dial(Kind::WebSocket);
    assert!(poll(&mut websocket).is_none());
    assert_eq!(track.begun(), ["websocket"]);
}

#[test]
fn the_winner_goes_first_next_time() {
    let mut track = Track::new();
    let mut websocket = track.dial(Kind::WebSocket);
    assert!(poll(&mut websocket).is_none());
    track.end(0, Ok("connected"));
    assert!(poll(&mut websocket).unwrap().is_ok());

    let (mut webrtc, mut websocket) = (track.dial(Kind::WebRtc), track.dial(Kind::WebSocket));
    assert!(poll(&mut webrtc).is_none() && poll(&mut websocket).is_none());
    assert_eq!(track.begun(), ["websocket", "websocket"]);
    track.end(2, refused());
    assert!(poll(&mut websocket).unwrap().is_err());
    assert!(poll(&mut webrtc).is_none());
    assert_eq!(track.begun(), ["websocket", "webrtc", "websocket"]);
}

#[test]
fn ended_races_leave_nothing_behind() {
    let mut track = Track::new();
    for _ in 0..100 {
        track.peer = PeerId::random();
        drop(track.dial(Kind::WebRtc));
    }
    assert_eq!(track.race.course.state().running.len(), 1, "the next dial clears what the last one left");
}
