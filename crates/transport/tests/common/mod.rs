//! Pipes and blobs for the tests of blob transfers.
#![allow(unreachable_pub, dead_code, reason = "shared by several test programs, each of which uses its part")]

use std::collections::HashMap;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use shoal_transport::blob::{Blob, BlobSource};
use shoal_wire::ids::BlobId;

/// Two ends of a pipe that holds one data-channel message, as `futures` streams.
pub fn pipe() -> (Pipe, Pipe) {
    let (a, b) = tokio::io::duplex(16 * 1024);
    (Pipe(a), Pipe(b))
}

/// Copies until either end is gone.
pub async fn forward(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
    let _ = to.close().await;
}

pub struct Pipe(tokio::io::DuplexStream);

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        out: &mut [u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let mut buf = tokio::io::ReadBuf::new(out);
        std::task::ready!(tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut self.0), cx, &mut buf))?;
        std::task::Poll::Ready(Ok(buf.filled().len()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(std::pin::Pin::new(&mut self.0), cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(std::pin::Pin::new(&mut self.0), cx)
    }

    fn poll_close(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(std::pin::Pin::new(&mut self.0), cx)
    }
}

pub struct Store(HashMap<BlobId, Blob>);

impl Store {
    pub fn with(blob: &Blob) -> Self {
        Self(HashMap::from([(blob.id(), blob.clone())]))
    }
}

impl BlobSource for Store {
    async fn blob(&self, id: &BlobId) -> Option<Blob> {
        self.0.get(id).cloned()
    }
}

pub fn sample(len: usize) -> Blob {
    Blob::new((0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>())
}
