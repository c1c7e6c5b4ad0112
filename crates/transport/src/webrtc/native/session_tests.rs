//! Two sessions joined without sockets, on a clock that the test moves.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::certificate::Certificate;
use super::error::CloseReason;
use super::session::{Output, Session};
use crate::webrtc::credentials::{Credentials, Version};
use crate::webrtc::limits::{HANDSHAKE_TIMEOUT, IDLE_TIMEOUT};

const LISTENER: &str = "192.0.2.1:1000";
const DIALLER: &str = "192.0.2.2:2000";

struct Pair {
    now: Instant,
    dialler: Session,
    /// Made by the dialler's first check, as a listener would.
    listener: Option<Session>,
    certificate: Certificate,
}

impl Pair {
    fn new() -> Self {
        Self::with_version(Version::V2)
    }

    fn with_version(version: Version) -> Self {
        let now = Instant::now();
        let certificate = Certificate::generate().unwrap();
        let (local, remote) = (DIALLER.parse().unwrap(), LISTENER.parse().unwrap());
        let own = Certificate::generate().unwrap();
        let dialler = Session::dial(now, &own, local, remote, certificate.fingerprint(), version).unwrap();
        Self { now, dialler, listener: None, certificate }
    }

    /// Lets both sides say what they have to say until they wait, then moves the clock to the first timeout.
    fn step(&mut self) {
        let mut next = self.now + Duration::from_millis(100);
        loop {
            match self.dialler.poll_output(self.now) {
                Output::Transmit(transmit) => {
                    let listener = self.listener.get_or_insert_with(|| {
                        let check = str0m::ice::StunMessage::parse(&transmit.contents).unwrap();
                        let credentials = Credentials::from_stun_username(check.username().unwrap()).unwrap();
                        let (local, source) = (LISTENER.parse().unwrap(), DIALLER.parse().unwrap());
                        Session::accept(self.now, &self.certificate, &credentials, local, source).unwrap()
                    });
                    listener.handle_datagram(self.now, transmit.source, &transmit.contents);
                    self.answer();
                }
                Output::Timeout(timeout) => break next = next.min(timeout.max(self.now + Duration::from_millis(1))),
                Output::Closed => break,
            }
        }
        self.answer();
        self.now = next;
        self.dialler.handle_timeout(self.now);
        if let Some(listener) = &mut self.listener {
            listener.handle_timeout(self.now);
        }
    }

    fn answer(&mut self) {
        let Some(listener) = &mut self.listener else { return };
        while let Output::Transmit(transmit) = listener.poll_output(self.now) {
            self.dialler.handle_datagram(self.now, transmit.source, &transmit.contents);
        }
    }

    fn connected(mut self) -> Self {
        let cx = &mut Context::from_waker(futures::task::noop_waker_ref());
        let end = self.now + HANDSHAKE_TIMEOUT;
        loop {
            self.step();
            assert!(self.now < end, "not connected in time");
            let listener = self.listener.as_mut().map(|listener| listener.poll_ready(cx));
            if let (Some(Poll::Ready(seen)), Poll::Ready(ready)) = (listener, self.dialler.poll_ready(cx)) {
                assert_eq!(ready.unwrap(), self.certificate.fingerprint());
                assert_ne!(seen.unwrap(), self.certificate.fingerprint(), "the dialler's own, learned from DTLS");
                return self;
            }
        }
    }
}

fn reason(session: &mut Session) -> Option<CloseReason> {
    match session.poll_closed(&mut Context::from_waker(futures::task::noop_waker_ref())) {
        Poll::Ready(reason) => Some(reason),
        Poll::Pending => None,
    }
}

#[test]
fn both_versions_connect() {
    for version in [Version::V1, Version::V2] {
        Pair::with_version(version).connected();
    }
}

#[test]
fn a_handshake_that_nobody_finishes_ends() {
    let mut pair = Pair::new().connected();
    let end = pair.now + HANDSHAKE_TIMEOUT;
    while pair.now <= end {
        pair.step();
    }
    // One of them gives up first and says so.
    let reasons = [reason(&mut pair.dialler), reason(pair.listener.as_mut().unwrap())];
    assert!(reasons.contains(&Some(CloseReason::HandshakeTimeout)), "{reasons:?}");
    assert!(reasons.iter().all(Option::is_some), "{reasons:?}");
}

#[test]
fn a_peer_that_falls_silent_is_given_up() {
    let mut pair = Pair::new().connected();
    let mut listener = pair.listener.take().unwrap();
    listener.handshake_done();
    let mut now = pair.now;
    let end = now + IDLE_TIMEOUT + Duration::from_secs(1);
    while now < end {
        assert!(reason(&mut listener).is_none() || now + Duration::from_secs(2) > end, "not before its time");
        while let Output::Transmit(_) = listener.poll_output(now) {}
        now += Duration::from_millis(500);
        listener.handle_timeout(now);
    }
    assert_eq!(reason(&mut listener), Some(CloseReason::Idle));
    // Everything said, the driving task can go.
    let last = std::iter::repeat_with(|| listener.poll_output(now)).find(|o| !matches!(o, Output::Transmit(_)));
    assert!(matches!(last, Some(Output::Closed)), "{last:?}");
}

#[test]
fn a_live_connection_outlasts_the_idle_timeout() {
    let mut pair = Pair::new().connected();
    pair.dialler.handshake_done();
    pair.listener.as_mut().unwrap().handshake_done();
    let end = pair.now + 3 * IDLE_TIMEOUT;
    while pair.now < end {
        pair.step();
    }
    assert_eq!(reason(&mut pair.dialler), None);
    assert_eq!(reason(pair.listener.as_mut().unwrap()), None);
}

#[test]
fn bytes_that_are_no_packets_change_nothing() {
    let mut pair = Pair::new().connected();
    let listener = pair.listener.as_mut().unwrap();
    let source = DIALLER.parse().unwrap();
    let mut seed = 1u32;
    for first in 0..=255u8 {
        for len in [1usize, 13, 20, 60, 1400] {
            let mut datagram: Vec<u8> = (0..len)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            datagram[0] = first;
            listener.handle_datagram(pair.now, source, &datagram);
            while let Output::Transmit(_) = listener.poll_output(pair.now) {}
        }
    }
    assert_eq!(reason(listener), None);
    pair.step();
    assert_eq!(reason(&mut pair.dialler), None);
}
