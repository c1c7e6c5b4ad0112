//! Blob transfers over in-memory pipes: verified, resumable, and never beyond the credit.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]
#![cfg(not(target_arch = "wasm32"))]

mod common;

use common::{Pipe, Store, forward, pipe, sample};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, FutureExt as _};
use prost::Message as _;
use shoal_transport::{
    blob::{Blob, Download, FetchError, ServeError, SliceError, fetch, serve},
    framed::{FrameReader, FrameWriter, framed},
};
use shoal_wire::{
    ids::BlobId,
    limits::{BLOB_GROUP_LEN, INITIAL_BLOB_CREDIT, MAX_BLOB_CHUNK, MAX_BLOB_CREDIT},
    proto::{BlobCredit, BlobHeader, BlobRefusalCode, BlobReply, BlobRequest, blob_reply::Reply},
};

const MAX: u64 = 8 * 1024 * 1024;

#[tokio::test]
async fn blobs_of_every_size_around_a_group_arrive() {
    let group = BLOB_GROUP_LEN;
    for len in [0, 1, 1023, group - 1, group, group + 1, 2 * group, 5 * group + 77, 1_000_003] {
        let blob = sample(len);
        let store = Store::with(&blob);
        assert_eq!(blob.id(), BlobId::of(blob.bytes()), "the outboard's root is the plain BLAKE3 hash");
        let (near, far) = pipe();
        let (served, got) = futures::join!(serve(far, &store), fetch(near, blob.id(), MAX));
        assert_eq!(got.unwrap(), *blob.bytes(), "{len} bytes");
        assert_eq!(served.unwrap().id, blob.id());
    }
}

#[tokio::test]
async fn an_unknown_blob_and_a_bad_offset_are_refused() {
    let blob = sample(100_000);
    let store = Store::with(&blob);
    let (near, far) = pipe();
    let (served, got) = futures::join!(serve(far, &store), fetch(near, BlobId([9; 32]), MAX));
    assert!(matches!(served, Err(ServeError::Refused { code: BlobRefusalCode::NotFound, .. })));
    assert!(matches!(got, Err(FetchError::Refused(BlobRefusalCode::NotFound))));

    for offset in [1, 16_384 * 7, u64::MAX] {
        let (near, far) = pipe();
        let (_reader, mut writer) = framed(near);
        let request = BlobRequest { id: blob.id().to_vec(), offset, credit: 1, ..Default::default() };
        let (served, _) = futures::join!(serve(far, &store), async { writer.send(&request.encode_to_vec()).await });
        assert!(matches!(served, Err(ServeError::Refused { code: BlobRefusalCode::BadOffset, .. })), "{offset}");
    }
}

#[tokio::test]
async fn a_larger_blob_than_allowed_is_refused_by_its_header() {
    let blob = sample(100_000);
    let store = Store::with(&blob);
    let (near, far) = pipe();
    let (_, got) = futures::join!(serve(far, &store), fetch(near, blob.id(), 99_999));
    assert!(matches!(got, Err(FetchError::TooLarge { size: 100_000, limit: 99_999 })));
}

/// Copies a sender's bytes to a receiver, flipping one bit of one byte, until `limit` bytes were copied.
async fn relay_with_fault(from: Pipe, to: Pipe, flip: Option<usize>, limit: usize) {
    let (mut from_read, from_write) = from.split();
    let (to_read, mut to_write) = to.split();
    let down = async {
        let mut buffer = [0; 4096];
        let mut at = 0;
        while at < limit {
            let wanted = buffer.len().min(limit - at);
            let len = from_read.read(&mut buffer[..wanted]).await.unwrap_or(0);
            if len == 0 {
                break;
            }
            if let Some(flip) = flip.filter(|flip| (at..at + len).contains(flip)) {
                buffer[flip - at] ^= 1;
            }
            at += len;
            if to_write.write_all(&buffer[..len]).await.is_err() {
                break;
            }
        }
        let _ = to_write.close().await;
    };
    let up = forward(to_read, from_write);
    futures::future::select(Box::pin(down), Box::pin(up)).await;
}

/// Runs a download through a faulty link; returns its outcome.
async fn download_through(
    blob: &Blob,
    download: &Download,
    flip: Option<usize>,
    limit: usize,
) -> Result<(), FetchError> {
    let store = Store::with(blob);
    let (near, relay_near) = pipe();
    let (relay_far, far) = pipe();
    let (_, _, got) =
        futures::join!(serve(far, &store), relay_with_fault(relay_far, relay_near, flip, limit), download.run(near));
    got
}

