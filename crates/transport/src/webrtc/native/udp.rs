//! The UDP socket with one system call for many datagrams, where the system can: segmentation offload for sending,
//! receive offload and `recvmmsg` for reading. Elsewhere it is one datagram at a time.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use quinn_udp::{RecvMeta, UdpSocketState};
use str0m::net::Transmit;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::webrtc::limits::{MAX_DATAGRAM_LEN, MAX_SEGMENTS, MAX_SEND_LEN, READ_BUFFER_LEN, READ_BUFFERS};

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    io: UdpSocket,
    offload: UdpSocketState,
}

impl Socket {
    pub(super) fn new(io: UdpSocket) -> io::Result<Self> {
        let offload = UdpSocketState::new((&io).into())?;
        Ok(Self { io, offload })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// Sends `queue` in its order and empties it. A datagram that cannot be sent is lost, as datagrams may be; the protocol
    /// above notices. `together` is scratch space.
    pub(super) async fn send(&self, queue: &mut Vec<Transmit>, together: &mut Vec<u8>) {
        let mut rest = queue.as_slice();
        while let Some(first) = rest.first() {
            let (group, others) = rest.split_at(group_len(rest, self.offload.max_gso_segments()));
            rest = others;
            let contents: &[u8] = if group.len() == 1 {
                &first.contents
            } else {
                together.clear();
                group.iter().for_each(|transmit| together.extend_from_slice(&transmit.contents));
                together
            };
            let transmit = quinn_udp::Transmit {
                destination: first.destination,
                ecn: None,
                contents,
                segment_size: (group.len() > 1).then_some(first.contents.len()),
                src_ip: None,
            };
            let sent =
                self.io.async_io(Interest::WRITABLE, || self.offload.try_send((&self.io).into(), &transmit)).await;
            if let Err(error) = sent {
                tracing::trace!(%error, destination = %transmit.destination, count = group.len(), "datagrams not sent");
            }
        }
        queue.clear();
    }

    /// Waits for datagrams and reads what is there into `buffers`.
    pub(super) async fn receive(&self, buffers: &mut ReadBuffers) -> io::Result<()> {
        buffers.filled = 0;
        let ReadBuffers { bytes, metas, filled } = buffers;
        *filled = self
            .io
            .async_io(Interest::READABLE, || {
                let mut slices = bytes.each_mut().map(|buffer| IoSliceMut::new(buffer));
                self.offload.recv((&self.io).into(), &mut slices, metas)
            })
            .await?;
        Ok(())
    }
}

/// What a socket is read into.
pub(super) struct ReadBuffers {
    bytes: [Vec<u8>; READ_BUFFERS],
    metas: [RecvMeta; READ_BUFFERS],
    filled: usize,
}

impl ReadBuffers {
    pub(super) fn new() -> Self {
        let bytes = std::array::from_fn(|_| vec![0; READ_BUFFER_LEN]);
        Self { bytes, metas: [RecvMeta::default(); READ_BUFFERS], filled: 0 }
    }

    /// The datagrams of the last read with their sources. Empty ones, and those too long for us, are left out.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let reads = self.metas.iter().zip(&self.bytes).take(self.filled);
        reads
            .flat_map(|(meta, buffer)| {
                // An empty datagram has no stride.
                buffer[..meta.len].chunks(meta.stride.max(1)).map(|datagram| (meta.addr, datagram))
            })
            .filter(|(_, datagram)| datagram.len() <= MAX_DATAGRAM_LEN)
    }
}

/// How many datagrams at the start of `queue`, which is not empty, may go in one call: those to the same address, all of one
/// length but the last, which may be shorter.
fn group_len(queue: &[Transmit], max_segments: usize) -> usize {
    let first = &queue[0];
    let segment = first.contents.len();
    let most = max_segments.min(MAX_SEGMENTS).min(MAX_SEND_LEN / segment.max(1)).max(1);
    let mut len = 1;
    for next in queue.iter().take(most).skip(1) {
        if next.destination != first.destination || next.contents.is_empty() || next.contents.len() > segment {
            break;
        }
        len += 1;
        if next.contents.len() < segment {
            break;
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use str0m::net::Protocol;

    use super::*;

    fn transmits(to: &[(u16, usize)]) -> Vec<Transmit> {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        to.iter()
            .enumerate()
            .map(|(index, (port, len))| Transmit {
                proto: Protocol::Udp,
                source: address(9),
                destination: address(*port),
                contents: vec![index as u8; *len].into(),
            })
            .collect()
    }

    #[test]
    fn only_equal_lengths_to_one_address_go_together() {
        let groups = |to: &[(u16, usize)], most| {
            let queue = transmits(to);
            let (mut rest, mut lens) = (&queue[..], Vec::new());
            while !rest.is_empty() {
                let len = group_len(rest, most);
                lens.push(len);
                rest = &rest[len..];
            }
            lens
        };
        assert_eq!(groups(&[(1, 100), (1, 100), (1, 40), (1, 40)], 64), [3, 1]);
        assert_eq!(groups(&[(1, 100), (2, 100), (2, 100), (1, 101)], 64), [1, 2, 1]);
        assert_eq!(groups(&[(1, 40), (1, 100), (1, 100)], 64), [1, 2]);
        assert_eq!(groups(&[(1, 100); 5], 1), [1; 5]);
        assert_eq!(groups(&[(1, 0), (1, 0), (1, 1)], 64), [1; 3]);
        assert!(groups(&[(1, 1200); 200], 64).iter().all(|len| *len <= MAX_SEGMENTS && len * 1200 <= MAX_SEND_LEN));
    }

    #[tokio::test]
    async fn datagrams_keep_their_borders_and_their_order() {
        let bind = async || Socket::new(UdpSocket::bind("127.0.0.1:0").await.unwrap()).unwrap();
        let (from, to) = (bind().await, bind().await);
        let port = to.local_addr().unwrap().port();
        let lens = [0, 1, 1200, 1200, 1200, 30, 30, 1250, MAX_DATAGRAM_LEN, MAX_DATAGRAM_LEN + 1, 7];
        let mut queue = transmits(&lens.map(|len| (port, len)));
        from.send(&mut queue, &mut Vec::new()).await;
        assert!(queue.is_empty());
        let kept: Vec<(usize, u8)> = lens
            .iter()
            .enumerate()
            .map(|(index, len)| (*len, index as u8))
            .filter(|(len, _)| (1..=MAX_DATAGRAM_LEN).contains(len))
            .collect();
        let (mut buffers, mut received) = (ReadBuffers::new(), Vec::new());
        while received.len() < kept.len() {
            let source = from.local_addr().unwrap();
            to.receive(&mut buffers).await.unwrap();
            for (address, bytes) in buffers.datagrams() {
                assert_eq!(address, source);
                assert!(bytes.iter().all(|byte| *byte == bytes[0]));
                received.push((bytes.len(), bytes[0]));
            }
        }
        assert_eq!(received, kept);
    }
}
