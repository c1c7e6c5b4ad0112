//! The messages between worker and page, both ways plain objects with a `type`.
//!
//! | direction | message | meaning |
//! |---|---|---|
//! | to page | `{type: "connect", connection, negotiated, credentials}` | make a connection with one channel negotiated under that id; `credentials` is `null`, or the text to offer as ICE username fragment and password |
//! | to worker | `{type: "stream", connection, stream, channel}` | a channel: the negotiated one (`stream` 0), one asked for (its number), or the peer's (`null`) |
//! | to worker | `{type: "offer", connection, sdp}` | the local description |
//! | to page | `{type: "answer", connection, sdp}` | the remote description to set |
//! | to page | `{type: "open", connection, stream}` | make a channel and send it as `stream` |
//! | to page | `{type: "close", connection}` | close the connection |
//! | to worker | `{type: "closed", connection, reason}` | the connection is over or never came about |
//!
//! `connection` and `stream` are numbers that the worker chooses. `worker-js/src/webrtc/protocol.ts` has the same shapes.

use js_sys::{Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{MessagePort, RtcDataChannel};

/// The number of the negotiated channel.
pub(super) const NEGOTIATED_STREAM: u32 = 0;

/// From worker to page.
#[derive(Debug)]
pub(super) enum ToPage<'a> {
    Connect { connection: u32, credentials: Option<&'a str> },
    Answer { connection: u32, sdp: &'a str },
    Open { connection: u32, stream: u32 },
    Close { connection: u32 },
}

impl ToPage<'_> {
    pub(super) fn post(&self, port: &MessagePort) {
        /// SCTP stream id of the negotiated channel, by the libp2p specification.
        const NEGOTIATED_ID: u32 = 0;
        let object = Object::new();
        let set = |name: &str, value: JsValue| {
            Reflect::set(&object, &name.into(), &value).expect("a plain object takes properties");
        };
        let (kind, connection) = match *self {
            Self::Connect { connection, credentials } => {
                set("negotiated", NEGOTIATED_ID.into());
                set("credentials", credentials.map_or(JsValue::NULL, JsValue::from));
                ("connect", connection)
            }
            Self::Answer { connection, sdp } => {
                set("sdp", sdp.into());
                ("answer", connection)
            }
            Self::Open { connection, stream } => {
                set("stream", stream.into());
                ("open", connection)
            }
            Self::Close { connection } => ("close", connection),
        };
        set("type", kind.into());
        set("connection", connection.into());
        port.post_message(&object).expect("numbers and text can be cloned");
    }
}

/// A data channel as the page could hand it over.
#[derive(Debug)]
pub(super) enum Handle {
    /// Transferred.
    Direct(RtcDataChannel),
    /// Kept by the page; its messages come through here.
    Proxied(MessagePort),
}

/// From page to worker.
#[derive(Debug)]
pub(super) enum FromPage {
    Offer { sdp: String },
    Stream { stream: Option<u32>, handle: Handle },
    Closed { reason: String },
}

impl FromPage {
    /// The connection and what happened to it; `None` if the value is no such message.
    pub(super) fn from_value(value: &JsValue) -> Option<(u32, Self)> {
        let get = |name: &str| Reflect::get(value, &name.into()).ok();
        let connection = number(&get("connection")?)?;
        let message = match get("type")?.as_string()?.as_str() {
            "offer" => Self::Offer { sdp: get("sdp")?.as_string()? },
            "stream" => {
                let handle = match get("channel")?.dyn_into::<RtcDataChannel>() {
                    Ok(channel) => Handle::Direct(channel),
                    Err(value) => Handle::Proxied(value.dyn_into().ok()?),
                };
                Self::Stream { stream: number(&get("stream")?), handle }
            }
            "closed" => Self::Closed { reason: get("reason")?.as_string().unwrap_or_default() },
            _ => return None,
        };
        Some((connection, message))
    }
}

/// A JavaScript number that is an unsigned integer of 32 bits.
fn number(value: &JsValue) -> Option<u32> {
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u32)
}
