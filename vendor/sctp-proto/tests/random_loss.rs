//! Two associations over a path that loses, delays and reorders: whatever
//! happens, reliable streams deliver everything once and in order, and
//! partially reliable ones come to an end.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier, ReliabilityType, StreamEvent, TransportConfig,
    generate_snap_token, take_observed,
};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const STREAMS: u16 = 3;

struct Peer {
    endpoint: Endpoint,
    association: Association,
    handle: AssociationHandle,
    address: SocketAddr,
    received: HashMap<u16, Vec<Vec<u8>>>,
    /// Streams whose both directions were reset, in order.
    reset: Vec<u16>,
    finished: Vec<u16>,
}

impl Peer {
    fn pair() -> (Self, Self) {
        let config = Arc::new(TransportConfig::default());
        let tokens = [
            generate_snap_token(&config).unwrap(),
            generate_snap_token(&config).unwrap(),
        ];
        let peer = |own: usize| {
            let addresses: [SocketAddr; 2] = [
                "127.0.0.1:5000".parse().unwrap(),
                "127.0.0.1:5001".parse().unwrap(),
            ];
            let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), None);
            let client =
                ClientConfig::new().with_snap(tokens[own].clone(), tokens[1 - own].clone());
            let (handle, association) = endpoint.connect(client, addresses[1 - own]).unwrap();
            Peer {
                endpoint,
                association,
                handle,
                address: addresses[own],
                received: HashMap::new(),
                reset: Vec::new(),
                finished: Vec::new(),
            }
        };
        (peer(0), peer(1))
    }

    fn open(&mut self, id: u16, reliability: ReliabilityType, value: u32) {
        self.association
            .open_stream(id, PayloadProtocolIdentifier::Binary)
            .unwrap()
            .set_reliability_params(false, reliability, value)
            .unwrap();
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, packet: Bytes) {
        match self.endpoint.handle(now, from, None, None, packet) {
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                self.association.handle_event(event)
            }
            Some(_) => panic!("unexpected association"),
            None => {}
        }
    }

    fn read(&mut self, id: u16) {
        let Ok(mut stream) = self.association.stream(id) else {
            return;
        };
        while let Ok(Some(chunks)) = stream.read() {
            let mut message = vec![0; chunks.len()];
            chunks.read(&mut message).unwrap();
            self.received.entry(id).or_default().push(message);
        }
    }

    /// Handles events and returns what leaves.
    fn drain(&mut self, now: Instant) -> Vec<Bytes> {
        let mut out = Vec::new();
        loop {
            while let Some(event) = self.association.poll_endpoint_event() {
                if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                    self.association.handle_event(event);
                }
            }
            for id in self.association.stream_ids() {
                self.read(id);
            }
            while let Some(event) = self.association.poll() {
                match event {
                    Event::Stream(StreamEvent::Finished { id }) => self.finished.push(id),
                    Event::Stream(StreamEvent::ResetComplete { id }) => self.reset.push(id),
                    Event::AssociationLost { reason } => panic!("{reason}"),
                    _ => {}
                }
            }
            match self.association.poll_transmit(now) {
                Some(transmit) => match transmit.payload {
                    Payload::RawEncode(packets) => out.extend(packets),
                    Payload::PartialDecode(_) => panic!("outgoing packets are encoded"),
                },
                None => return out,
            }
        }
    }
}

/// One path, both ways: packets by when they arrive.
struct Path {
    random: StdRng,
    loss: f64,
    now: Duration,
    number: u64,
    packets: BTreeMap<(Duration, u64), (bool, Bytes)>,
}

impl Path {
    fn new(seed: u64, loss: f64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self {
            random,
            loss,
            now: Duration::ZERO,
            number: 0,
            packets: BTreeMap::new(),
        }
    }

    fn send(&mut self, to_second: bool, packets: Vec<Bytes>) {
        for packet in packets {
            if self.random.random_bool(self.loss) {
                continue;
            }
            self.number += 1;
            let delay = Duration::from_micros(self.random.random_range(5_000..6_000));
            self.packets
                .insert((self.now + delay, self.number), (to_second, packet));
        }
    }

    /// Runs until `done`, or panics after `limit` of simulated time.
    fn run(
        &mut self,
        base: Instant,
        (a, b): (&mut Peer, &mut Peer),
        limit: Duration,
        mut done: impl FnMut(&mut Peer, &mut Peer) -> bool,
    ) {
        let end = self.now + limit;
        loop {
            let now = base + self.now;
            self.send(true, a.drain(now));
            self.send(false, b.drain(now));
            if done(a, b) {
                return;
            }
            let arrival = self.packets.keys().next().map(|(at, _)| *at);
            let timers = [&a.association, &b.association];
            let timer = timers.iter().filter_map(|peer| peer.poll_timeout()).min();
            let timer = timer.map(|at| at.saturating_duration_since(base));
            let next = arrival.into_iter().chain(timer).min();
            self.now = next.expect("nothing can happen any more").max(self.now);
            assert!(self.now < end, "not done in time");
            let now = base + self.now;
            a.association.handle_timeout(now);
            b.association.handle_timeout(now);
            while let Some(packet) = self.packets.first_entry().filter(|p| p.key().0 <= self.now) {
                let (to_second, packet) = packet.remove();
                let (from, to) = if to_second {
                    (&*a, &mut *b)
                } else {
                    (&*b, &mut *a)
                };
                to.receive(now, from.address, packet);
            }
        }
    }
}

