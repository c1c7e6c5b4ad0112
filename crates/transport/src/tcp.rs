//! TCP as both ends use it, below Noise and Yamux and below WebSocket: sockets that queue little.
//!
//! Linux lets a sender's buffer grow to 4 MiB, twice what is in flight, and whatever is written next waits behind it. Yamux
//! takes turns between streams, so a small message is late only by what has left Yamux already; here that is kept short.
//! Where the system has no such option its own buffer is the bound.

use libp2p::{
    Transport as _,
    core::transport::Boxed,
    tcp::{self, tokio::TcpStream},
};

/// Bytes that a socket holds unsent before its writer waits. At a millisecond from wake to write they carry 128 MB/s.
pub const MAX_UNSENT: u32 = 128 * 1024;

/// Listens and dials; needs a tokio runtime.
pub fn transport() -> Boxed<TcpStream> {
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    transport
        .map(|stream, _| {
            queue_little(&stream);
            stream
        })
        .boxed()
}

#[cfg(target_os = "linux")]
fn queue_little(stream: &TcpStream) {
    if let Err(error) = socket2::SockRef::from(&stream.0).set_tcp_notsent_lowat(MAX_UNSENT) {
        tracing::debug!(%error, "the socket queues as much as it likes");
    }
}

#[cfg(not(target_os = "linux"))]
fn queue_little(_: &TcpStream) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{future::poll_fn, pin::Pin};

    use futures::{AsyncWrite as _, FutureExt as _};
    use libp2p::core::{
        Endpoint,
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    };

    use super::*;

    /// What a receiver's buffer takes before anybody reads: Linux begins with 128 KiB and counts its own bookkeeping.
    const RECEIVE_BUFFER: usize = 512 * 1024;

    #[tokio::test]
    async fn a_socket_whose_peer_does_not_read_takes_little() {
        let (mut listener, mut dialler) = (transport(), transport());
        listener.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = poll_fn(|cx| Pin::new(&mut listener).poll(cx)).await.into_new_address().unwrap();
        let dial = dialler.dial(address, DialOpts { role: Endpoint::Dialer, port_use: PortUse::New }).unwrap();
        let accept = async {
            let event = poll_fn(|cx| Pin::new(&mut listener).poll(cx)).await;
            let TransportEvent::Incoming { upgrade, .. } = event else { panic!("{event:?}") };
            upgrade.await.unwrap()
        };
        let (dialled, accepted) = futures::join!(dial, accept);
        let mut ends = [dialled.unwrap(), accepted];
        for writer in &mut ends {
            let mut taken = 0;
            let chunk = vec![0; 64 * 1024];
            while let Some(written) = poll_fn(|cx| Pin::new(&mut *writer).poll_write(cx, &chunk)).now_or_never() {
                taken += written.unwrap();
                // What the receiver's buffer has room for leaves at once.
                tokio::task::yield_now().await;
            }
            assert!(taken > MAX_UNSENT as usize / 2, "{taken}");
            assert!(taken <= RECEIVE_BUFFER + 2 * MAX_UNSENT as usize, "{taken} bytes are queued");
        }
    }
}
