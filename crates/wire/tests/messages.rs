//! Four tests for every message of the schema: pinned bytes, round trip, length bound, and no panic on garbage.
//!
//! The pinned bytes are in `tests/vectors/wire/good.json`, so that other languages can be held to them. A new message
//! that is missing here fails `every_message_of_the_schema_is_tested`. `bad.json` holds inputs that must be refused.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]

use std::{collections::BTreeMap, fs};

use proptest::prelude::*;
use prost::{DecodeError, Message};
use shoal_wire::{
    envelope::{NodeKey, Signed, Verified},
    frame,
    limits::{
        MAX_ADAPTER_LEN, MAX_AGENT_LEN, MAX_BLOB_CHUNK, MAX_FRAME_LEN, MAX_NETWORK_LEN, MAX_REASON_LEN, MAX_SITE_LEN,
    },
    proto::{self, blob_reply::Reply, node::Op, unit::Program},
    unit::CheckedUnit,
};

const GOOD: &str = include_str!("../../../tests/vectors/wire/good.json");
const BAD: &str = include_str!("../../../tests/vectors/wire/bad.json");

struct Sample {
    name: &'static str,
    bytes: Vec<u8>,
    /// Decodes and encodes again.
    again: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
}

fn sample<M: Message + Default>(name: &'static str, message: M) -> Sample {
    Sample { name, bytes: message.encode_to_vec(), again: |bytes| Ok(M::decode(bytes)?.encode_to_vec()) }
}

macro_rules! samples {
    ($($name:ident { $($field:tt)* })*) => {
        vec![$(sample(stringify!($name), proto::$name { $($field)* })),*]
    };
}

fn id(n: u8) -> Vec<u8> {
    vec![n; 32]
}

fn unit() -> proto::Unit {
    let training = proto::LocalTraining { steps: 60, batch: 16, learning_rate: 0.08, momentum: 0.9 };
    proto::Unit {
        job: id(1),
        round: 2,
        index: 3,
        class: proto::Class::Exact as i32,
        graph: id(4),
        parameters: id(5),
        data: id(6),
        reference_ops: 466_220_700,
        memory_bytes: 1 << 20,
        program: Some(Program::LocalTraining(training)),
    }
}

/// Every field of every message has a value that is not its default, so that a changed tag shows.
fn all() -> Vec<Sample> {
    let mut samples = session();
    samples.extend(work());
    samples.extend(blobs());
    samples.extend(graph());
    samples
}

