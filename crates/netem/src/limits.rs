//! Every bound of the proxy, with its reason.

use std::time::Duration;

/// Bytes that a direction of a path holds, on the wire and waiting, unless told otherwise. Over 25 ms it carries 160 MB/s,
/// more than any transport here, so that only what was asked for is lost.
pub const DEFAULT_QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Clients of one proxy at once. Each costs a socket and two queues; beyond it newcomers' packets are dropped.
pub const MAX_FLOWS: usize = 1024;
/// A UDP client that was silent for this long is forgotten: browsers renew ICE consent every few seconds.
pub const IDLE_FLOW: Duration = Duration::from_secs(60);
/// Datagrams between the client's socket and its flow; the flow's own queue is what bounds a path, this is slack.
pub const FLOW_BACKLOG: usize = 4096;
/// Largest UDP datagram.
pub const MAX_DATAGRAM_LEN: usize = 65_535;
/// Receive buffer asked of the system for each UDP socket, bytes: bursts must be lost by the seed alone, and Linux's
/// default is 208 KiB. It grants what `net.core.rmem_max` allows.
pub const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// Payload of a TCP segment on an Ethernet path, bytes.
pub const SEGMENT_LEN: usize = 1448;
/// Segments a TCP sender may send at first (RFC 6928).
pub const INITIAL_WINDOW: f64 = 10.0;
/// Most segments in flight: 4 MiB, what Linux lets a sender's buffer grow to.
pub const MAX_WINDOW: f64 = 2896.0;
/// Fewest segments in flight after a loss (RFC 5681).
pub const MIN_WINDOW: f64 = 2.0;
