//! Message framing on a data channel (libp2p specs, `webrtc/README.md`, "Multiplexing").
//!
//! Every message is a protobuf `{ optional Flag flag = 1; optional bytes message = 2; }` behind its length as an unsigned
//! varint, 16 KiB in all at most. One data channel message normally carries one frame; the reader takes the channel for
//! a stream of bytes, as other implementations do.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;

use super::limits::{MAX_FRAME_DATA_LEN, MAX_FRAME_LEN};

/// What a frame says about the stream besides its data. Numbers are the specification's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The sender writes no more.
    Fin = 0,
    /// The sender reads no more.
    StopSending = 1,
    /// The sender gives up writing; what it wrote may be lost.
    Reset = 2,
    /// The sender has read everything up to the peer's FIN.
    FinAck = 3,
}

impl Flag {
    fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Fin,
            1 => Self::StopSending,
            2 => Self::Reset,
            3 => Self::FinAck,
            _ => return None,
        })
    }
}

/// One decoded frame. Data comes before the flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Application bytes; empty where the frame carries a flag alone.
    pub data: Bytes,
    /// The flag, where there is one. Flags of later versions of the specification are ignored.
    pub flag: Option<Flag>,
}

/// Why a peer's bytes are not frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length prefix announces more than a frame may have.
    #[error("a frame of {len} bytes exceeds {MAX_FRAME_LEN}")]
    TooLong {
        /// Length announced, in bytes.
        len: u64,
    },
    /// The length prefix does not end.
    #[error("the length prefix of a frame does not end")]
    Prefix,
    /// The body is not the expected protobuf message.
    #[error("the body of a frame is malformed")]
    Body,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Body {
    #[prost(int32, optional, tag = "1")]
    flag: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    message: Option<Bytes>,
}

/// A frame of the first bytes of `data`, and how many it took: at most [`MAX_FRAME_DATA_LEN`].
pub fn encode_data(data: &[u8]) -> (usize, Vec<u8>) {
    /// Field 2, length-delimited.
    const MESSAGE_TAG: u8 = 0x12;
    let data = &data[..data.len().min(MAX_FRAME_DATA_LEN)];
    let body_len = 1 + prost::length_delimiter_len(data.len()) + data.len();
    let mut out = Vec::with_capacity(prost::length_delimiter_len(body_len) + body_len);
    prost::encode_length_delimiter(body_len, &mut out).expect("a vector grows");
    out.push(MESSAGE_TAG);
    prost::encode_length_delimiter(data.len(), &mut out).expect("a vector grows");
    out.put_slice(data);
    (data.len(), out)
}

/// A frame that carries `flag` alone.
pub fn encode_flag(flag: Flag) -> Vec<u8> {
    Body { flag: Some(flag as i32), message: None }.encode_length_delimited_to_vec()
}

/// Turns channel messages into frames. Holds at most one incomplete frame.
#[derive(Debug, Default)]
pub struct FrameReader {
    rest: BytesMut,
}

impl FrameReader {
    /// Takes one channel message and appends the frames it completes to `frames`.
    ///
    /// # Errors
    /// [`FrameError`] on bytes that are no frames; the stream must then be reset, its reader is of no more use.
    pub fn push(&mut self, message: Bytes, frames: &mut Vec<Frame>) -> Result<(), FrameError> {
        let mut input = if self.rest.is_empty() {
            message
        } else {
            self.rest.extend_from_slice(&message);
            self.rest.split().freeze()
        };
        while let Some((prefix_len, len)) = read_prefix(&input)? {
            if input.len() - prefix_len < len {
                break;
            }
            let body = input.split_to(prefix_len + len).slice(prefix_len..);
            let body = Body::decode(body).map_err(|_| FrameError::Body)?;
            frames.push(Frame { data: body.message.unwrap_or_default(), flag: body.flag.and_then(Flag::from_number) });
        }
        self.rest.extend_from_slice(&input);
        Ok(())
    }
}