#[tokio::test]
async fn a_flipped_bit_is_caught_at_its_group() {
    let blob = sample(40 * BLOB_GROUP_LEN);
    // Far into the stream: past the header, the hash pairs and several groups.
    for flip in [100_000, 300_000, 500_000] {
        let download = Download::new(blob.id(), MAX);
        let error = download_through(&blob, &download, Some(flip), usize::MAX).await.unwrap_err();
        let FetchError::Slice(SliceError::GroupMismatch { offset }) = error else { panic!("{error}") };
        assert!(offset <= flip as u64 && flip as u64 - offset < 3 * BLOB_GROUP_LEN as u64, "{offset} for {flip}");
        assert_eq!(download.verified_len(), offset, "the groups before it are kept");

        download_through(&blob, &download, None, usize::MAX).await.unwrap();
        assert_eq!(download.into_bytes().unwrap(), *blob.bytes());
    }
}

#[tokio::test]
async fn a_broken_transfer_resumes_and_fetches_nothing_verified_again() {
    let blob = sample(60 * BLOB_GROUP_LEN + 5);
    let download = Download::new(blob.id(), MAX);
    let error = download_through(&blob, &download, None, 400_000).await.unwrap_err();
    assert!(matches!(error, FetchError::Framed(_) | FetchError::Closed { .. }), "{error}");
    let before = download.verified_len();
    assert!(before >= 300_000 && before.is_multiple_of(BLOB_GROUP_LEN as u64), "{before}");

    let store = Store::with(&blob);
    let (near, far) = pipe();
    let (served, got) = futures::join!(serve(far, &store), download.run(near));
    got.unwrap();
    let missing = blob.bytes().len() as u64 - before;
    let hashes = served.unwrap().sent - missing;
    assert!(hashes < 64 * 64, "{hashes} bytes beyond what was missing must be hash pairs only");
    assert_eq!(download.into_bytes().unwrap(), *blob.bytes());
}