fn session() -> Vec<Sample> {
    let capabilities = proto::Capabilities {
        classes: vec![1, 2],
        backend: 2,
        adapter: "adapter".into(),
        memory_bytes: 3,
        max_unit_ops: 4,
        platform: 2,
    };
    samples! {
        Hello {
            protocol: 1, agent: "shoal/0.1.0".into(), capabilities: Some(capabilities.clone()), join_proof: id(1),
            payout_binding: vec![2, 3], site: "https://example.org".into(),
        }
        Capabilities { ..capabilities }
        PayoutBinding { address: vec![7; 20], chain_id: 31_337, issued_at_s: 1_800_000_000 }
        Welcome { network: "shoal-local".into(), relay_agent: "shoal-relay/0.1.0".into(), max_leases: 16 }
        LeaseRequest { max_units: 2 }
        Lease { lease: id(1), unit: unit().encode_to_vec(), duration_ms: 30_000 }
        NoWork { reason: "nothing open".into() }
        Commit { lease: id(1), commitment: id(2) }
        CommitAck { lease: id(1) }
        Result { lease: id(1), output: id(2), output_len: 12_345, report: Some(report()) }
        WorkReport { ..report() }
        LeaseReturn { lease: id(1), reason: "stopped".into() }
        Rejection { lease: id(1), outcome: 2, reason: "hash differs".into() }
        Refusal { code: 3, detail: "join proof".into() }
        Envelope { r#type: 6, payload: vec![1, 2], signer: id(3), signature: vec![4; 64], operator_signature: vec![5; 65] }
    }
}

fn report() -> proto::WorkReport {
    proto::WorkReport { compute_ms: 85, backend: 2, gpu_dispatches: 12 }
}

fn work() -> Vec<Sample> {
    samples! {
        Unit { ..unit() }
        LocalTraining { steps: 60, batch: 16, learning_rate: 0.08, momentum: 0.9 }
        Gradient { batch: 64 }
        Map { batch: 32, rows: 1000 }
        Verdict { unit: id(1), lease: id(2), worker: id(3), output: id(4), outcome: 1, deviation: 1e-7 }
        Receipt {
            job: id(1), unit: id(2), round: 3, index: 4, worker: id(5), payout_address: vec![6; 20], site: "s".into(),
            relay: id(7), authorizer: id(8), reference_ops: 9, output: id(10), verdict: vec![11], class: 1,
        }
    }
}

fn blobs() -> Vec<Sample> {
    samples! {
        BlobRequest { id: id(1), offset: 16_384, credit: 262_144, length: 32_768, part: 1 }
        BlobCredit { bytes: 131_072 }
        BlobReply { reply: Some(Reply::Chunk(vec![1, 2, 3])) }
        BlobHeader { size: 100_000, sources: vec!["https://a.example/b".into()] }
        BlobRefusal { code: 2 }
    }
}

fn graph() -> Vec<Sample> {
    let value = proto::Value { name: "x".into(), dtype: 1, shape: vec![8, 1, 8, 8] };
    let height = proto::WindowAxis { stride: 2, dilation: 3, low: 1, high: 4 };
    let width = proto::WindowAxis { stride: 5, dilation: 6, low: 7, high: 8 };
    let window = Some(proto::Window2d { height: Some(height), width: Some(width) });
    let op = Op::Conv2d(proto::Conv2d { window, groups: 2 });
    let node = proto::Node { inputs: vec![0, 1], output: 2, op: Some(op) };
    let output = proto::GraphOutput { name: "loss".into(), value: 2 };
    samples! {
        Graph { version: 2, values: vec![value.clone()], inputs: vec![0, 1], nodes: vec![node.clone()], outputs: vec![output.clone()] }
        Value { ..value }
        GraphOutput { ..output }
        Node { ..node }
        Constant { dtype: 2, shape: vec![1, 2], data: vec![1, 0, 0, 0, 2, 0, 0, 0] }
        Iota { axis: 1, shape: vec![2, 3] }
        Where {}
        Shape { dims: vec![8, 64] }
        Axes { axes: vec![1, 0] }
        Slice { starts: vec![1, 5], steps: vec![1, -2], shape: vec![2, 3] }
        Pad { low: vec![1, 0], high: vec![2, 3], interior: vec![0, 4], value: -0.5 }
        Concat { axis: 1 }
        Gather { axis: 1 }
        ScatterAdd { axis: 1, size: 9 }
        Reduce { reduction: 3, axes: vec![0, 2] }
        ArgMax { axis: 1 }
        MatMul { trans_a: true, trans_b: true }
        MatMulInteger { trans_b: true }
        Requantize { shift: 16, low: -127, high: 127, dtype: 3 }
        WindowAxis { ..height }
        Window2d { height: Some(height), width: Some(width) }
        Conv2d { window, groups: 2 }
        Conv2dGradInput { window, groups: 2, height: 8, width: 9 }
        Conv2dGradWeight { window, groups: 2, kernel_height: 3, kernel_width: 4 }
        Pool2d { window, kernel_height: 3, kernel_width: 4 }
        SumPool2dGrad { window, kernel_height: 3, kernel_width: 4, height: 8, width: 9 }
        Softmax {}
        SoftmaxGrad {}
        SoftmaxCrossEntropy {}
        SoftmaxCrossEntropyGrad {}
    }
}

#[test]
fn every_message_of_the_schema_is_tested() {
    let folder = "proto/shoal/v1";
    let tested: Vec<&str> = all().iter().map(|sample| sample.name).collect();
    for file in fs::read_dir(folder).unwrap() {
        let schema = fs::read_to_string(file.unwrap().path()).unwrap();
        for name in schema.lines().filter_map(|line| line.strip_prefix("message ")) {
            let name = name.split_whitespace().next().unwrap();
            assert!(tested.contains(&name), "{name} has no sample");
        }
    }
}

/// To pin a new message, run this and copy what it got.
#[test]
fn pinned_bytes() {
    let pinned: BTreeMap<String, String> = serde_json::from_str(GOOD).unwrap();
    for sample in all() {
        let got = hex::encode(&sample.bytes);
        assert_eq!(pinned.get(sample.name), Some(&got), "{}: an accidental change of the encoding", sample.name);
    }
    assert_eq!(pinned.len(), all().len(), "a pinned message is gone");
}

#[test]
fn round_trip() {
    for sample in all() {
        assert_eq!((sample.again)(&sample.bytes), Ok(sample.bytes.clone()), "{}", sample.name);
    }
    for sample in all().iter().filter(|sample| sample.bytes.is_empty()) {
        assert!(
            matches!(
                sample.name,
                "Where" | "Softmax" | "SoftmaxGrad" | "SoftmaxCrossEntropy" | "SoftmaxCrossEntropyGrad"
            ),
            "{}",
            sample.name
        );
    }
}

/// The largest message of each kind that this side may send fits a frame, envelope and all.
#[test]
fn length_bound() {
    fn sealed<M: Signed>(message: &M) -> usize {
        NodeKey::from_seed(&[1; 32], "n".repeat(MAX_NETWORK_LEN)).seal_bytes(message).len()
    }
    let text = |len: usize| "x".repeat(len);
    let binding = proto::PayoutBinding { address: vec![0xff; 20], chain_id: u64::MAX, issued_at_s: u64::MAX };
    let key = NodeKey::from_seed(&[1; 32], "n");
    let capabilities = proto::Capabilities {
        classes: vec![1, 2],
        backend: 2,
        adapter: text(MAX_ADAPTER_LEN),
        memory_bytes: u64::MAX,
        max_unit_ops: u64::MAX,
        platform: 3,
    };
    let hello = proto::Hello {
        protocol: u32::MAX,
        agent: text(MAX_AGENT_LEN),
        capabilities: Some(capabilities),
        join_proof: id(1),
        payout_binding: key.seal_bytes(&binding),
        site: text(MAX_SITE_LEN),
    };
    let max_unit =
        proto::Unit { round: u32::MAX, index: u32::MAX, reference_ops: u64::MAX, memory_bytes: u64::MAX, ..unit() };
    let verdict =
        proto::Verdict { unit: id(1), lease: id(2), worker: id(3), output: id(4), outcome: 6, deviation: f64::MAX };
    let receipt = proto::Receipt {
        job: id(1),
        unit: id(2),
        round: u32::MAX,
        index: u32::MAX,
        worker: id(5),
        payout_address: vec![6; 20],
        site: text(MAX_SITE_LEN),
        relay: id(7),
        authorizer: id(8),
        reference_ops: u64::MAX,
        output: id(10),
        verdict: key.seal_bytes(&verdict),
        class: 2,
    };
    let report = proto::WorkReport { compute_ms: u32::MAX, backend: 2, gpu_dispatches: u32::MAX };
    let reason = text(MAX_REASON_LEN);
    for (name, len) in [
        ("Hello", sealed(&hello)),
        (
            "Welcome",
            sealed(&proto::Welcome {
                network: text(MAX_NETWORK_LEN),
                relay_agent: text(MAX_AGENT_LEN),
                max_leases: u32::MAX,
            }),
        ),
        ("Lease", sealed(&proto::Lease { lease: id(1), unit: max_unit.encode_to_vec(), duration_ms: u32::MAX })),
        ("NoWork", sealed(&proto::NoWork { reason: reason.clone() })),
        ("Result", sealed(&proto::Result { lease: id(1), output: id(2), output_len: u64::MAX, report: Some(report) })),
        ("LeaseReturn", sealed(&proto::LeaseReturn { lease: id(1), reason: reason.clone() })),
        ("Rejection", sealed(&proto::Rejection { lease: id(1), outcome: 6, reason: reason.clone() })),
        ("Refusal", sealed(&proto::Refusal { code: 9, detail: reason })),
        ("Acceptance", sealed(&receipt)),
        ("BlobReply", proto::BlobReply { reply: Some(Reply::Chunk(vec![0; MAX_BLOB_CHUNK])) }.encoded_len()),
    ] {
        assert!(len <= MAX_FRAME_LEN, "{name} takes {len} bytes");
    }
    let oversized = proto::NoWork { reason: text(MAX_FRAME_LEN) }.encode_to_vec();
    assert!(frame::encode(&oversized, &mut Vec::new()).is_err(), "what is larger is refused before it is sent");
}

fn decode_everything(bytes: &[u8]) {
    for sample in all() {
        let _ = (sample.again)(bytes);
    }
    let _ = Verified::open(bytes, "net");
    let _ = CheckedUnit::decode(bytes);
    let mut decoder = frame::Decoder::new();
    decoder.push(bytes);
    while let Ok(Some(_)) = decoder.next_frame() {}
}

/// Every truncation and every flipped bit of every sample.
#[test]
fn damaged_messages_never_panic() {
    for sample in all() {
        for len in 0..sample.bytes.len() {
            let _ = (sample.again)(&sample.bytes[..len]);
        }
        for bit in 0..sample.bytes.len() * 8 {
            let mut damaged = sample.bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let _ = (sample.again)(&damaged);
            let _ = CheckedUnit::decode(&damaged);
        }
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_everything(&bytes);
    }
}

#[derive(serde::Deserialize)]
struct BadVector {
    what: String,
    /// `envelope`, `unit` or `frame`.
    as_a: String,
    hex: String,
    /// Part of the error.
    error: String,
}

#[test]
fn bad_vectors_are_refused_by_name() {
    let vectors: Vec<BadVector> = serde_json::from_str(BAD).unwrap();
    assert!(vectors.len() >= 12);
    for BadVector { what, as_a, hex, error } in vectors {
        let bytes = hex::decode(hex).unwrap();
        decode_everything(&bytes);
        let refused = match as_a.as_str() {
            "envelope" => Verified::open(&bytes, "net").unwrap_err().to_string(),
            "unit" => CheckedUnit::decode(&bytes).unwrap_err().to_string(),
            "frame" => {
                let mut decoder = frame::Decoder::new();
                decoder.push(&bytes);
                decoder.next_frame().unwrap_err().to_string()
            }
            other => panic!("{what}: {other:?} is none of envelope, unit, frame"),
        };
        assert!(refused.contains(&error), "{what}: {refused}");
    }
}
