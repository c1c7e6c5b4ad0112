//! Every bound of the WebSocket transport, with its reason.

use std::time::Duration;

/// Largest WebSocket message read, bytes. Writers send Noise frames, 64 KiB and a little each, and under load rust-libp2p
/// joins what it has gathered, just below 128 KiB, and one frame more.
pub const MAX_MESSAGE_LEN: usize = 256 * 1024;

/// Most bytes in one message written, so that it fits what every implementation reads.
pub const MAX_WRITE_LEN: usize = 64 * 1024;

/// Streams of a connection, as with WebRTC.
pub const MAX_STREAMS: usize = 256;

/// TCP, TLS, HTTP, Noise and Yamux together. Sockets that say nothing are closed then; the swarm's limit of pending
/// connections bounds how many there are meanwhile.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that a tab holds unread. A WebSocket cannot be told to wait, but an honest relay sends no more than Yamux's windows
/// allow, 256 KiB a stream to begin with, and our protocols' own credit is smaller than what they grow to; beyond this the
/// connection is closed.
pub const MAX_UNREAD: usize = 16 * 1024 * 1024;

/// Fewest bytes that a tab lets the browser queue for sending.
pub const MIN_SEND_QUEUE: u32 = 64 * 1024;

/// The queue's limit at first, as with WebRTC: two seconds on 1 Mbit/s, so control messages do not wait for long.
pub const FIRST_SEND_QUEUE: u32 = 256 * 1024;

/// Most bytes queued for sending: at 4 ms from look to look this carries a gigabyte a second.
pub const MAX_SEND_QUEUE: u32 = 4 * 1024 * 1024;

/// How soon a writer that found the queue full looks again. A WebSocket tells nobody when its queue empties; browsers let no
/// nested timer run sooner. Nobody looks while nobody waits.
pub const SEND_QUEUE_LOOK: Duration = Duration::from_millis(4);

const _: () = assert!(MIN_SEND_QUEUE <= FIRST_SEND_QUEUE && FIRST_SEND_QUEUE <= MAX_SEND_QUEUE);
const _: () = assert!(MAX_WRITE_LEN <= MIN_SEND_QUEUE as usize && MAX_WRITE_LEN <= MAX_MESSAGE_LEN);