/// The length of the prefix and of the body it announces; `None` if the prefix is not complete yet.
fn read_prefix(input: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    /// A varint of three bytes reaches 2 MiB, beyond any frame.
    const MAX_PREFIX_LEN: usize = 3;
    let mut len = 0u64;
    for (i, byte) in input.iter().take(MAX_PREFIX_LEN).enumerate() {
        len |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let total = len + i as u64 + 1;
            if total > MAX_FRAME_LEN as u64 {
                return Err(FrameError::TooLong { len: total });
            }
            return Ok(Some((i + 1, len as usize)));
        }
    }
    if input.len() >= MAX_PREFIX_LEN { Err(FrameError::Prefix) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut FrameReader, bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Vec::new();
        reader.push(Bytes::copy_from_slice(bytes), &mut frames)?;
        Ok(frames)
    }

    fn data(bytes: &'static [u8]) -> Frame {
        Frame { data: Bytes::from_static(bytes), flag: None }
    }

    #[test]
    fn bytes_are_the_specifications() {
        assert_eq!(encode_data(b"abc"), (3, vec![5, 0x12, 3, b'a', b'b', b'c']));
        assert_eq!(encode_flag(Flag::Fin), [2, 0x08, 0]);
        assert_eq!(encode_flag(Flag::StopSending), [2, 0x08, 1]);
        assert_eq!(encode_flag(Flag::Reset), [2, 0x08, 2]);
        assert_eq!(encode_flag(Flag::FinAck), [2, 0x08, 3]);
    }

    #[test]
    fn a_full_frame_has_exactly_the_largest_length_allowed() {
        let (taken, frame) = encode_data(&[7; 20_000]);
        assert_eq!((taken, frame.len()), (MAX_FRAME_DATA_LEN, MAX_FRAME_LEN));
        assert_eq!(read(&mut FrameReader::default(), &frame).unwrap()[0].data.len(), taken);
    }

    #[test]
    fn frames_may_be_cut_and_joined_anywhere() {
        let mut bytes = encode_data(b"one").1;
        bytes.extend(encode_flag(Flag::Fin));
        bytes.extend(encode_data(b"two").1);
        let whole = read(&mut FrameReader::default(), &bytes).unwrap();
        assert_eq!(whole, [data(b"one"), Frame { data: Bytes::new(), flag: Some(Flag::Fin) }, data(b"two")]);
        for cut in 1..bytes.len() {
            let mut reader = FrameReader::default();
            let mut frames = read(&mut reader, &bytes[..cut]).unwrap();
            frames.extend(read(&mut reader, &bytes[cut..]).unwrap());
            assert_eq!(frames, whole, "cut at {cut}");
        }
    }

    #[test]
    fn data_and_flag_may_share_a_frame_and_unknown_flags_pass() {
        let both = [6, 0x08, 0, 0x12, 2, b'h', b'i'];
        assert_eq!(
            read(&mut FrameReader::default(), &both).unwrap(),
            [Frame { data: Bytes::from_static(b"hi"), flag: Some(Flag::Fin) }]
        );
        assert_eq!(read(&mut FrameReader::default(), &[2, 0x08, 9]).unwrap()[0].flag, None);
        assert_eq!(read(&mut FrameReader::default(), &[0]).unwrap(), [data(b"")]);
    }

    #[test]
    fn bad_bytes_are_refused() {
        // 16 382 bytes of body and two of prefix are a full frame, one more is too long.
        assert_eq!(read(&mut FrameReader::default(), &[0xfe, 0x7f]), Ok(vec![]));
        assert_eq!(read(&mut FrameReader::default(), &[0xff, 0x7f]), Err(FrameError::TooLong { len: 16_385 }));
        assert_eq!(read(&mut FrameReader::default(), &[0xff; 5]), Err(FrameError::Prefix));
        assert_eq!(read(&mut FrameReader::default(), &[2, 0x12, 9]), Err(FrameError::Body));
        assert_eq!(read(&mut FrameReader::default(), &[1, 0xff]), Err(FrameError::Body));
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics_nor_piles_up(chunks in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..600), 0..40)) {
            let mut reader = FrameReader::default();
            for chunk in chunks {
                if read(&mut reader, &chunk).is_err() {
                    break;
                }
                assert!(reader.rest.len() <= MAX_FRAME_LEN + 600);
            }
        }
    }
}
