//! What the telemetry says of connections over paths whose delay and loss are known.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

#[path = "common/nodes.rs"]
mod nodes;

use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use shoal_netem::Conditions;
use shoal_transport::race::Kind;
use shoal_transport::telemetry::Connection;

use nodes::{PATIENCE, connected, stream};

const ROUND_TRIP: Duration = Duration::from_millis(60);
const LEN: usize = 300_000;

async fn exchange(streams: [libp2p::swarm::Stream; 2]) -> [libp2p::swarm::Stream; 2] {
    let both = streams.map(|stream| async {
        let (mut reader, mut writer) = stream.split();
        let mut read = vec![0; LEN];
        let write = async {
            writer.write_all(&vec![7; LEN]).await.unwrap();
            writer.flush().await.unwrap();
        };
        let (_, done) = futures::join!(write, reader.read_exact(&mut read));
        done.unwrap();
        reader.reunite(writer).unwrap()
    });
    let [one, two] = both;
    <[_; 2]>::from(futures::join!(one, two))
}

/// Bytes to the byte, a round trip of the path's, the same by both ends; and what only the transport knows.
async fn tells_the_truth(kind: Kind, knows_path: bool) {
    let (listener, dialler, _proxy) = connected(kind, Some(Conditions::new(ROUND_TRIP, 0))).await;
    for end in [&listener, &dialler] {
        let connection = end.when(|connection| connection.round_trip.is_some()).await;
        assert_eq!(connection.kind, kind);
        let round_trip = connection.round_trip.unwrap();
        assert!(round_trip >= ROUND_TRIP && round_trip < 80 * ROUND_TRIP, "{kind:?}: {round_trip:?}");
    }
    let streams = stream(&dialler, &listener).await;
    // A ping may still be on its way to who answers it.
    let settled = |connection: &Connection, other: &Connection| {
        (connection.received, connection.sent) == (other.sent, other.received)
    };
    let before = listener.when(|connection| settled(connection, &dialler.connection().unwrap())).await;
    let streams = exchange(streams).await;
    for (end, other) in [(&listener, &dialler), (&dialler, &listener)] {
        let after = end.when(|connection| settled(connection, &other.connection().unwrap())).await;
        let (old_received, old_sent) =
            if after.peer == dialler.peer { (before.received, before.sent) } else { (before.sent, before.received) };
        assert_eq!((after.received - old_received, after.sent - old_sent), (LEN as u64, LEN as u64), "{kind:?}");
        assert_eq!(after.path_round_trip.is_some(), knows_path, "{after:?}");
        assert_eq!(after.retransmissions.is_some(), knows_path, "{after:?}");
        if let Some(found) = after.path_round_trip {
            assert!(found >= ROUND_TRIP && found < 80 * ROUND_TRIP, "{kind:?}: {found:?}");
        }
        end.telemetry.measure_rates(end.started.elapsed() + Duration::from_secs(3));
        let rated = end.connection().unwrap();
        assert!(rated.received_rate > 0 && rated.sent_rate > 0, "{rated:?}");
    }
    let totals = listener.telemetry.totals()[&kind];
    assert_eq!((totals.now, totals.opened), (1, 1));
    drop(streams);
    dialler.task.abort();
    let deadline = Instant::now() + PATIENCE;
    while listener.connection().is_some() {
        assert!(Instant::now() < deadline, "the listener sees its peer go");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let after = listener.telemetry.totals()[&kind];
    assert_eq!((after.now, after.opened), (0, 1));
    assert!(after.received >= totals.received && after.sent >= totals.sent, "what has ended stays counted");
    assert_eq!(after.retransmissions.is_some(), knows_path);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_webrtc() {
    tells_the_truth(Kind::WebRtc, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_websocket() {
    tells_the_truth(Kind::WebSocket, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_tcp() {
    tells_the_truth(Kind::Tcp, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_quic() {
    tells_the_truth(Kind::Quic, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_path_loses_is_counted_as_sent_again() {
    let (listener, dialler, proxy) = connected(Kind::WebRtc, Some(Conditions::new(ROUND_TRIP, 50))).await;
    let proxy = proxy.unwrap();
    for end in [&listener, &dialler] {
        end.when(|_| true).await;
    }
    exchange(stream(&dialler, &listener).await).await;
    let again = [&listener, &dialler].map(|end| end.connection().unwrap().retransmissions.unwrap());
    assert!(proxy.lost() > 0);
    assert!(again.iter().sum::<u64>() > 0, "{again:?} sent again, {} datagrams lost", proxy.lost());
    let totals = listener.telemetry.totals()[&Kind::WebRtc];
    assert_eq!(totals.retransmissions, Some(listener.connection().unwrap().retransmissions.unwrap()));
}