#[tokio::test]
async fn a_receiver_that_grants_nothing_stops_the_sender() {
    let blob = sample(2 * INITIAL_BLOB_CREDIT as usize);
    let store = Store::with(&blob);
    let (near, far) = pipe();
    let (mut reader, mut writer) = framed(near);
    let credit = 100_000_u64;
    let request = BlobRequest { id: blob.id().to_vec(), offset: 0, credit, ..Default::default() };
    let receive = async {
        writer.send(&request.encode_to_vec()).await.unwrap();
        let mut got = received(&mut reader, credit).await;
        assert_eq!(got, credit, "all that was granted");
        // The sender has nothing left to say: the next read stays pending however often both are polled.
        for _ in 0..100 {
            assert!(reader.next().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        writer.send(&BlobCredit { bytes: 5_000 }.encode_to_vec()).await.unwrap();
        got += received(&mut reader, 5_000).await;
        assert_eq!(got, credit + 5_000);
        writer.close().await.unwrap();
    };
    let (served, ()) = futures::join!(serve(far, &store), receive);
    assert!(matches!(served, Err(ServeError::Closed { sent: 105_000 })), "{served:?}");
}

async fn received<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>, want: u64) -> u64 {
    let mut got = 0;
    while got < want {
        let frame = reader.next().await.unwrap().unwrap();
        if let Some(Reply::Chunk(chunk)) = BlobReply::decode(frame.as_slice()).unwrap().reply {
            assert!(chunk.len() <= MAX_BLOB_CHUNK);
            got += chunk.len() as u64;
        }
    }
    got
}

#[tokio::test]
async fn too_much_credit_is_refused() {
    let blob = sample(10);
    let store = Store::with(&blob);
    let (near, far) = pipe();
    let (_reader, mut writer) = framed(near);
    let request = BlobRequest { id: blob.id().to_vec(), offset: 0, credit: MAX_BLOB_CREDIT + 1, ..Default::default() };
    let (served, _) = futures::join!(serve(far, &store), async { writer.send(&request.encode_to_vec()).await });
    assert!(matches!(served, Err(ServeError::TooMuchCredit { .. })), "{served:?}");
}

/// A sender made by hand: reads the request and then says whatever the test wants.
async fn fake_sender(stream: Pipe, replies: Vec<Reply>) -> FrameWriter<impl AsyncWrite> {
    let (mut reader, mut writer) = framed(stream);
    reader.next().await.unwrap().unwrap();
    for reply in replies {
        if writer.send(&BlobReply { reply: Some(reply) }.encode_to_vec()).await.is_err() {
            break;
        }
    }
    writer
}

#[tokio::test]
async fn a_sender_that_ignores_credit_is_refused() {
    let blob = sample(40 * BLOB_GROUP_LEN);
    let slice = record_slice(&blob).await;
    let header = Reply::Header(BlobHeader { size: blob.bytes().len() as u64, sources: vec![] });
    let window = 40_000;
    // The lengths of the chunks it sends without waiting, and what was left when the last one came.
    for (chunks, left) in [(&[60_000][..], 40_000), (&[15_000, 30_000], 25_000)] {
        let mut replies = vec![header.clone()];
        let mut at = 0;
        for len in chunks {
            replies.push(Reply::Chunk(slice[at..at + len].to_vec()));
            at += len;
        }
        let (near, far) = pipe();
        let download = Download::new(blob.id(), MAX).with_window(window);
        let send = async { drop(fake_sender(far, replies).await) };
        let (got, ()) = futures::join!(download.run(near), send);
        let error = got.unwrap_err();
        assert!(matches!(error, FetchError::CreditExceeded { credit, .. } if credit == left), "{error}");
    }
}

#[tokio::test]
async fn a_small_window_still_carries_a_large_blob() {
    let blob = sample(10 * BLOB_GROUP_LEN);
    let store = Store::with(&blob);
    let (near, far) = pipe();
    let download = Download::new(blob.id(), MAX).with_window(1_000);
    let (served, got) = futures::join!(serve(far, &store), download.run(near));
    got.unwrap();
    served.unwrap();
    assert_eq!(download.into_bytes().unwrap(), *blob.bytes());
}

/// The bytes of the whole slice as an honest sender gives them.
async fn record_slice(blob: &Blob) -> Vec<u8> {
    let store = Store::with(blob);
    let (near, far) = pipe();
    let record = async {
        let mut slice = Vec::new();
        let (mut reader, mut writer) = framed(near);
        let request = BlobRequest { id: blob.id().to_vec(), offset: 0, credit: MAX_BLOB_CREDIT, ..Default::default() };
        writer.send(&request.encode_to_vec()).await.unwrap();
        while let Some(frame) = reader.next().await.unwrap() {
            if let Some(Reply::Chunk(chunk)) = BlobReply::decode(frame.as_slice()).unwrap().reply {
                slice.extend(chunk);
            }
        }
        writer.close().await.unwrap();
        slice
    };
    let (served, slice) = futures::join!(serve(far, &store), record);
    served.unwrap();
    slice
}

#[tokio::test]
async fn what_the_protocol_does_not_allow_is_an_error() {
    let blob = sample(100);
    let header = Reply::Header(BlobHeader { size: 100, sources: vec![] });
    let chunk = Reply::Chunk(blob.bytes().to_vec());
    type Case = (Vec<Reply>, fn(&FetchError) -> bool);
    let cases: Vec<Case> = vec![
        (vec![chunk.clone()], |e| matches!(e, FetchError::OutOfOrder { .. })),
        (vec![header.clone(), header.clone()], |e| matches!(e, FetchError::OutOfOrder { .. })),
        (vec![header.clone(), Reply::Chunk(vec![])], |e| matches!(e, FetchError::OutOfOrder { .. })),
        (vec![header.clone(), Reply::Chunk(vec![0; 100])], |e| matches!(e, FetchError::Slice(_))),
        (vec![header.clone(), Reply::Chunk([blob.bytes().as_ref(), &[0]].concat())], |e| {
            matches!(e, FetchError::Slice(SliceError::Excess { excess: 1 }))
        }),
        (vec![Reply::Header(BlobHeader { size: 99, sources: vec![] }), chunk.clone()], |e| {
            matches!(e, FetchError::Slice(_))
        }),
        (vec![Reply::Header(BlobHeader { size: 101, sources: vec![] }), chunk.clone()], |e| {
            matches!(e, FetchError::Closed { .. })
        }),
        (vec![header], |e| matches!(e, FetchError::Closed { verified: 0 })),
    ];
    for (i, (replies, expected)) in cases.into_iter().enumerate() {
        let (near, far) = pipe();
        let send = async { drop(fake_sender(far, replies).await) };
        let (got, ()) = futures::join!(fetch(near, blob.id(), MAX), send);
        let error = got.unwrap_err();
        assert!(expected(&error), "case {i}: {error}");
    }
}

#[tokio::test]
async fn a_truncated_frame_is_named_at_both_ends() {
    let blob = sample(100);
    let (near, far) = pipe();
    let send = async {
        let (mut read, mut write) = far.split();
        let mut request = [0; 8];
        read.read_exact(&mut request).await.unwrap();
        write.write_all(&[40, 1, 2, 3]).await.unwrap();
        write.close().await.unwrap();
    };
    let (got, ()) = futures::join!(fetch(near, blob.id(), MAX), send);
    assert!(matches!(got, Err(FetchError::Framed(_))), "{got:?}");

    let store = Store::with(&blob);
    let (mut near, far) = pipe();
    let cut = async {
        near.write_all(&[40, 1, 2, 3]).await.unwrap();
        near.close().await.unwrap();
    };
    let (served, ()) = futures::join!(serve(far, &store), cut);
    assert!(matches!(served, Err(ServeError::Framed(_))), "{served:?}");
}
