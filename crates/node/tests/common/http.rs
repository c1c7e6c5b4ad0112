//! An HTTP server of one blob, which may have any manners. By hand, because no library answers as wrongly as asked.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How a server answers.
#[derive(Clone, Debug)]
pub(crate) enum Manners {
    /// With the range.
    Good,
    /// With one bit of this byte flipped.
    Flipped(u64),
    /// With 5 KiB a second.
    Slow,
    /// With 200 and everything.
    Whole,
    /// With 404.
    Missing,
    /// With half of the range, then it hangs up.
    Short,
    /// With a kilobyte more than was asked for.
    Excess,
    /// With another URL.
    Elsewhere(String),
}

/// A running server; ends with the runtime.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

impl Server {
    pub(crate) async fn start(bytes: Vec<u8>, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/blob", listener.local_addr().unwrap());
        let (requests, sent): (Arc<AtomicU64>, Arc<AtomicU64>) = <_>::default();
        let (counting, sending) = (requests.clone(), sent.clone());
        let bytes: Arc<[u8]> = bytes.into();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counting.fetch_add(1, Ordering::SeqCst);
                let (bytes, manners, sending) = (bytes.clone(), manners.clone(), sending.clone());
                tokio::spawn(async move {
                    // A client that hangs up has its reasons.
                    let _ = answer(stream, &bytes, &manners, &sending).await;
                });
            }
        });
        Self { url, requests, sent }
    }

    /// Requests until now.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Bytes of bodies until now.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

/// Answers one request and hangs up.
async fn answer(mut stream: TcpStream, blob: &[u8], manners: &Manners, sent: &AtomicU64) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let range = asked(&String::from_utf8_lossy(&head));
    let place = format!("Content-Range: bytes {}-{}/{}\r\n", range.start, range.end - 1, blob.len());
    let mut body = blob[range.clone()].to_vec();
    let mut len = body.len();
    let (status, extra) = match manners {
        Manners::Good | Manners::Slow => ("206 Partial Content", place),
        Manners::Flipped(offset) => {
            if let Some(at) = (*offset as usize).checked_sub(range.start).filter(|at| *at < len) {
                body[at] ^= 1;
            }
            ("206 Partial Content", place)
        }
        Manners::Whole => {
            body = blob.to_vec();
            len = body.len();
            ("200 OK", String::new())
        }
        Manners::Missing => {
            body = b"nothing here".to_vec();
            len = body.len();
            ("404 Not Found", String::new())
        }
        Manners::Short => {
            body.truncate(len / 2);
            ("206 Partial Content", place)
        }
        Manners::Excess => {
            body.extend([0; 1024]);
            len = body.len();
            ("206 Partial Content", place)
        }
        Manners::Elsewhere(url) => {
            body.clear();
            len = 0;
            ("302 Found", format!("Location: {url}\r\n"))
        }
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n{extra}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let chunk = if matches!(manners, Manners::Slow) { 256 } else { 64 * 1024 };
    for part in body.chunks(chunk) {
        stream.write_all(part).await?;
        sent.fetch_add(part.len() as u64, Ordering::SeqCst);
        if matches!(manners, Manners::Slow) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    stream.shutdown().await
}

/// The range of a request's head.
fn asked(head: &str) -> Range<usize> {
    let line = head.lines().find_map(|line| line.strip_prefix("range: bytes=")).expect("workers ask for ranges");
    let (start, last) = line.split_once('-').unwrap();
    start.parse().unwrap()..last.parse::<usize>().unwrap() + 1
}
