//! One WebRTC connection without I/O: a str0m instance and the streams on its data channels.
//!
//! Driving it:
//! 1. Make one with [`Session::accept`] or [`Session::dial`].
//! 2. Give it datagrams and expired timeouts; after each, call [`Session::poll_output`] until it gives a timeout.
//! 3. After anything an application did with a stream, poll the output again.
//! 4. When [`Output::Closed`] comes, drop it.
//!
//! The noise handshake runs outside, on the stream of [`Session::handshake_stream`], once [`Session::poll_ready`] says so.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use sctp_proto::Observed;
use str0m::channel::{ChannelConfig, ChannelData, ChannelId};
use str0m::config::Fingerprint as SdpFingerprint;
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Event, IceCreds, Input, Rtc};

use super::certificate::{Certificate, provider};
use super::error::{CloseReason, SessionError};
use super::send_window::SendWindow;
use super::session_stream::Stream;
use crate::telemetry::PathFigures;
use crate::webrtc::credentials::{self, Credentials, Version};
use crate::webrtc::fingerprint::Fingerprint;
use crate::webrtc::limits::{
    HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, MAX_FRAME_LEN, MAX_SEND_WINDOW, MAX_STREAMS, MAX_UNREAD_PER_CONNECTION,
    MAX_UNSENT, RESERVED_PER_STREAM, SEND_WINDOW_WAKE,
};

/// What [`Session::poll_output`] gives.
#[derive(Debug)]
pub(super) enum Output {
    /// Send this datagram.
    Transmit(Transmit),
    /// Nothing to do before this instant.
    Timeout(Instant),
    /// The connection is over and everything was said.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Until the Noise handshake outside is done.
    Handshaking {
        deadline: Instant,
    },
    Open,
    /// Close notifications are being sent.
    Closing,
    Closed,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) rtc: Rtc,
    pub(super) streams: HashMap<ChannelId, Stream>,
    /// Some stream has control frames to send or a channel to close.
    pub(super) needs_flush: bool,
    /// Some writer found the send window full.
    pub(super) send_blocked: bool,
    pub(super) send_window: SendWindow,
    /// Bytes written that SCTP has not sent yet.
    pub(super) unsent: usize,
    pub(super) path: Arc<PathFigures>,
    dialler: bool,
    local: SocketAddr,
    handshake_channel: ChannelId,
    handshake_open: bool,
    phase: Phase,
    reason: Option<CloseReason>,
    last_received: Instant,
    inbound: VecDeque<ChannelId>,
    accept_waker: Option<Waker>,
    open_waker: Option<Waker>,
    state_waker: Option<Waker>,
}

impl Session {
    /// The listener's side of a connection whose first check came from `source`.
    ///
    /// # Errors
    /// [`SessionError`] if the addresses cannot be candidates or DTLS cannot start.
    pub(super) fn accept(
        now: Instant,
        certificate: &Certificate,
        credentials: &Credentials,
        local: SocketAddr,
        source: SocketAddr,
    ) -> Result<Self, SessionError> {
        let own = IceCreds { ufrag: credentials.server_ufrag.clone(), pass: credentials.server_pwd().to_owned() };
        let theirs = IceCreds { ufrag: credentials.client_ufrag.clone(), pass: credentials.client_pwd().to_owned() };
        // The dialler's fingerprint is not known yet: any value is set, DTLS does not verify it, Noise does.
        let unknown = Fingerprint::new([0; 32]);
        Self::new(now, certificate, local, source, unknown, Side::Listener { own }, |_| Ok(theirs))
    }

    /// The dialler's side, by the rules of `version`.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Self::accept`].
    pub(super) fn dial(
        now: Instant,
        certificate: &Certificate,
        local: SocketAddr,
        listener: SocketAddr,
        fingerprint: Fingerprint,
        version: Version,
    ) -> Result<Self, SessionError> {
        let same = |ufrag: String| IceCreds { pass: ufrag.clone(), ufrag };
        let own = match version {
            Version::V1 => Some(same(credentials::shared_ufrag()?)),
            Version::V2 => None,
        };
        Self::new(now, certificate, local, listener, fingerprint, Side::Dialler { own }, |own| {
            Ok(match version {
                Version::V1 => own.clone(),
                Version::V2 => same(credentials::server_ufrag(&own.pass)?),
            })
        })
    }

