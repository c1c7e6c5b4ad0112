//! One connection as the worker sees it: its streams, and who waits for what.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_timer::Delay;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use send_wrapper::SendWrapper;

use super::channel::{Channel, ChannelEvent};
use super::error::CloseReason;
use super::page::Page;
use super::port::{FromPage, Handle, NEGOTIATED_STREAM, ToPage};
use super::stream::{Stream, Substream};
use crate::webrtc::limits::{FIN_ACK_TIMEOUT, MAX_STREAMS, MAX_UNREAD_PER_CONNECTION};

/// A connection that the page holds for us.
pub(super) struct Connection {
    id: u32,
    page: Rc<Page>,
    state: RefCell<State>,
}

struct State {
    streams: HashMap<u32, Stream>,
    next_key: u32,
    inbound: VecDeque<u32>,
    offer: Option<String>,
    reason: Option<CloseReason>,
    accept_waker: Option<Waker>,
    open_waker: Option<Waker>,
    state_waker: Option<Waker>,
}

pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Connection {
    pub(super) fn new(id: u32, page: Rc<Page>) -> Self {
        let state = State {
            streams: HashMap::from([(NEGOTIATED_STREAM, Stream::new())]),
            next_key: NEGOTIATED_STREAM + 1,
            inbound: VecDeque::new(),
            offer: None,
            reason: None,
            accept_waker: None,
            open_waker: None,
            state_waker: None,
        };
        Self { id, page, state: RefCell::new(state) }
    }

    /// Takes one message of the page.
    pub(super) fn handle(self: &Rc<Self>, message: FromPage) {
        match message {
            FromPage::Offer { sdp } => {
                let mut state = self.state.borrow_mut();
                state.offer = Some(sdp);
                wake(&mut state.state_waker);
            }
            FromPage::Stream { stream: Some(key), handle } => self.attach(key, handle),
            FromPage::Stream { stream: None, handle } => self.accept(handle),
            FromPage::Closed { reason } => self.end(CloseReason::Page(reason)),
        }
    }

    /// Gives a stream its channel. One that was closed meanwhile closes the channel.
    fn attach(self: &Rc<Self>, key: u32, handle: Handle) {
        let weak = Rc::downgrade(self);
        let channel = Channel::new(handle, move |event| {
            if let Some(connection) = weak.upgrade() {
                connection.handle_channel_event(key, event);
            }
        });
        let mut state = self.state.borrow_mut();
        match state.streams.get_mut(&key) {
            Some(stream) => stream.attach(channel),
            None => channel.close(),
        }
        state.flush(key);
    }

    /// A channel that the peer opened.
    fn accept(self: &Rc<Self>, handle: Handle) {
        let mut state = self.state.borrow_mut();
        let key = state.next_key();
        if state.reason.is_none() && state.streams.len() < MAX_STREAMS {
            state.streams.insert(key, Stream::new());
            state.inbound.push_back(key);
            wake(&mut state.accept_waker);
        } else {
            tracing::debug!("a peer opened more than {MAX_STREAMS} streams");
        }
        drop(state);
        self.attach(key, handle);
    }

    fn handle_channel_event(&self, key: u32, event: ChannelEvent) {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(&key) else { return };
        match event {
            ChannelEvent::Open | ChannelEvent::BufferLow => stream.wake(),
            ChannelEvent::Message(bytes) => {
                if let Err(violation) = stream.core.handle_message(bytes.into()) {
                    tracing::debug!(%violation, "stream reset");
                }
                stream.wake();
            }
            ChannelEvent::Closed => stream.handle_channel_closed(),
        }
        state.flush(key);
        let bytes: usize = state.streams.values().map(|stream| stream.core.unread_len()).sum();
        drop(state);
        if bytes > MAX_UNREAD_PER_CONNECTION {
            self.close(CloseReason::Unread { bytes });
        }
    }

    /// Waits for the page's offer.
    ///
    /// # Errors
    /// [`CloseReason`] if the connection ends first.
    pub(super) async fn offer(&self) -> Result<String, CloseReason> {
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            if let Some(reason) = &state.reason {
                return Poll::Ready(Err(reason.clone()));
            }
            match state.offer.take() {
                Some(offer) => Poll::Ready(Ok(offer)),
                None => {
                    state.state_waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub(super) fn answer(&self, sdp: &str) {
        self.page.post(&ToPage::Answer { connection: self.id, sdp });
    }

    /// The stream on the negotiated channel.
    pub(super) fn negotiated(self: &Rc<Self>) -> Substream {
        Substream::new(self.clone(), NEGOTIATED_STREAM)
    }

    /// Why the connection is over, if it is.
    pub(super) fn reason(&self) -> Option<CloseReason> {
        self.state.borrow().reason.clone()
    }

    /// Ends the connection and tells the page.
    pub(super) fn close(&self, reason: CloseReason) {
        if self.reason().is_none() {
            self.page.post(&ToPage::Close { connection: self.id });
            self.end(reason);
        }
    }

    /// Tells everybody who waits. The first reason stays.
    fn end(&self, reason: CloseReason) {
        let mut state = self.state.borrow_mut();
        if state.reason.is_none() {
            tracing::debug!(%reason, "webrtc connection over");
            state.reason = Some(reason);
        }
        state.streams.values_mut().for_each(Stream::handle_channel_closed);
        wake(&mut state.accept_waker);
        wake(&mut state.open_waker);
        wake(&mut state.state_waker);
    }

    pub(super) fn with_stream<T>(
        &self,
        key: u32,
        f: impl FnOnce(&mut Stream) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.state.borrow_mut().streams.get_mut(&key) {
            Some(stream) => f(stream),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// The application let go of a stream. Its channel ends at once if it can, or when the peer agrees, or late.
    pub(super) fn release(self: &Rc<Self>, key: u32) {
        let mut state = self.state.borrow_mut();
        if let Some(stream) = state.streams.get_mut(&key) {
            stream.release();
        }
        if state.flush(key) {
            let connection = Rc::downgrade(self);
            wasm_bindgen_futures::spawn_local(async move {
                Delay::new(FIN_ACK_TIMEOUT).await;
                if let Some(connection) = connection.upgrade() {
                    connection.expire(key);
                }
            });
        }
    }

    fn expire(&self, key: u32) {
        let mut state = self.state.borrow_mut();
        if let Some(stream) = state.streams.get_mut(&key) {
            stream.close_channel();
        }
        state.flush(key);
    }
}

impl State {
    /// Stream keys are never used twice while in use: 2^32 streams outlast any tab.
    fn next_key(&mut self) -> u32 {
        let key = self.next_key;
        self.next_key = self.next_key.wrapping_add(1).max(NEGOTIATED_STREAM + 1);
        key
    }

    /// Flushes a stream and forgets it if it is over. Returns whether it is still there.
    fn flush(&mut self, key: u32) -> bool {
        let Some(stream) = self.streams.get_mut(&key) else { return false };
        let needed = stream.flush();
        if !needed {
            self.streams.remove(&key);
            wake(&mut self.open_waker);
        }
        needed
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close(CloseReason::Local);
        self.page.forget(self.id);
    }
}

/// The streams of an authenticated connection: a libp2p [`StreamMuxer`]. Dropping it closes the connection.
pub struct Muxer {
    connection: SendWrapper<Rc<Connection>>,
}

impl Muxer {
    pub(super) fn new(connection: Rc<Connection>) -> Self {
        Self { connection: SendWrapper::new(connection) }
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        self.connection.close(CloseReason::Local);
    }
}

impl fmt::Debug for Muxer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Muxer").finish_non_exhaustive()
    }
}

impl StreamMuxer for Muxer {
    type Substream = Substream;
    type Error = CloseReason;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, CloseReason>> {
        let mut state = self.connection.state.borrow_mut();
        if let Some(reason) = &state.reason {
            return Poll::Ready(Err(reason.clone()));
        }
        match state.inbound.pop_front() {
            Some(key) => Poll::Ready(Ok(Substream::new((*self.connection).clone(), key))),
            None => {
                state.accept_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Writes wait until the page has made the channel.
    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, CloseReason>> {
        let mut state = self.connection.state.borrow_mut();
        if let Some(reason) = &state.reason {
            return Poll::Ready(Err(reason.clone()));
        }
        if state.streams.len() >= MAX_STREAMS {
            state.open_waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let key = state.next_key();
        state.streams.insert(key, Stream::new());
        let Connection { id, page, .. } = &**self.connection;
        page.post(&ToPage::Open { connection: *id, stream: key });
        Poll::Ready(Ok(Substream::new((*self.connection).clone(), key)))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.connection.close(CloseReason::Local);
        Poll::Ready(Ok(()))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, CloseReason>> {
        let mut state = self.connection.state.borrow_mut();
        match &state.reason {
            Some(reason) => Poll::Ready(Err(reason.clone())),
            None => {
                state.state_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
