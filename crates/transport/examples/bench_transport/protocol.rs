//! What the two ends say to each other about a measurement.
//!
//! On [`BLOBS`] whoever opened the stream fetches a blob by the blob protocol. On [`COMMANDS`] the tab sends 9 bytes, an
//! operation and two big-endian numbers, and the relay answers with [`DONE`] when it has done it. On [`BYTES`], for peers
//! that do not know the blob protocol, the same 9 bytes say which way how many bytes go on that very stream.

use std::time::Duration;

#[cfg(not(target_arch = "wasm32"))]
use futures::{AsyncRead, AsyncReadExt as _};
#[cfg(target_arch = "wasm32")]
use futures::{AsyncWrite, AsyncWriteExt as _};
use libp2p::StreamProtocol;

pub(crate) const BLOBS: StreamProtocol = StreamProtocol::new("/shoal/bench/blobs/1");
pub(crate) const COMMANDS: StreamProtocol = StreamProtocol::new("/shoal/bench/commands/1");
#[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "a tab of ours speaks the blob protocol"))]
pub(crate) const BYTES: StreamProtocol = StreamProtocol::new("/shoal/bench/bytes/1");

/// How long a connection may have no stream. The browser's timers take no more than 24 days.
pub(crate) const BETWEEN_MEASUREMENTS: Duration = Duration::from_secs(3600);

/// The answer to a command, and to bytes that went up.
pub(crate) const DONE: u8 = 1;
const COMMAND_LEN: usize = 9;

/// What is to be done.
#[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "a tab of ours speaks the blob protocol"))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    /// Make `count` blobs of `len` bytes, so that this is not part of what is measured.
    Prepare { count: u32, len: u32 },
    /// Fetch all of them from me at once.
    Fetch { count: u32, len: u32 },
    /// Read `len` bytes.
    Up { len: u32 },
    /// Send `len` bytes.
    Down { len: u32 },
}

impl Command {
    #[cfg(target_arch = "wasm32")]
    pub(crate) async fn write(self, stream: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let (operation, count, len) = match self {
            Self::Prepare { count, len } => (0, count, len),
            Self::Fetch { count, len } => (1, count, len),
            Self::Up { len } => (2, 0, len),
            Self::Down { len } => (3, 0, len),
        };
        let mut bytes = [operation; COMMAND_LEN];
        bytes[1..5].copy_from_slice(&count.to_be_bytes());
        bytes[5..].copy_from_slice(&len.to_be_bytes());
        stream.write_all(&bytes).await?;
        stream.flush().await
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Self> {
        let mut bytes = [0; COMMAND_LEN];
        stream.read_exact(&mut bytes).await?;
        let [operation, a, b, c, d, e, f, g, h] = bytes;
        let (count, len) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        match operation {
            0 => Ok(Self::Prepare { count, len }),
            1 => Ok(Self::Fetch { count, len }),
            2 => Ok(Self::Up { len }),
            3 => Ok(Self::Down { len }),
            _ => Err(std::io::ErrorKind::InvalidData.into()),
        }
    }
}
