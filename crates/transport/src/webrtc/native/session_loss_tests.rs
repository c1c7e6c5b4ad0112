//! Two sessions joined by a long and lossy path, on a clock that the test moves: every stream gets through.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use shoal_netem::{Conditions, Link};
use str0m::channel::ChannelId;

use super::certificate::Certificate;
use super::session::{Output, Session};
use crate::webrtc::credentials::{Credentials, Version};

const LISTENER: &str = "192.0.2.1:1000";
const DIALLER: &str = "192.0.2.2:2000";

/// What one stream may take at 50 ms and some per cent of loss; what takes longer is stuck.
const LIMIT: Duration = Duration::from_secs(60);

struct Path {
    now: Instant,
    certificate: Certificate,
    dialler: Session,
    listener: Option<Session>,
    to_listener: Link<Vec<u8>>,
    to_dialler: Link<Vec<u8>>,
}

impl Path {
    fn new(seed: u64, loss_per_mille: u32) -> Self {
        let now = Instant::now();
        let certificate = Certificate::generate().unwrap();
        let (local, remote) = (DIALLER.parse().unwrap(), LISTENER.parse().unwrap());
        let own = Certificate::generate().unwrap();
        let dialler = Session::dial(now, &own, local, remote, certificate.fingerprint(), Version::V2).unwrap();
        let conditions = Conditions::new(Duration::from_millis(50), loss_per_mille);
        let (to_listener, to_dialler) = (Link::new(conditions, seed, 0), Link::new(conditions, seed, 1));
        Self { now, certificate, dialler, listener: None, to_listener, to_dialler }
    }

    /// Moves the clock to the next thing that happens.
    fn step(&mut self) {
        let mut next = self.now + Duration::from_millis(100);
        loop {
            match self.dialler.poll_output(self.now) {
                Output::Transmit(t) => drop(self.to_listener.push(self.now, t.contents.len(), t.contents.to_vec())),
                Output::Timeout(at) => break next = next.min(at),
                Output::Closed => break,
            }
        }
        while let Some(listener) = &mut self.listener {
            match listener.poll_output(self.now) {
                Output::Transmit(t) => drop(self.to_dialler.push(self.now, t.contents.len(), t.contents.to_vec())),
                Output::Timeout(at) => {
                    next = next.min(at);
                    break;
                }
                Output::Closed => break,
            }
        }
        for at in [self.to_listener.next_arrival(), self.to_dialler.next_arrival()].into_iter().flatten() {
            next = next.min(at);
        }
        self.now = next.max(self.now + Duration::from_micros(100));
        self.dialler.handle_timeout(self.now);
        if let Some(listener) = &mut self.listener {
            listener.handle_timeout(self.now);
        }
        if let Some(datagram) = self.to_listener.pop(self.now) {
            let listener = self.listener.get_or_insert_with(|| {
                let check = str0m::ice::StunMessage::parse(&datagram).unwrap();
                let credentials = Credentials::from_stun_username(check.username().unwrap()).unwrap();
                let (local, source) = (LISTENER.parse().unwrap(), DIALLER.parse().unwrap());
                Session::accept(self.now, &self.certificate, &credentials, local, source).unwrap()
            });
            listener.handle_datagram(self.now, DIALLER.parse().unwrap(), &datagram);
        }
        if let Some(datagram) = self.to_dialler.pop(self.now) {
            self.dialler.handle_datagram(self.now, LISTENER.parse().unwrap(), &datagram);
        }
    }

    fn ends(&mut self, listener_opens: bool) -> (&mut Session, &mut Session) {
        let listener = self.listener.as_mut().expect("made by the dialler's first check");
        if listener_opens { (listener, &mut self.dialler) } else { (&mut self.dialler, listener) }
    }

    fn connected(mut self) -> Self {
        let cx = &mut Context::from_waker(futures::task::noop_waker_ref());
        loop {
            self.step();
            let listener = self.listener.as_mut().map(|listener| listener.poll_ready(cx));
            if let (Some(Poll::Ready(Ok(_))), Poll::Ready(Ok(_))) = (listener, self.dialler.poll_ready(cx)) {
                self.dialler.handshake_done();
                self.listener.as_mut().unwrap().handshake_done();
                return self;
            }
        }
    }
}

/// One end of an exchange: `left` bytes to write, then FIN, reading all the while.
#[derive(Debug)]
struct End {
    id: ChannelId,
    left: usize,
    finished: bool,
    read: usize,
    eof: bool,
    released: bool,
}

impl End {
    fn new(id: ChannelId, left: usize) -> Self {
        Self { id, left, finished: false, read: 0, eof: false, released: false }
    }

    fn poll(&mut self, session: &mut Session, cx: &Context<'_>) {
        let mut buf = [0; 32 * 1024];
        while self.left > 0 {
            let len = self.left.min(buf.len());
            match session.poll_write(self.id, cx, &buf[..len]) {
                Poll::Ready(written) => self.left -= written.unwrap(),
                Poll::Pending => break,
            }
        }
        if self.left == 0 && !self.finished {
            session.finish_write(self.id).unwrap();
            self.finished = true;
        }
        while !self.eof {
            match session.poll_read(self.id, cx, &mut buf) {
                Poll::Ready(read) => match read.unwrap() {
                    0 => self.eof = true,
                    read => self.read += read,
                },
                Poll::Pending => break,
            }
        }
        if self.finished && self.eof && !self.released {
            session.release(self.id);
            self.released = true;
        }
    }
}

/// Exchanges on `count` streams, `at_once` at a time, opened by the listener or the dialler.
fn exchange(seed: u64, loss_per_mille: u32, listener_opens: bool, count: usize, at_once: usize) {
    const LEN: usize = 4_000;
    let cx = &mut Context::from_waker(futures::task::noop_waker_ref());
    let mut path = Path::new(seed, loss_per_mille).connected();
    let (mut opened, mut done) = (0, 0);
    let mut asking: Vec<(End, Instant)> = Vec::new();
    let mut answering: Vec<End> = Vec::new();
    while done < count {
        let now = path.now;
        let (opener, acceptor) = path.ends(listener_opens);
        while asking.len() < at_once && opened < count {
            let Poll::Ready(id) = opener.poll_outbound(cx) else { break };
            asking.push((End::new(id.unwrap(), LEN), now));
            opened += 1;
        }
        while let Poll::Ready(id) = acceptor.poll_inbound(cx) {
            answering.push(End::new(id.unwrap(), LEN));
        }
        asking.iter_mut().for_each(|(end, _)| end.poll(opener, cx));
        answering.iter_mut().for_each(|end| end.poll(acceptor, cx));
        let stuck = asking.iter().find(|(_, since)| now > *since + LIMIT);
        assert!(stuck.is_none(), "seed {seed}: {stuck:?} of {asking:?}, answered by {answering:?}");
        done += asking.extract_if(.., |(end, _)| end.released).count();
        answering.retain(|end| !end.released);
        path.step();
    }
}

#[test]
fn every_stream_over_a_lossy_path_gets_through() {
    for (seed, listener_opens) in (0..10).flat_map(|seed| [(seed, false), (seed, true)]) {
        exchange(seed, 20, listener_opens, 200, 4);
    }
}
