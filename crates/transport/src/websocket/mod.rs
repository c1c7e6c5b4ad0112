//! WebSocket with Noise and Yamux, for networks that let no UDP through: `/ws`, and `/tls/ws` with the relay's certificate.
//!
//! The native side is rust-libp2p's WebSocket transport over TCP. The browser side is our own: `libp2p-websocket-websys`
//! wakes writers by a 100 ms interval per connection and makes every flush wait for it, and keeps a connection alive whose
//! reader it has silently dropped bytes of. Both sides speak what js-libp2p and go-libp2p speak. Noise proves the
//! identities; TLS is there because pages on https may open nothing else.
//!
//! Left out on purpose: listening in a tab, compression, and redirects.

pub mod limits;
mod send_queue;
mod url;

use libp2p::yamux;

pub use url::{UrlError, url};

#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;

/// Yamux as both sides configure it.
fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(limits::MAX_STREAMS);
    config
}
