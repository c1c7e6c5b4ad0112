//! One `WebSocket` as a stream of bytes.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use futures::{AsyncRead, AsyncWrite, FutureExt as _};
use futures_timer::Delay;
use js_sys::{ArrayBuffer, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use crate::websocket::{
    limits::{MAX_UNREAD, MAX_WRITE_LEN, SEND_QUEUE_LOOK},
    send_queue::SendQueue,
};

/// Close code of a connection that has served its purpose (RFC 6455, section 7.4.1).
const CLOSE_NORMAL: u16 = 1000;

/// Why a WebSocket is none, or is none any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The browser does not let this page open it, for instance `ws:` on a page of `https:`.
    #[error("the browser refuses to open {url}")]
    Refused {
        /// What was to be opened.
        url: String,
    },
    /// It did not open. Browsers do not tell pages why.
    #[error("{url} cannot be opened (code {code})")]
    Unreachable {
        /// What was to be opened.
        url: String,
        /// Close code (RFC 6455, section 7.4); 1006 where there was no answer.
        code: u16,
    },
    /// The other end closed it, or the network did.
    #[error("the WebSocket ended (code {code})")]
    Ended {
        /// Close code (RFC 6455, section 7.4).
        code: u16,
    },
    /// The other end sent text, which libp2p never does.
    #[error("the peer sent a text message")]
    Text,
    /// More arrived than the application read.
    #[error("{bytes} bytes are unread, more than a connection may hold")]
    Unread {
        /// Unread bytes.
        bytes: usize,
    },
    /// This side has closed it.
    #[error("closed by this side")]
    Closed,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(io::ErrorKind::BrokenPipe, error)
    }
}

/// An open WebSocket. Closed when dropped.
pub struct Connection(SendWrapper<Inner>);

struct Inner {
    socket: WebSocket,
    state: Rc<RefCell<State>>,
    /// Runs while a writer waits for room.
    look: Option<Delay>,
    send_queue: SendQueue,
    // Kept alive for as long as the browser may call them.
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

#[derive(Default)]
struct State {
    open: bool,
    ended: Option<Error>,
    /// Messages that arrived, and how much of the first is read.
    unread: VecDeque<Vec<u8>>,
    read_of_first: usize,
    unread_bytes: usize,
    opener: Option<Waker>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    fn end(&mut self, error: Error) {
        self.ended.get_or_insert(error);
        for waker in [self.opener.take(), self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn receive(&mut self, message: Vec<u8>) {
        if self.ended.is_some() || message.is_empty() {
            return;
        }
        self.unread_bytes += message.len();
        if self.unread_bytes > MAX_UNREAD {
            self.end(Error::Unread { bytes: self.unread_bytes });
            return;
        }
        self.unread.push_back(message);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Moves unread bytes; 0 if there are none.
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut read = 0;
        while let Some(first) = self.unread.front() {
            let rest = &first[self.read_of_first..];
            let len = rest.len().min(buf.len() - read);
            buf[read..read + len].copy_from_slice(&rest[..len]);
            (read, self.read_of_first) = (read + len, self.read_of_first + len);
            if self.read_of_first < first.len() {
                break;
            }
            self.unread.pop_front();
            self.read_of_first = 0;
        }
        self.unread_bytes -= read;
        read
    }
}

impl Connection {
    /// Opens a WebSocket.
    pub(super) async fn open(url: String) -> Result<Self, Error> {
        let socket = WebSocket::new(&url).map_err(|_| Error::Refused { url: url.clone() })?;
        // Dropped with the future, should the dial be given up, and the socket with it.
        let connection = Self::new(socket);
        let state = connection.0.state.clone();
        let opened = poll_fn(|cx| {
            let mut state = state.borrow_mut();
            match &state.ended {
                Some(error) => Poll::Ready(Err(error.clone())),
                None if state.open => Poll::Ready(Ok(())),
                None => {
                    state.opener = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        });
        match opened.await {
            Ok(()) => Ok(connection),
            Err(Error::Ended { code }) => Err(Error::Unreachable { url, code }),
            Err(error) => Err(error),
        }
    }

    fn new(socket: WebSocket) -> Self {
        socket.set_binary_type(BinaryType::Arraybuffer);
        let state = Rc::<RefCell<State>>::default();
        let shared = state.clone();
        let on_open = Closure::<dyn FnMut()>::new(move || {
            let mut state = shared.borrow_mut();
            state.open = true;
            if let Some(opener) = state.opener.take() {
                opener.wake();
            }
        });
        let shared = state.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let data = event.data();
            let mut state = shared.borrow_mut();
            match data.dyn_ref::<ArrayBuffer>() {
                Some(buffer) => state.receive(Uint8Array::new(buffer).to_vec()),
                None => state.end(Error::Text),
            }
        });
        let shared = state.clone();
        // An error event is always followed by this one, and says nothing itself.
        let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            shared.borrow_mut().end(Error::Ended { code: event.code() });
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Self(SendWrapper::new(Inner {
            socket,
            state,
            look: None,
            send_queue: SendQueue::new(),
            _on_open: on_open,
            _on_message: on_message,
            _on_close: on_close,
        }))
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.state.borrow_mut();
        let read = state.read(buf);
        if read > 0 || buf.is_empty() {
            return Poll::Ready(Ok(read));
        }
        match &state.ended {
            Some(Error::Ended { code: CLOSE_NORMAL }) => Poll::Ready(Ok(0)),
            Some(error) => Poll::Ready(Err(error.clone().into())),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0;
        loop {
            if let Some(error) = &inner.state.borrow().ended {
                return Poll::Ready(Err(error.clone().into()));
            }
            if let Some(look) = &mut inner.look {
                inner.state.borrow_mut().writer = Some(cx.waker().clone());
                ready!(look.poll_unpin(cx));
                inner.look = None;
                inner.send_queue.look(inner.socket.buffered_amount());
            }
            let room = inner.send_queue.room(inner.socket.buffered_amount());
            if room == 0 {
                inner.look = Some(Delay::new(SEND_QUEUE_LOOK));
                continue;
            }
            let len = buf.len().min(room).min(MAX_WRITE_LEN);
            return Poll::Ready(match inner.socket.send_with_u8_array(&buf[..len]) {
                Ok(()) => Ok(len),
                // Thrown only before it is open.
                Err(_) => Err(Error::Closed.into()),
            });
        }
    }

    /// Browsers send what is queued by themselves.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The browser sends what is queued before it closes, also after this value is gone.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close(Error::Closed);
        Poll::Ready(Ok(()))
    }
}

impl Inner {
    fn close(&self, error: Error) {
        self.state.borrow_mut().end(error);
        // Does nothing to a socket that is closed, and never throws with this code.
        let _ = self.socket.close_with_code(CLOSE_NORMAL);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The closures go; the browser must not call them any more.
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        self.close(Error::Closed);
    }
}
