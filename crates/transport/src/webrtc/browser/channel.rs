//! One data channel, transferred or proxied, behind the same few calls and events.
//!
//! A proxied channel's port carries `ArrayBuffer`s for messages both ways; from the page also `{open: true}`, `{closed:
//! true}` and `{sent: n}`, the count of bytes that have left its queue since the last such notice; to the page `{close:
//! true}`.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{ArrayBuffer, Object, Reflect, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{MessageEvent, MessagePort, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use super::port::Handle;
use crate::webrtc::limits::{BROWSER_BUFFERED_LOW, MAX_BROWSER_BUFFERED};

/// What happens on a channel.
#[derive(Debug)]
pub(super) enum ChannelEvent {
    /// Frames may be sent.
    Open,
    /// A message arrived.
    Message(Vec<u8>),
    /// The queue is short enough for more.
    BufferLow,
    /// It is over.
    Closed,
}

/// The channel cannot send.
#[derive(Debug)]
pub(super) struct SendFailed;

/// One data channel. Dropping it stops its events but does not close it.
pub(super) struct Channel {
    inner: Inner,
    // Kept alive for as long as the browser may call them.
    on_event: Option<Closure<dyn FnMut(web_sys::Event)>>,
    on_message: Closure<dyn FnMut(MessageEvent)>,
}

enum Inner {
    Direct(RtcDataChannel),
    Proxied { port: MessagePort, state: Rc<ProxyState> },
}

#[derive(Default)]
struct ProxyState {
    open: Cell<bool>,
    buffered: Cell<u32>,
}

impl Channel {
    /// Wires `handle` to `on_event`.
    pub(super) fn new(handle: Handle, on_event: impl Fn(ChannelEvent) + 'static) -> Self {
        match handle {
            Handle::Direct(channel) => Self::direct(channel, Rc::new(on_event)),
            Handle::Proxied(port) => Self::proxied(port, on_event),
        }
    }

    fn direct(channel: RtcDataChannel, on_event: Rc<dyn Fn(ChannelEvent)>) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(BROWSER_BUFFERED_LOW);
        let for_messages = on_event.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(bytes) = bytes(&event.data()) {
                for_messages(ChannelEvent::Message(bytes));
            }
        });
        let on_event = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
            on_event(match event.type_().as_str() {
                "open" => ChannelEvent::Open,
                "bufferedamountlow" => ChannelEvent::BufferLow,
                _ => ChannelEvent::Closed,
            });
        });
        channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        let callback = Some(on_event.as_ref().unchecked_ref());
        channel.set_onopen(callback);
        channel.set_onbufferedamountlow(callback);
        channel.set_onclose(callback);
        channel.set_onerror(callback);
        Self { inner: Inner::Direct(channel), on_event: Some(on_event), on_message }
    }

    fn proxied(port: MessagePort, on_event: impl Fn(ChannelEvent) + 'static) -> Self {
        let state = Rc::new(ProxyState::default());
        let shared = state.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let data = event.data();
            if let Some(bytes) = bytes(&data) {
                return on_event(ChannelEvent::Message(bytes));
            }
            let get = |name: &str| Reflect::get(&data, &name.into()).unwrap_or(JsValue::UNDEFINED);
            if let Some(sent) = get("sent").as_f64() {
                shared.buffered.set(shared.buffered.get().saturating_sub(sent as u32));
                if shared.buffered.get() <= BROWSER_BUFFERED_LOW {
                    on_event(ChannelEvent::BufferLow);
                }
            } else if get("open").is_truthy() {
                shared.open.set(true);
                on_event(ChannelEvent::Open);
            } else if get("closed").is_truthy() {
                shared.open.set(false);
                on_event(ChannelEvent::Closed);
            }
        });
        port.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Self { inner: Inner::Proxied { port, state }, on_event: None, on_message }
    }

    /// Whether frames may be sent.
    pub(super) fn is_open(&self) -> bool {
        match &self.inner {
            Inner::Direct(channel) => channel.ready_state() == RtcDataChannelState::Open,
            Inner::Proxied { state, .. } => state.open.get(),
        }
    }

    /// Whether the queue takes another data frame. If not, [`ChannelEvent::BufferLow`] will follow.
    pub(super) fn has_room(&self) -> bool {
        let buffered = match &self.inner {
            Inner::Direct(channel) => channel.buffered_amount(),
            Inner::Proxied { state, .. } => state.buffered.get(),
        };
        buffered < MAX_BROWSER_BUFFERED
    }

    pub(super) fn send(&self, frame: &[u8]) -> Result<(), SendFailed> {
        match &self.inner {
            Inner::Direct(channel) => channel.send_with_u8_array(frame).map_err(|_| SendFailed),
            Inner::Proxied { port, state } => {
                let buffer = Uint8Array::from(frame).buffer();
                state.buffered.set(state.buffered.get().saturating_add(frame.len() as u32));
                port.post_message_with_transferable(&buffer, &js_sys::Array::of1(&buffer)).map_err(|_| SendFailed)
            }
        }
    }

    pub(super) fn close(&self) {
        match &self.inner {
            Inner::Direct(channel) => channel.close(),
            Inner::Proxied { port, .. } => {
                let object = Object::new();
                Reflect::set(&object, &"close".into(), &true.into()).expect("a plain object takes properties");
                port.post_message(&object).expect("a flag can be cloned");
            }
        }
    }
}

impl Drop for Channel {
    /// The closures go; the browser must not call them any more.
    fn drop(&mut self) {
        match &self.inner {
            Inner::Direct(channel) => {
                channel.set_onmessage(None);
                channel.set_onopen(None);
                channel.set_onbufferedamountlow(None);
                channel.set_onclose(None);
                channel.set_onerror(None);
            }
            Inner::Proxied { port, .. } => {
                port.set_onmessage(None);
                port.close();
            }
        }
        let _ = (&self.on_event, &self.on_message);
    }
}

/// The bytes of an `ArrayBuffer`. Anything else, such as text, is no message of this protocol.
fn bytes(value: &JsValue) -> Option<Vec<u8>> {
    value.dyn_ref::<ArrayBuffer>().map(|buffer| Uint8Array::new(buffer).to_vec())
}
