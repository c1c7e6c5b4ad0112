//! Which connection a datagram belongs to, without I/O.
//!
//! A connection is known by its pair of username fragments, not by its address: browsers probe from several sockets and
//! change networks. A connectivity check whose integrity holds teaches the router the address; everything else is then
//! routed by address. A check with an unknown pair is a first contact: it must pass the integrity check, the rate limit
//! of its source and the caps before anything is allocated.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Instant;

use str0m::ice::StunMessage;

use super::certificate::provider;
use super::gate::Gate;
use crate::webrtc::credentials::{CredentialError, Credentials};
use crate::webrtc::limits::{MAX_ADDRESSES_PER_CONNECTION, MAX_CONNECTIONS, MAX_HANDSHAKES};

/// Names a connection of one listener.
pub(super) type SessionId = u64;

/// Where a datagram goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// To a connection that exists.
    Session(SessionId),
    /// To a new connection: allocate it and call [`Router::insert`].
    New(Credentials),
    /// Nowhere.
    Drop(DropReason),
}

/// Why a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DropReason {
    /// No connection has this source address.
    UnknownSource,
    /// Neither STUN, nor anything else that WebRTC sends.
    Malformed,
    /// A STUN message other than a connectivity check.
    NotACheck,
    /// The `USERNAME` is not one of webrtc-direct.
    Credentials(CredentialError),
    /// The check is not signed with the password that its `USERNAME` implies.
    Integrity,
    /// The source made too many first contacts.
    RateLimited,
    /// The listener is at its cap of handshakes or connections.
    Full,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Router {
    by_credentials: HashMap<Credentials, SessionId>,
    by_address: HashMap<SocketAddr, SessionId>,
    sessions: HashMap<SessionId, Entry>,
    handshaking: HashSet<SessionId>,
    gate: Gate,
}

#[derive(Debug)]
struct Entry {
    credentials: Credentials,
    addresses: Vec<SocketAddr>,
}

