//! A plain WebSocket server: what a tab could have without a transport of ours.

use std::error::Error;

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::protocol::{Command, DONE};

/// Bytes in one message. Larger ones gain nothing here; the tab sends as many.
const MESSAGE_LEN: usize = 64 * 1024;

pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(stream).await {
                eprintln!("a WebSocket failed: {error}");
            }
        });
    }
}

/// Commands one after the other, each a message; the bytes follow in messages of their own.
async fn serve(stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async(stream).await?;
    let chunk = Bytes::from(vec![0x5a; MESSAGE_LEN]);
    while let Some(message) = socket.next().await {
        let Message::Binary(message) = message? else { continue };
        match Command::read(&mut &message[..]).await? {
            Command::Down { len } => {
                let mut left = len as usize;
                while left > 0 {
                    let len = left.min(chunk.len());
                    socket.send(Message::Binary(chunk.slice(..len))).await?;
                    left -= len;
                }
            }
            Command::Up { len } => {
                let mut left = len as usize;
                while left > 0 {
                    let message = socket.next().await.ok_or("the tab left")??;
                    left = left.checked_sub(message.len()).ok_or("more than announced")?;
                }
                socket.send(Message::Binary(Bytes::from_static(&[DONE]))).await?;
            }
            other @ (Command::Prepare { .. } | Command::Fetch { .. }) => {
                return Err(format!("{other:?} is not for a plain socket").into());
            }
        }
    }
    Ok(())
}
