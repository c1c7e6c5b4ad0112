//! What the relay tells its operator of connections, against what the other end counts itself.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use shoal_wire::api::ConnectionRow;

use crate::common::{Api, PATIENCE, TestRelay, peer::Peer, submit_points, worker::TestWorker};

async fn rows(api: &Api) -> Vec<ConnectionRow> {
    api.get("/v1/connections").await.json().await.unwrap()
}

/// Looks until `find` finds something.
async fn when<T>(api: &Api, find: impl Fn(&[ConnectionRow]) -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let rows = rows(api).await;
        if let Some(found) = find(&rows) {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{rows:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn metric(api: &Api, series: &str) -> Option<f64> {
    let text = api.get("/metrics").await.text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
    value.map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_of_a_connection_count_the_same() {
    let relay = TestRelay::start().await;
    let api = &relay.api;
    let worker = TestWorker::start(api, 3);
    let job = submit_points(api, 1, |_| ()).await;
    api.finished(job).await;

    let row = when(api, |rows| {
        let [row] = rows else { panic!("one worker has one connection: {rows:?}") };
        let own = worker.connection()?;
        let same = (row.received_bytes, row.sent_bytes) == (own.sent_bytes, own.received_bytes);
        (same && row.round_trip_ms.is_some() && own.round_trip_ms.is_some()).then(|| row.clone())
    })
    .await;
    assert_eq!((row.node, row.joined, row.transport.as_str()), (Some(worker.node), true, "tcp"));
    assert!(row.address.starts_with("/ip4/127.0.0.1/tcp/"), "{}", row.address);
    assert!(row.received_bytes > 1000 && row.sent_bytes > 1000, "a job went over it: {row:?}");
    assert!(row.round_trip_ms.unwrap() > 0.0);
    assert_eq!((row.path_round_trip_ms, row.retransmissions), (None, None), "TCP tells nobody");

    let of = |name: &str, labels: &str| format!("shoal_relay_{name}{{transport=\"tcp\"{labels}}}");
    assert_eq!(metric(api, &of("connections", "")).await, Some(1.0));
    assert_eq!(metric(api, &of("connections_opened_total", "")).await, Some(1.0));
    assert!(
        metric(api, &of("connection_bytes_total", ",direction=\"in\"")).await.unwrap() >= row.received_bytes as f64
    );
    assert!(metric(api, &of("connection_bytes_total", ",direction=\"out\"")).await.unwrap() >= row.sent_bytes as f64);
    let round_trips = "shoal_relay_connection_round_trip_seconds_count{transport=\"tcp\"}";
    assert!(metric(api, round_trips).await.unwrap() >= 1.0);
    assert_eq!(metric(api, &of("connection_retransmissions_total", "")).await, None, "no series, instead of a zero");

    worker.stop();
    when(api, |rows| rows.is_empty().then_some(())).await;
    assert_eq!(metric(api, &of("connections", "")).await, Some(0.0));
    assert_eq!(metric(api, &of("connections_closed_total", ",reason=\"lost\"")).await, Some(1.0));
    assert!(
        metric(api, &of("connection_bytes_total", ",direction=\"in\"")).await.unwrap() >= row.received_bytes as f64
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_a_session_and_without_ping_is_listed_as_that() {
    let relay = TestRelay::start().await;
    let peer = Peer::connect(&relay.api, 9).await;
    let row = when(&relay.api, |rows| rows.first().cloned()).await;
    assert_eq!((row.node, row.joined, row.round_trip_ms), (Some(peer.key.node_id()), false, None));
    let text = relay.api.get("/metrics").await.text().await.unwrap();
    assert!(!text.contains(&peer.key.node_id().to_string()), "no series for a connection");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_the_operators_business() {
    let relay = TestRelay::start_with(|config| config.http_addr = "0.0.0.0:0".parse().unwrap()).await;
    let api = &relay.api;
    assert_eq!(api.get("/v1/connections").await.status(), StatusCode::UNAUTHORIZED);
    let token = std::fs::read_to_string(&api.ready.api_token_file).unwrap();
    let allowed = api.client.get(api.url("/v1/connections")).bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(allowed.status(), StatusCode::OK);
    let document: Value = api.get("/openapi.json").await.json().await.unwrap();
    assert!(document["paths"]["/v1/connections"]["get"].is_object());
    assert!(document["components"]["schemas"]["ConnectionRow"].is_object());
    relay.stop().await;
}
