//! Every bound of the webrtc-direct transport, with its reason.

use std::time::Duration;

/// Shortest ICE username fragment (RFC 8839, section 5.4).
pub const MIN_ICE_UFRAG_LEN: usize = 4;
/// Longest ICE username fragment (RFC 8839, section 5.4). The version prefix counts.
pub const MAX_ICE_UFRAG_LEN: usize = 256;
/// Shortest ICE password (RFC 8839, section 5.4).
pub const MIN_ICE_PWD_LEN: usize = 22;
/// Longest ICE password (RFC 8839, section 5.4).
pub const MAX_ICE_PWD_LEN: usize = 256;

/// Random characters of a version 1 username fragment, 6 bits each: 192 bits, since the fragment is the password too.
pub const V1_RANDOM_LEN: usize = 32;

/// Longest data channel message, length prefix included, in bytes. The libp2p WebRTC specification demands 16 KiB: the
/// largest that every browser carries, and what both sides announce as `a=max-message-size`.
pub const MAX_FRAME_LEN: usize = 16 * 1024;
/// Bytes around the data of a full frame: a 2-byte length prefix (bodies stay below 16 384), a field tag, a 2-byte length.
pub const FRAME_OVERHEAD: usize = 2 + 1 + 2;
/// Most application bytes in one frame.
pub const MAX_FRAME_DATA_LEN: usize = MAX_FRAME_LEN - FRAME_OVERHEAD;

/// Bytes one stream holds for a reader who does not read. SCTP in a browser cannot be told to wait, so beyond this the
/// stream is reset. Protocols that move more have their own credit window, which must be smaller.
pub const MAX_UNREAD_PER_STREAM: usize = 2 * 1024 * 1024;
/// Messages one stream holds unread, so that a flood of one-byte messages costs no more than a few large ones.
pub const MAX_UNREAD_MESSAGES_PER_STREAM: usize = 4096;
/// Bytes all streams of one connection hold unread; beyond this the connection is closed.
pub const MAX_UNREAD_PER_CONNECTION: usize = 8 * 1024 * 1024;
/// Data channels of one connection. Request-response protocols use a handful; 256 is what Yamux peers default to.
pub const MAX_STREAMS: usize = 256;

/// Fewest bytes in flight (written, not acknowledged) over all streams of a native side's connection. On loopback and in a
/// local network more gains nothing, and bursts overflow the browser's socket, which costs the shortest SCTP
/// retransmission timeout each time.
pub const MIN_SEND_WINDOW: usize = 64 * 1024;
/// Most bytes in flight over all streams of a native side's connection; they are kept in memory until acknowledged. At
/// 100 ms round trip this carries 80 Mbit/s.
pub const MAX_SEND_WINDOW: usize = 1024 * 1024;
/// Bytes per millisecond of round trip that may be in flight between these bounds: 32 MB/s, about what SCTP reaches.
pub const SEND_WINDOW_PER_MS: usize = 32 * 1024;
/// Writers that found the window full are woken when this much is free: two frames, so that they do not take turns at every
/// acknowledgement.
pub const SEND_WINDOW_WAKE: usize = 2 * MAX_FRAME_LEN;
/// Bytes written that SCTP's congestion window does not let go yet, over all streams of a native side's connection. Whatever
/// is written next waits behind them, so they are as few as keep SCTP busy from one acknowledgement to the next.
pub const MAX_UNSENT: usize = 64 * 1024;
/// Bytes of one stream that are taken although others have filled the window: a small message and its answer need not take
/// their turn among bulk. Our protocols' messages other than bulk are smaller.
pub const RESERVED_PER_STREAM: usize = 4 * 1024;
/// Bytes a browser may have queued in one data channel before writes wait.
pub const MAX_BROWSER_BUFFERED: u32 = 256 * 1024;
/// Queued bytes at which a browser's waiting writer continues: half, so that the channel never runs dry meanwhile.
pub const BROWSER_BUFFERED_LOW: u32 = MAX_BROWSER_BUFFERED / 2;

/// From the first packet (or the start of the dial) to the end of the Noise handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a dial by version 2 has the field to itself. It takes four round trips and two certificate checks, well below this
/// on any usable path, so that listeners of version 2, all of ours, never see both.
pub const V2_HEAD_START: Duration = Duration::from_secs(4);
/// A peer that sent nothing for this long is gone: browsers renew ICE consent every few seconds (RFC 7675: 30 s).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the channel of a dropped stream waits for the peer to acknowledge FIN and to close it (js-libp2p waits as
/// long).
pub const FIN_ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Unfinished handshakes per listener. Each costs about 100 KiB and one ECDSA signature.
pub const MAX_HANDSHAKES: usize = 256;
/// Connections per listener: about 2 GiB at an ordinary 512 KiB each.
pub const MAX_CONNECTIONS: usize = 4096;
/// Accepted connections that wait for the swarm to poll; beyond this new ones are dropped and the browser retries.
pub const MAX_PENDING_ACCEPTS: usize = 128;
/// First contacts that one source address may make at once. A class room or an office shares one address.
pub const FIRST_CONTACT_BURST: u32 = 64;
/// First contacts per second that one source address earns back.
pub const FIRST_CONTACT_PER_SECOND: u32 = 8;
/// Token buckets for source addresses. They are a fixed hashed table, so that forged sources cannot exhaust it; two
/// addresses in one bucket merely share its tokens.
pub const FIRST_CONTACT_BUCKETS: usize = 4096;
/// Source addresses remembered per connection: a browser probes from every interface, and changes networks.
pub const MAX_ADDRESSES_PER_CONNECTION: usize = 32;
/// Largest UDP datagram read. DTLS records fit the path MTU; longer datagrams are cut and then fail to parse.
pub const MAX_DATAGRAM_LEN: usize = 2000;
/// Receive buffer asked of the system for each socket, in bytes; it grants what it allows. All tabs of a listener share it,
/// and Linux's default (208 KiB, about 90 full datagrams) overflows at the first burst.
pub const SOCKET_RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// Datagrams handed to the system in one call: the price of a call is spread far enough, and the receiver of the burst gets
/// to read before the next.
pub const MAX_SEGMENTS: usize = 32;
/// Bytes handed to the system in one call: an IP packet's, less its headers.
pub const MAX_SEND_LEN: usize = 65_535 - 40 - 8;
/// Bytes of one read: what the system may coalesce into one.
pub const READ_BUFFER_LEN: usize = 64 * 1024;
/// Reads in one call. With a socket's buffer of 4 MiB, a few of these empty it.
pub const READ_BUFFERS: usize = 4;
/// Datagrams queued for one connection; more are dropped, which SCTP takes for congestion.
pub const MAX_QUEUED_DATAGRAMS: usize = 512;

const _: () = assert!(V2_HEAD_START.as_secs() < HANDSHAKE_TIMEOUT.as_secs());
const _: () = assert!(MAX_UNREAD_PER_STREAM < MAX_UNREAD_PER_CONNECTION);
const _: () = assert!(SEND_WINDOW_WAKE < MIN_SEND_WINDOW && MIN_SEND_WINDOW <= MAX_SEND_WINDOW);
const _: () = assert!(SEND_WINDOW_WAKE < MAX_UNSENT && RESERVED_PER_STREAM < MAX_FRAME_LEN);
const _: () = assert!(MAX_FRAME_LEN < MAX_UNREAD_PER_STREAM);
