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
    /// The `USERNAME` is not one of webrtc-direct v2.
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