fn message(id: u16, number: u32, len: usize) -> Vec<u8> {
    let mut message = vec![id as u8; len];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

#[test]
fn reliable_messages_arrive_once_and_in_order() {
    for seed in 0..24 {
        let loss = f64::from(seed as u32 % 6) * 0.04;
        let (mut a, mut b) = Peer::pair();
        let mut sizes = StdRng::seed_from_u64(seed + 1000);
        let mut sent: HashMap<u16, Vec<Vec<u8>>> = HashMap::new();
        for id in 0..STREAMS {
            a.open(id, ReliabilityType::Reliable, 0);
            b.open(id, ReliabilityType::Reliable, 0);
        }
        for number in 0..60 {
            for id in 0..STREAMS {
                let message = message(id, number, sizes.random_range(4..9_000));
                a.association.stream(id).unwrap().write(&message).unwrap();
                sent.entry(id).or_default().push(message);
            }
        }
        let total: usize = sent.values().map(Vec::len).sum();
        Path::new(seed, loss).run(
            Instant::now(),
            (&mut a, &mut b),
            Duration::from_secs(3_000),
            |_, b| b.received.values().map(Vec::len).sum::<usize>() == total,
        );
        assert!(b.received == sent, "seed {seed}");
        let seen = take_observed();
        // Reordering alone makes gap reports too, so without loss there may be some.
        assert!(seen.retransmitted_chunks > 0 || loss == 0.0, "seed {seed}");
        let round_trip = seen.round_trip.unwrap();
        assert!(round_trip >= Duration::from_millis(10), "{round_trip:?}");
    }
}

#[test]
fn abandoned_messages_do_not_hold_up_what_follows() {
    for (seed, reliability, value) in (0..16).flat_map(|seed| {
        [
            (seed, ReliabilityType::Rexmit, 0),
            (seed, ReliabilityType::Timed, 200),
        ]
    }) {
        let (mut a, mut b) = Peer::pair();
        for peer in [&mut a, &mut b] {
            peer.open(0, reliability, value);
            peer.open(1, ReliabilityType::Reliable, 0);
        }
        for number in 0..100 {
            for id in 0..2 {
                let message = message(id, number, 3_000);
                a.association.stream(id).unwrap().write(&message).unwrap();
            }
        }
        Path::new(seed, 0.1).run(
            Instant::now(),
            (&mut a, &mut b),
            Duration::from_secs(3_000),
            |a, b| {
                let left = a.association.stream(0).unwrap().buffered_amount().unwrap();
                left == 0 && b.received.get(&1).map_or(0, Vec::len) == 100
            },
        );
        // Whole messages, in order, without what was given up.
        let numbers: Vec<u32> = b
            .received
            .remove(&0)
            .unwrap_or_default()
            .iter()
            .map(|m| {
                assert_eq!(m.len(), 3_000);
                u32::from_be_bytes(m[..4].try_into().unwrap())
            })
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "seed {seed}: {numbers:?}"
        );
        assert!(numbers.len() < 100, "seed {seed}: nothing was abandoned");
    }
}

/// RFC 8831, section 6.7: a channel is closed by one reset of each direction.
/// Then its id is free, and nothing of the old generation may touch the next.
#[test]
fn a_reset_is_answered_once_and_the_id_is_free_for_both_sides() {
    for (seed, loss) in (0..40).map(|seed| (seed, f64::from(seed as u32 % 4) * 0.05)) {
        let (mut a, mut b) = Peer::pair();
        let mut path = Path::new(seed, loss);
        let base = Instant::now();
        let limit = Duration::from_secs(3_000);
        for generation in 0..5 {
            a.open(0, ReliabilityType::Reliable, 0);
            let first = message(0, generation, 2_000);
            a.association.stream(0).unwrap().write(&first).unwrap();
            path.run(base, (&mut a, &mut b), limit, |_, b| {
                b.received.get(&0).map_or(0, Vec::len) == generation as usize + 1
            });
            assert_eq!(b.received[&0].last(), Some(&first));
            // Either side goes first, or both at once.
            if seed % 3 != 0 {
                a.association.stream(0).unwrap().close().unwrap();
            }
            if seed % 3 != 1 {
                b.association.stream(0).unwrap().close().unwrap();
            }
            path.run(base, (&mut a, &mut b), limit, |a, b| {
                let done = generation as usize + 1;
                a.reset.len() == done && b.reset.len() == done
            });
            assert_eq!(a.finished, a.reset, "seed {seed}");
            assert_eq!(b.finished, b.reset, "seed {seed}");
        }
    }
}

/// The side that closed has seen both resets and uses the id again. The other
/// side's reset may still wait for its response, which is late or lost; it can
/// answer on the new stream all the same.
#[test]
fn an_id_that_the_peer_uses_again_can_be_answered_at_once() {
    for (seed, loss) in (0..40).map(|seed| (seed, f64::from(seed as u32 % 4) * 0.05)) {
        let (mut a, mut b) = Peer::pair();
        let mut path = Path::new(seed, loss);
        let base = Instant::now();
        let limit = Duration::from_secs(3_000);
        for generation in 0..20 {
            a.open(0, ReliabilityType::Reliable, 0);
            let question = message(0, generation, 2_000);
            a.association.stream(0).unwrap().write(&question).unwrap();
            let arrived = |peer: &mut Peer| {
                peer.received.get(&0).map_or(0, Vec::len) == generation as usize + 1
            };
            path.run(base, (&mut a, &mut b), limit, |_, b| arrived(b));
            let answer = b.association.stream(0).unwrap().write(&question);
            answer.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            path.run(base, (&mut a, &mut b), limit, |a, _| arrived(a));
            a.association.stream(0).unwrap().close().unwrap();
            path.run(base, (&mut a, &mut b), limit, |a, _| {
                a.reset.len() == generation as usize + 1
            });
        }
        path.run(base, (&mut a, &mut b), limit, |_, b| b.reset.len() == 20);
        assert_eq!(b.finished, b.reset, "seed {seed}");
    }
}