    fn new(
        now: Instant,
        certificate: &Certificate,
        local: SocketAddr,
        remote: SocketAddr,
        fingerprint: Fingerprint,
        side: Side,
        remote_credentials: impl FnOnce(&IceCreds) -> Result<IceCreds, SessionError>,
    ) -> Result<Self, SessionError> {
        let (dialler, own) = match side {
            Side::Listener { own } => (false, Some(own)),
            Side::Dialler { own } => (true, own),
        };
        let mut config = Rtc::builder()
            .set_crypto_provider(provider().clone())
            .set_dtls_cert(certificate.dtls())
            .set_ice_lite(!dialler)
            .set_fingerprint_verification(dialler)
            .set_sctp_max_buffered_amount(MAX_BUFFERED)
            .clear_codecs();
        if let Some(own) = own {
            config = config.set_local_ice_credentials(own);
        }
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp)?);
        let mut api = rtc.direct_api();
        api.set_ice_controlling(dialler);
        let remote_credentials = remote_credentials(&api.local_ice_credentials())?;
        api.set_remote_ice_credentials(remote_credentials);
        api.set_remote_fingerprint(SdpFingerprint {
            hash_func: "sha-256".to_owned(),
            bytes: fingerprint.digest().to_vec(),
        });
        api.start_dtls(dialler)?;
        api.start_sctp(dialler);
        let handshake_channel = api.create_data_channel(ChannelConfig { negotiated: Some(0), ..Default::default() });
        rtc.add_remote_candidate(Candidate::host(remote, Protocol::Udp)?);
        Ok(Self {
            rtc,
            streams: HashMap::from([(handshake_channel, Stream::new(dialler))]),
            needs_flush: false,
            send_blocked: false,
            send_window: SendWindow::default(),
            unsent: 0,
            path: Arc::default(),
            dialler,
            local,
            handshake_channel,
            handshake_open: false,
            phase: Phase::Handshaking { deadline: now + HANDSHAKE_TIMEOUT },
            reason: None,
            last_received: now,
            inbound: VecDeque::new(),
            accept_waker: None,
            open_waker: None,
            state_waker: None,
        })
    }

    /// Takes one datagram. Whatever str0m cannot parse or does not recognise is ignored.
    pub(super) fn handle_datagram(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let Ok(receive) = Receive::new(Protocol::Udp, source, self.local, datagram) else { return };
        let input = Input::Receive(now, receive);
        if !self.rtc.accepts(&input) {
            return;
        }
        self.last_received = now;
        // Anybody can send garbage from a forged address, so a bad datagram ends nothing: a handshake that really
        // failed meets its deadline.
        if let Err(error) = self.rtc.handle_input(input) {
            tracing::trace!(%error, "datagram not understood");
        }
        self.observe_path();
    }

    /// Lets time pass.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
            self.fail(CloseReason::WebRtc(error.to_string()));
        }
        self.observe_path();
        match self.phase {
            Phase::Handshaking { deadline } if now >= deadline => self.close(CloseReason::HandshakeTimeout),
            Phase::Handshaking { .. } | Phase::Open if now >= self.last_received + IDLE_TIMEOUT => {
                self.close(CloseReason::Idle);
            }
            _ => {}
        }
        if self.streams.values().any(|s| s.expired(now)) {
            self.needs_flush = true;
        }
    }

    /// The next thing to do.
    pub(super) fn poll_output(&mut self, now: Instant) -> Output {
        loop {
            if self.phase == Phase::Closed {
                return Output::Closed;
            }
            if std::mem::take(&mut self.needs_flush) {
                self.flush_streams(now);
            }
            let output = self.rtc.poll_output();
            self.observe_path();
            match output {
                Ok(str0m::Output::Transmit(transmit)) => return Output::Transmit(transmit),
                Ok(str0m::Output::Event(event)) => self.handle_event(event),
                Ok(str0m::Output::Timeout(_)) if !self.rtc.is_alive() => self.finish(CloseReason::Peer),
                Ok(str0m::Output::Timeout(timeout)) => {
                    self.observe_acknowledgements(now);
                    if !self.needs_flush {
                        return Output::Timeout(timeout.min(self.own_timeout(now)));
                    }
                }
                Err(error) => self.fail(CloseReason::WebRtc(error.to_string())),
            }
        }
    }

    fn own_timeout(&self, now: Instant) -> Instant {
        let idle = self.last_received + IDLE_TIMEOUT;
        let phase = match self.phase {
            Phase::Handshaking { deadline } => deadline.min(idle),
            Phase::Open => idle,
            Phase::Closing | Phase::Closed => now + IDLE_TIMEOUT,
        };
        self.streams.values().filter_map(Stream::deadline).fold(phase, Instant::min)
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::ChannelOpen(id, _) if id == self.handshake_channel => {
                self.handshake_open = true;
                self.wake_state();
                self.with_stream(id, Stream::wake);
            }
            Event::ChannelOpen(id, _) => self.handle_channel_open(id),
            Event::ChannelData(data) => self.handle_channel_data(data),
            Event::ChannelClose(id) => {
                self.with_stream(id, Stream::handle_channel_closed);
                self.needs_flush = true;
            }
            Event::Closed => self.close(CloseReason::Peer),
            // Media cannot be negotiated, and everything else is information.
            _ => {}
        }
    }

    fn handle_channel_open(&mut self, id: ChannelId) {
        if self.streams.contains_key(&id) {
            self.needs_flush = true;
            return self.with_stream(id, Stream::wake);
        }
        if self.streams.len() >= MAX_STREAMS {
            tracing::debug!("a peer opened more than {MAX_STREAMS} streams");
            return self.rtc.direct_api().close_data_channel(id);
        }
        self.streams.insert(id, Stream::new(self.dialler));
        self.inbound.push_back(id);
        wake(&mut self.accept_waker);
    }

    fn handle_channel_data(&mut self, data: ChannelData) {
        let Some(stream) = self.streams.get_mut(&data.id) else { return };
        if let Err(violation) = stream.core.handle_message(data.data.into()) {
            tracing::debug!(%violation, "stream reset");
        }
        stream.wake();
        self.needs_flush = true;
        let unread: usize = self.streams.values().map(|s| s.core.unread_len()).sum();
        if unread > MAX_UNREAD_PER_CONNECTION {
            self.close(CloseReason::Unread { bytes: unread });
        }
    }

    fn with_stream(&mut self, id: ChannelId, f: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.streams.get_mut(&id) {
            f(stream);
        }
    }

    /// Sends control frames, and closes the channels of streams that the application let go of.
    fn flush_streams(&mut self, now: Instant) {
        let Self { rtc, streams, send_blocked, .. } = self;
        let count = streams.len();
        streams.retain(|id, stream| stream.flush(now, *id, rtc, send_blocked));
        if streams.len() < count {
            wake(&mut self.open_waker);
        }
    }

    /// Measures the round trip, and wakes writers when a good piece of the window is free.
    fn observe_acknowledgements(&mut self, now: Instant) {
        if !self.send_blocked && !self.send_window.is_probing() {
            return;
        }
        let in_flight = self.in_flight();
        self.send_window.observe(now, in_flight);
        let has_room =
            in_flight + SEND_WINDOW_WAKE <= self.send_window.limit() && self.unsent + SEND_WINDOW_WAKE <= MAX_UNSENT;
        if self.send_blocked && has_room {
            self.send_blocked = false;
            self.needs_flush |= self.streams.values().any(|stream| stream.core.next_control().is_some());
            self.streams.values_mut().for_each(Stream::wake_writer);
        }
    }

    /// Takes what SCTP has seen of the path within the call into str0m just made.
    fn observe_path(&mut self) {
        let Observed { retransmitted_chunks, round_trip, unsent_bytes } = sctp_proto::take_observed();
        self.unsent = unsent_bytes.unwrap_or(self.unsent);
        if retransmitted_chunks > 0 {
            self.path.retransmitted(retransmitted_chunks);
        }
        if let Some(round_trip) = round_trip {
            self.path.measured(round_trip);
        }
    }

    /// Bytes written and not acknowledged, over all streams.
    pub(super) fn in_flight(&mut self) -> usize {
        let Self { rtc, streams, .. } = self;
        streams.keys().filter_map(|id| rtc.channel(*id).map(|mut channel| channel.buffered_amount())).sum()
    }

    /// Ready once channel 0 is open: the dialler's fingerprint as DTLS saw it.
    ///
    /// # Errors
    /// [`CloseReason`] if the connection ended first.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<Fingerprint, CloseReason>> {
        if let Some(reason) = &self.reason {
            return Poll::Ready(Err(reason.clone()));
        }
        if self.handshake_open {
            let api = self.rtc.direct_api();
            let digest = api.remote_dtls_fingerprint().and_then(|f| f.bytes.as_slice().try_into().ok());
            return Poll::Ready(digest.map(Fingerprint::new).ok_or(CloseReason::NoFingerprint));
        }
        self.state_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The stream on channel 0.
    pub(super) fn handshake_stream(&self) -> ChannelId {
        self.handshake_channel
    }

    /// The Noise handshake is done; the deadline falls away.
    pub(super) fn handshake_done(&mut self) {
        if let Phase::Handshaking { .. } = self.phase {
            self.phase = Phase::Open;
        }
    }

    /// The next stream that the peer opened.
    ///
    /// # Errors
    /// [`CloseReason`] if the connection is over.
    pub(super) fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Poll<Result<ChannelId, CloseReason>> {
        if let Some(reason) = &self.reason {
            return Poll::Ready(Err(reason.clone()));
        }
        // A channel opened and closed again before anyone looked is not worth reporting, but costs nothing either.
        match self.inbound.pop_front() {
            Some(id) => Poll::Ready(Ok(id)),
            None => {
                self.accept_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Opens a stream; writes wait until its channel is open. Pending at the cap of streams.
    ///
    /// # Errors
    /// [`CloseReason`] if the connection is over.
    pub(super) fn poll_outbound(&mut self, cx: &mut Context<'_>) -> Poll<Result<ChannelId, CloseReason>> {
        if let Some(reason) = &self.reason {
            return Poll::Ready(Err(reason.clone()));
        }
        if self.streams.len() >= MAX_STREAMS {
            self.open_waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let id = self.rtc.direct_api().create_data_channel(ChannelConfig::default());
        self.streams.insert(id, Stream::new(self.dialler));
        Poll::Ready(Ok(id))
    }

    /// Ready when the connection is over.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        match &self.reason {
            Some(reason) => Poll::Ready(reason.clone()),
            None => {
                self.state_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ends the connection, telling the peer.
    pub(super) fn close(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            return;
        }
        self.phase = Phase::Closing;
        self.end(reason);
        if self.rtc.close().is_err() {
            self.phase = Phase::Closed;
        }
    }

    /// Ends the connection, since str0m cannot go on.
    pub(super) fn fail(&mut self, reason: CloseReason) {
        self.rtc.disconnect();
        self.finish(reason);
    }

    fn finish(&mut self, reason: CloseReason) {
        self.end(reason);
        self.phase = Phase::Closed;
    }

    /// Tells everybody who waits. The first reason stays.
    fn end(&mut self, reason: CloseReason) {
        if self.reason.is_none() {
            tracing::debug!(%reason, "webrtc connection over");
            self.reason = Some(reason);
        }
        self.streams.values_mut().for_each(Stream::handle_channel_closed);
        wake(&mut self.accept_waker);
        wake(&mut self.open_waker);
        self.wake_state();
    }

    fn wake_state(&mut self) {
        wake(&mut self.state_waker);
    }
}

/// What SCTP may hold: the window, a frame or two beyond it, and every stream's reserve.
const MAX_BUFFERED: usize = MAX_SEND_WINDOW + SEND_WINDOW_WAKE + MAX_STREAMS * RESERVED_PER_STREAM;

/// Credentials of this side; without any, str0m invents them.
enum Side {
    Listener { own: IceCreds },
    Dialler { own: Option<IceCreds> },
}

pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

// Control frames always fit above the window, so only data waits for it.
const _: () = assert!(SEND_WINDOW_WAKE > MAX_FRAME_LEN);
