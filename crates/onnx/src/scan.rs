//! Walks a model file before it is decoded, and adds up what decoding would allocate: a few bytes of protobuf can make
//! a message of hundreds. Only what [`crate::limits`] allows is handed to the decoder.

use std::mem::size_of;

use crate::{
    error::OnnxError,
    limits::{MAX_DECODED_BYTES, MAX_INITIALISERS, MAX_MODEL_BYTES, MAX_NESTING, MAX_NODES, MAX_PORTS},
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
        TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto::Dimension,
    },
};

/// A list grows by doubling: what it holds may be half of what it has allocated.
const GROWTH: usize = 2;

#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    Function,
    Opset,
    Entry,
}

/// What a field's bytes become.
enum Field {
    Message(Message),
    Text,
    /// Numbers of that many bytes, one for each byte of the field at worst.
    Numbers(usize),
    /// Nothing beside the file's own bytes.
    Free,
}

impl Message {
    fn bytes(self) -> usize {
        match self {
            Self::Model => size_of::<ModelProto>(),
            Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::ValueInfo => size_of::<ValueInfoProto>(),
            Self::Type | Self::TensorType => size_of::<TypeProto>(),
            Self::Shape => size_of::<TensorShapeProto>(),
            Self::Dimension => size_of::<Dimension>(),
            Self::Function => size_of::<FunctionProto>(),
            Self::Opset => size_of::<OperatorSetIdProto>(),
            Self::Entry => size_of::<StringStringEntryProto>(),
        }
    }

    /// By field number, as in `onnx.proto`.
    fn field(self, number: u64) -> Field {
        use Field::{Free, Numbers, Text};
        let message = Field::Message;
        match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6) => message(Self::Graph),
            (Self::Model, 8) | (Self::Function, 9) => message(Self::Opset),
            (Self::Model, 25) => message(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => message(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5) => message(Self::Tensor),
            (Self::Graph, 11 | 12) => message(Self::ValueInfo),
            (Self::Node, 5) | (Self::Function, 11) => message(Self::Attribute),
            (Self::ValueInfo, 2) => message(Self::Type),
            (Self::Type, 1) => message(Self::TensorType),
            (Self::TensorType, 2) => message(Self::Shape),
            (Self::Shape, 1) => message(Self::Dimension),
            (Self::Model, 14) | (Self::Tensor, 13) => message(Self::Entry),
            (Self::Attribute, 8) | (Self::Tensor, 1 | 5 | 7 | 11) => Numbers(size_of::<i64>()),
            // As many bytes in memory as in the file.
            (Self::Attribute, 7) | (Self::Tensor, 4 | 10) => Numbers(1),
            (Self::Model, 2 | 3)
            | (Self::Graph, 2)
            | (Self::Node, 1..=4 | 7)
            | (Self::Attribute, 1 | 4 | 9 | 21)
            | (Self::Tensor, 8)
            | (Self::ValueInfo, 1)
            | (Self::Dimension, 2)
            | (Self::Function, 1 | 4..=6 | 10)
            | (Self::Opset, 1)
            | (Self::Entry, _) => Text,
            _ => Free,
        }
    }
}

/// Counts of what was met.
#[derive(Default)]
struct Counts {
    bytes: usize,
    nodes: usize,
    initialisers: usize,
    ports: usize,
}

/// Refuses a file that decoding would not bound.
pub(crate) fn check(bytes: &[u8]) -> Result<(), OnnxError> {
    check_message(bytes, Message::Model)
}

/// As [`check`], of a tensor by itself.
pub(crate) fn check_tensor(bytes: &[u8]) -> Result<(), OnnxError> {
    check_message(bytes, Message::Tensor)
}

fn check_message(bytes: &[u8], message: Message) -> Result<(), OnnxError> {
    limit("file in bytes", bytes.len(), MAX_MODEL_BYTES)?;
    walk(bytes, message, 0, &mut Counts::default()).map_err(|stop| match stop {
        Stop::Malformed => {
            OnnxError::Malformed { bytes: bytes.len(), reason: "a field ends beyond its message".into() }
        }
        Stop::Refused(error) => error,
    })
}

enum Stop {
    Malformed,
    Refused(OnnxError),
}

fn walk(mut bytes: &[u8], message: Message, nesting: usize, counts: &mut Counts) -> Result<(), Stop> {
    let nesting = nesting + usize::from(message == Message::Graph);
    // The model's own graph is not within another.
    limit("nesting of graphs", nesting.saturating_sub(1), MAX_NESTING).map_err(Stop::Refused)?;
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let body = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                counts.bytes += GROWTH * size_of::<i64>();
                continue;
            }
            1 => {
                take(&mut bytes, 8)?;
                continue;
            }
            2 => {
                let length = varint(&mut bytes)?;
                take(&mut bytes, usize::try_from(length).map_err(|_| Stop::Malformed)?)?
            }
            5 => {
                take(&mut bytes, 4)?;
                continue;
            }
            _ => return Err(Stop::Malformed),
        };
        match message.field(key >> 3) {
            Field::Message(inner) => {
                counts.bytes += GROWTH * inner.bytes();
                counts.nodes += usize::from(inner == Message::Node);
                counts.initialisers += usize::from(inner == Message::Tensor);
                counts.ports += usize::from(inner == Message::ValueInfo);
                check_counts(counts).map_err(Stop::Refused)?;
                walk(body, inner, nesting, counts)?;
            }
            Field::Text => counts.bytes += GROWTH * size_of::<String>() + body.len(),
            Field::Numbers(1) | Field::Free => {}
            Field::Numbers(width) => counts.bytes += width * body.len(),
        }
        check_counts(counts).map_err(Stop::Refused)?;
    }
    Ok(())
}

fn check_counts(counts: &Counts) -> Result<(), OnnxError> {
    limit("number of nodes", counts.nodes, MAX_NODES)?;
    limit("number of tensors", counts.initialisers, MAX_INITIALISERS)?;
    limit("number of inputs and outputs", counts.ports, MAX_PORTS)?;
    limit("structure of the model in bytes", counts.bytes, MAX_DECODED_BYTES)
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), OnnxError> {
    if found <= limit {
        return Ok(());
    }
    Err(OnnxError::TooLarge { what, found: found as u64, limit: limit as u64 })
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Stop> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(Stop::Malformed)?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift).unwrap_or(0);
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Stop::Malformed)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Stop> {
    let (body, rest) = bytes.split_at_checked(length).ok_or(Stop::Malformed)?;
    *bytes = rest;
    Ok(body)
}
