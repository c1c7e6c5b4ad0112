//! Strangers on the wire: garbage, lies about themselves, lies about their work. Each gets a name, and the relay goes on.

use crate::common::{
    TestRelay,
    peer::{Peer, hello},
    submit_points,
    worker::TestWorker,
};
use prost::Message as _;
use shoal_wire::{
    commitment::commitment,
    envelope::NodeKey,
    ids::{BlobId, LeaseId},
    proto::{
        Commit, CommitAck, Lease, LeaseRequest, Outcome, Receipt, Refusal, RefusalCode, Rejection,
        Result as WorkResult, WorkReport,
    },
    unit::CheckedUnit,
};

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    shoal_wire::frame::encode(payload, &mut frame).unwrap();
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_by_name_and_the_relay_goes_on() {
    let relay = TestRelay::start().await;
    let network = &relay.api.ready.join.network;
    // The relay closes the connection of a peer that breaks the protocol, so each case is another peer.
    let key = |seed: u8| NodeKey::from_seed(&[seed; 32], network.clone());
    let mut old = hello();
    old.protocol = 99;
    let mut wordy = hello();
    wordy.agent = "x".repeat(1000);
    let request = LeaseRequest { max_units: 1 };
    let cases: [(Vec<u8>, RefusalCode, &str); 9] = [
        (vec![0xff; 64], RefusalCode::Malformed, "prefix"),
        (vec![0xff, 0xff, 0x7f], RefusalCode::Malformed, "above the limit of 65536"),
        (framed(b"not an envelope"), RefusalCode::Malformed, "not an envelope"),
        (
            framed(&NodeKey::from_seed(&[23; 32], "another").seal_bytes(&hello())),
            RefusalCode::WrongNetwork,
            "shoal-local",
        ),
        (framed(&key(99).seal_bytes(&hello())), RefusalCode::BadSignature, "signed by"),
        (framed(&key(25).seal_bytes(&old)), RefusalCode::ProtocolVersion, "protocol 99"),
        (framed(&key(26).seal_bytes(&wordy)), RefusalCode::Malformed, "agent has 1000 bytes, allowed is 64"),
        (framed(&key(27).seal_bytes(&request)), RefusalCode::OutOfOrder, "LeaseRequest"),
        (
            framed(&{
                let mut envelope = key(28).seal(&hello());
                envelope.payload = vec![0xff; 8];
                envelope.encode_to_vec()
            }),
            RefusalCode::WrongNetwork,
            "signature",
        ),
    ];
    for (seed, (bytes, code, detail)) in (20..).zip(cases) {
        let mut peer = Peer::connect(&relay.api, seed).await;
        let (got, words) = peer.refusal_of_bytes(&bytes).await;
        assert_eq!(got, code, "{words}");
        assert!(words.contains(detail), "{detail:?} in {words:?}");
    }
    let job = submit_points(&relay.api, 1, |_| ()).await;
    let _worker = TestWorker::start(&relay.api, 1);
    relay.api.finished(job).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_out_of_order_or_range_are_refused() {
    let relay = TestRelay::start().await;
    let mut peer = Peer::connect(&relay.api, 3).await;
    let (mut reader, mut writer) = peer.join().await;
    // An unknown lease is an honest mistake after a restart: the session goes on.
    peer.send(&mut writer, &Commit { lease: vec![1; 32], commitment: vec![2; 32] }).await;
    let refusal: Refusal = peer.wait(&mut reader).await;
    assert_eq!(refusal.code(), RefusalCode::UnknownLease);
    peer.send(&mut writer, &LeaseRequest { max_units: 1000 }).await;
    let refusal: Refusal = peer.wait(&mut reader).await;
    assert_eq!(
        (refusal.code(), refusal.detail.as_str()),
        (RefusalCode::Malformed, "max_units is 1000, allowed is 1 to 16")
    );
    assert!(reader.next().await.map_or(true, |frame| frame.is_none()));
    relay.stop().await;
}

/// Takes a lease and answers it with `lie`; returns what the relay says.
async fn lie_once(
    peer: &mut Peer,
    reader: &mut crate::common::peer::Reader,
    writer: &mut crate::common::peer::Writer,
    lie: impl Fn(&CheckedUnit) -> (BlobId, BlobId, u64),
) -> Rejection {
    peer.send(writer, &LeaseRequest { max_units: 1 }).await;
    let lease: Lease = peer.wait(reader).await;
    let unit = CheckedUnit::decode(&lease.unit).unwrap();
    let id = LeaseId::try_from(&lease.lease).unwrap();
    let (committed, output, output_len) = lie(&unit);
    let commitment = commitment(&peer.key.node_id(), &id, &committed).to_vec();
    peer.send(writer, &Commit { lease: lease.lease.clone(), commitment }).await;
    let _: CommitAck = peer.wait(reader).await;
    let report = Some(WorkReport::default());
    peer.send(writer, &WorkResult { lease: lease.lease, output: output.to_vec(), output_len, report }).await;
    peer.wait(reader).await
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_are_rejected_earn_nothing_and_do_not_enter_the_model() {
    // The same job, once with a liar first and once without one.
    let mut models = Vec::new();
    for with_liar in [false, true] {
        let relay = TestRelay::start().await;
        let job = submit_points(&relay.api, 2, |_| ()).await;
        let zeros = crate::common::zeros();
        let len = zeros.len() as u64;
        let id = BlobId::of(&zeros);
        if with_liar {
            let mut liar = Peer::connect(&relay.api, 66).await;
            liar.serve(vec![zeros]);
            let (mut reader, mut writer) = liar.join().await;
            let rejection = lie_once(&mut liar, &mut reader, &mut writer, |_| (id, id, len)).await;
            assert_eq!(rejection.outcome(), Outcome::WrongResult);
            let rejection = lie_once(&mut liar, &mut reader, &mut writer, |_| (BlobId([1; 32]), id, len)).await;
            assert_eq!(rejection.outcome(), Outcome::CommitmentMismatch);
            let rejection = lie_once(&mut liar, &mut reader, &mut writer, |_| (id, id, len + 1)).await;
            assert_eq!(rejection.outcome(), Outcome::WrongResult, "the blob is known, whatever its announced length");
            // Three strikes: no more leases.
            let refusal: Refusal = liar.wait(&mut reader).await;
            assert_eq!(refusal.code(), RefusalCode::TooMany);
            assert!(refusal.detail.contains("too many wrong results"), "{}", refusal.detail);
        }
        let _worker = TestWorker::start(&relay.api, 1);
        let status = relay.api.finished(job).await;
        models.push(status.model);
        if with_liar {
            let row = status.workers.iter().find(|row| row.rejected_units > 0).unwrap();
            assert_eq!((row.rejected_units, row.accepted_units, row.verified_ops), (3, 0, 0));
        }
        relay.stop().await;
    }
    assert_eq!(models[0], models[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_never_delivered_goes_to_somebody_else() {
    let relay = TestRelay::start().await;
    let job = submit_points(&relay.api, 1, |_| ()).await;
    let mut peer = Peer::connect(&relay.api, 66).await;
    peer.serve(Vec::new());
    let (mut reader, mut writer) = peer.join().await;
    let len = crate::common::zeros().len() as u64;
    let id = BlobId([3; 32]);
    let rejection = lie_once(&mut peer, &mut reader, &mut writer, |_| (id, id, len)).await;
    assert_eq!(rejection.outcome(), Outcome::OutputUnavailable);
    let _worker = TestWorker::start(&relay.api, 1);
    relay.api.finished(job).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_was_missed_comes_at_the_next_session() {
    let relay = TestRelay::start().await;
    let job = submit_points(&relay.api, 1, |_| ()).await;
    let worker = TestWorker::start(&relay.api, 1);
    relay.api.finished(job).await;
    drop(worker);
    // It was written to a link, which does not say that it arrived.
    let dir = relay.stop().await;
    let relay = TestRelay::start_in(dir, |_| ()).await;
    let mut peer = Peer::connect(&relay.api, 1).await;
    let (mut reader, _writer) = peer.join().await;
    let receipt: Receipt = peer.wait(&mut reader).await;
    assert_eq!(receipt.job, job.to_vec());
    relay.stop().await;
}
