//! Frames: an unsigned LEB128 length and that many bytes, as libp2p protocols do it. Sans-IO: bytes in, frames out.

use crate::limits::MAX_FRAME_LEN;

/// Bytes that are not a frame of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced length is above the limit.
    #[error("frame of {len} bytes is above the limit of {limit}")]
    TooLong {
        /// Announced, bytes.
        len: u64,
        /// Allowed, bytes.
        limit: usize,
    },
    /// The length prefix does not end within its longest form or is not minimal.
    #[error("frame length prefix is malformed")]
    BadPrefix,
}

/// Longest length prefix: three groups of seven bits hold [`MAX_FRAME_LEN`].
const MAX_PREFIX_LEN: usize = 3;
const _: () = assert!(MAX_FRAME_LEN < 1 << (7 * MAX_PREFIX_LEN));

/// Appends one frame to `out`.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    if payload.len() > MAX_FRAME_LEN {
        return Err(FrameError::TooLong { len: payload.len() as u64, limit: MAX_FRAME_LEN });
    }
    let mut rest = payload.len();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend_from_slice(payload);
    Ok(())
}

/// Collects bytes until a frame is whole. Holds at most one frame and what arrived with its end.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, or `None` until more bytes come. After an error the stream must be closed.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some((prefix_len, len)) = read_prefix(&self.buffer)? else { return Ok(None) };
        let end = prefix_len + len;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let frame = self.buffer[prefix_len..end].to_vec();
        self.buffer.drain(..end);
        Ok(Some(frame))
    }

    /// Whether bytes of an unfinished frame are waiting: a stream that ends then was truncated.
    pub fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }
}

fn read_prefix(buffer: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut len = 0_u64;
    for (i, byte) in buffer.iter().take(MAX_PREFIX_LEN).enumerate() {
        len |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            if i > 0 && *byte == 0 {
                return Err(FrameError::BadPrefix);
            }
            if len > MAX_FRAME_LEN as u64 {
                return Err(FrameError::TooLong { len, limit: MAX_FRAME_LEN });
            }
            return Ok(Some((i + 1, len as usize)));
        }
    }
    if buffer.len() >= MAX_PREFIX_LEN { Err(FrameError::BadPrefix) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pinned_bytes() {
        let mut out = Vec::new();
        encode(b"abc", &mut out).unwrap();
        encode(&[7; 300], &mut out).unwrap();
        assert_eq!(&out[..4], b"\x03abc");
        assert_eq!(&out[4..6], &[0xac, 0x02]);
        assert_eq!(out.len(), 4 + 2 + 300);
    }

    #[test]
    fn too_long_is_refused_by_both_ends() {
        let refused = Err(FrameError::TooLong { len: 65_537, limit: 65_536 });
        assert_eq!(encode(&vec![0; 65_537], &mut Vec::new()), refused);
        let mut decoder = Decoder::new();
        decoder.push(&[0x81, 0x80, 0x04]);
        assert_eq!(decoder.next_frame().map(|_| ()), refused);
    }

    #[test]
    fn malformed_prefixes_are_refused() {
        for bad in [&[0x80, 0x80, 0x80][..], &[0x83, 0x00], &[0xff, 0xff, 0xff, 0x01]] {
            let mut decoder = Decoder::new();
            decoder.push(bad);
            assert_eq!(decoder.next_frame(), Err(FrameError::BadPrefix), "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip_at_any_split(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..6), step in 1_usize..50) {
            let mut bytes = Vec::new();
            for frame in &frames { encode(frame, &mut bytes).unwrap(); }
            let mut decoder = Decoder::new();
            let mut got = Vec::new();
            for part in bytes.chunks(step) {
                decoder.push(part);
                while let Some(frame) = decoder.next_frame().unwrap() { got.push(frame); }
            }
            prop_assert_eq!(got, frames);
            prop_assert!(!decoder.is_mid_frame());
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }
}