impl Router {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            by_credentials: HashMap::new(),
            by_address: HashMap::new(),
            sessions: HashMap::new(),
            handshaking: HashSet::new(),
            gate: Gate::new(now),
        }
    }

    /// Routes one datagram.
    pub(super) fn route(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Route {
        // RFC 7983: the first byte tells STUN (0..=3) from the rest.
        match datagram.first() {
            None => Route::Drop(DropReason::Malformed),
            Some(0..=3) => self.route_stun(now, source, datagram),
            Some(_) => match self.by_address.get(&source) {
                Some(id) => Route::Session(*id),
                None => Route::Drop(DropReason::UnknownSource),
            },
        }
    }

    fn route_stun(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Route {
        let Ok(message) = StunMessage::parse(datagram) else { return Route::Drop(DropReason::Malformed) };
        if !message.is_binding_request() {
            return Route::Drop(DropReason::NotACheck);
        }
        let credentials = match Credentials::from_stun_username(message.username().unwrap_or_default()) {
            Ok(credentials) => credentials,
            Err(error) => return Route::Drop(DropReason::Credentials(error)),
        };
        let known = self.by_credentials.get(&credentials).copied();
        if known.is_some() && self.by_address.get(&source).copied() == known {
            return known.map(Route::Session).expect("just found");
        }
        let hmac = |key: &[u8], parts: &[&[u8]]| provider().sha1_hmac_provider.sha1_hmac(key, parts);
        if !message.verify(credentials.server_pwd().as_bytes(), hmac) {
            return Route::Drop(DropReason::Integrity);
        }
        if let Some(id) = known {
            self.learn(id, source);
            return Route::Session(id);
        }
        if !self.gate.admit(now, source.ip()) {
            return Route::Drop(DropReason::RateLimited);
        }
        if self.handshaking.len() >= MAX_HANDSHAKES || self.sessions.len() >= MAX_CONNECTIONS {
            return Route::Drop(DropReason::Full);
        }
        Route::New(credentials)
    }

    /// Adds the connection that a [`Route::New`] asked for.
    pub(super) fn insert(&mut self, id: SessionId, credentials: Credentials, source: SocketAddr) {
        self.by_credentials.insert(credentials.clone(), id);
        self.sessions.insert(id, Entry { credentials, addresses: Vec::new() });
        self.handshaking.insert(id);
        self.learn(id, source);
    }

    /// The handshake of `id` is complete.
    pub(super) fn established(&mut self, id: SessionId) {
        self.handshaking.remove(&id);
    }

    /// Forgets a connection.
    pub(super) fn remove(&mut self, id: SessionId) {
        self.handshaking.remove(&id);
        if let Some(entry) = self.sessions.remove(&id) {
            self.by_credentials.remove(&entry.credentials);
            for address in entry.addresses {
                if self.by_address.get(&address) == Some(&id) {
                    self.by_address.remove(&address);
                }
            }
        }
    }

    /// Connections, finished handshakes or not.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// `source` proved that it holds the credentials of `id`. The oldest address makes room.
    fn learn(&mut self, id: SessionId, source: SocketAddr) {
        let Some(entry) = self.sessions.get_mut(&id) else { return };
        if entry.addresses.len() >= MAX_ADDRESSES_PER_CONNECTION {
            let oldest = entry.addresses.remove(0);
            if self.by_address.get(&oldest) == Some(&id) {
                self.by_address.remove(&oldest);
            }
        }
        entry.addresses.push(source);
        self.by_address.insert(source, id);
    }
}

#[cfg(test)]
mod tests {
    use str0m::ice::TransId;

    use super::*;
    use crate::webrtc::credentials::Version;
    use crate::webrtc::limits::FIRST_CONTACT_BURST;

    const PWD: &str = "abcdefghijklmnopqrstuvwx";

    fn source(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 4000))
    }

    fn check(username: &str, signed_with: Option<&str>) -> Vec<u8> {
        let hmac = |key: &[u8], parts: &[&[u8]]| provider().sha1_hmac_provider.sha1_hmac(key, parts);
        let mut buf = vec![0; 1000];
        let message = StunMessage::binding_request(username, TransId::new(), true, 7, 1, true);
        let len = message.to_bytes(signed_with.map(str::as_bytes), &mut buf, hmac).unwrap();
        buf.truncate(len);
        buf
    }

    fn username(client: &str) -> (String, String) {
        let server = format!("libp2p+webrtc+v2/{PWD}");
        (format!("{server}:{client}"), server)
    }

    fn first_contact(client: &str) -> Vec<u8> {
        let (username, server) = username(client);
        check(&username, Some(&server))
    }

    #[test]
    fn a_connection_is_known_by_its_fragments_from_any_address() {
        let now = Instant::now();
        let mut router = Router::new(now);
        let datagram = first_contact("abcd");
        let Route::New(credentials) = router.route(now, source(1), &datagram) else { panic!("a first contact") };
        assert_eq!(credentials.client_pwd(), PWD);
        router.insert(5, credentials, source(1));
        assert_eq!(router.route(now, source(1), &datagram), Route::Session(5));
        // DTLS from an address that has not shown the credentials is nobody's.
        let dtls = [22, 254, 253, 0];
        assert_eq!(router.route(now, source(2), &dtls), Route::Drop(DropReason::UnknownSource));
        assert_eq!(router.route(now, source(2), &datagram), Route::Session(5));
        assert_eq!(router.route(now, source(2), &dtls), Route::Session(5));
        assert!(matches!(router.route(now, source(2), &first_contact("efgh")), Route::New(_)));
        router.remove(5);
        assert_eq!(router.len(), 0);
        assert_eq!(router.route(now, source(2), &dtls), Route::Drop(DropReason::UnknownSource));
    }

    #[test]
    fn a_forged_check_neither_connects_nor_takes_an_address_over() {
        let now = Instant::now();
        let mut router = Router::new(now);
        let (username, server) = username("abcd");
        let unsigned = (check(&username, None), DropReason::Malformed);
        let forged = (check(&username, Some("another password for it")), DropReason::Integrity);
        for (datagram, reason) in [unsigned, forged] {
            assert_eq!(router.route(now, source(1), &datagram), Route::Drop(reason));
            router.insert(5, Credentials::from_stun_username(&username).unwrap(), source(1));
            assert_eq!(router.route(now, source(2), &datagram), Route::Drop(reason));
            router.remove(5);
        }
        let mut cut = check(&username, Some(&server));
        cut.truncate(30);
        assert_eq!(router.route(now, source(1), &cut), Route::Drop(DropReason::Malformed));
    }

    #[test]
    fn version_1_is_served_on_the_same_port() {
        let now = Instant::now();
        let mut router = Router::new(now);
        let v1 = format!("libp2p+webrtc+v1/{PWD}");
        let username = format!("{v1}:{v1}");
        let Route::New(credentials) = router.route(now, source(1), &check(&username, Some(&v1))) else {
            panic!("a first contact")
        };
        assert_eq!((credentials.version, credentials.client_pwd()), (Version::V1, &*v1));
        let forged = check(&username, Some("another password for it"));
        assert_eq!(router.route(now, source(1), &forged), Route::Drop(DropReason::Integrity));
    }

    #[test]
    fn other_versions_are_dropped_before_anything_else() {
        let now = Instant::now();
        let mut router = Router::new(now);
        let v3 = format!("libp2p+webrtc+v3/{PWD}");
        let datagram = check(&format!("{v3}:{v3}"), Some(&v3));
        let refused = Route::Drop(DropReason::Credentials(CredentialError::UnknownVersion));
        assert_eq!(router.route(now, source(1), &datagram), refused);
    }

    #[test]
    fn one_source_cannot_make_first_contact_for_ever() {
        let now = Instant::now();
        let mut router = Router::new(now);
        for i in 0..FIRST_CONTACT_BURST {
            let route = router.route(now, source(1), &first_contact(&format!("client{i}")));
            assert!(matches!(route, Route::New(_)), "{i}: {route:?}");
        }
        let limited = Route::Drop(DropReason::RateLimited);
        assert_eq!(router.route(now, source(1), &first_contact("another")), limited);
    }

    #[test]
    fn unfinished_handshakes_are_capped() {
        let now = Instant::now();
        let mut router = Router::new(now);
        let credentials = |i: usize| Credentials::from_stun_username(&username(&format!("client{i}")).0).unwrap();
        for i in 0..MAX_HANDSHAKES {
            router.insert(i as SessionId, credentials(i), source(9));
        }
        let datagram = first_contact("another");
        assert_eq!(router.route(now, source(1), &datagram), Route::Drop(DropReason::Full));
        router.established(0);
        assert!(matches!(router.route(now, source(1), &datagram), Route::New(_)));
    }

    proptest::proptest! {
        #[test]
        fn garbage_is_dropped(first in 0u8..4, rest in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let now = Instant::now();
            let mut datagram = vec![first];
            datagram.extend(rest);
            assert!(matches!(Router::new(now).route(now, source(1), &datagram), Route::Drop(_)));
        }
    }
}
