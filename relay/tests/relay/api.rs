//! The HTTP side over real sockets: what it takes, what it refuses by name.

use crate::common::{Api, TestRelay, document, points, submit_points};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shoal_wire::{
    api::{ApiError, JobState, JobStatus, JoinInfo, RewardsInfo},
    ids::BlobId,
    limits::MAX_JOB_SPEC_LEN,
};

async fn post(api: &Api, body: Vec<u8>) -> (StatusCode, ApiError) {
    let request = api.client.post(api.url("/v1/jobs")).header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn failure(api: &Api, path: &str) -> (StatusCode, String) {
    let answer = api.get(path).await;
    (answer.status(), answer.json::<ApiError>().await.unwrap().code)
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_go_in_and_come_out() {
    let relay = TestRelay::start().await;
    let api = &relay.api;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| i as u8).collect();
    let id = api.put_blob(bytes.clone()).await;
    assert_eq!(id, BlobId::of(&bytes));
    assert_eq!(api.get(&format!("/v1/blobs/{id}")).await.bytes().await.unwrap(), bytes);
    let unknown = BlobId([7; 32]);
    assert_eq!(failure(api, &format!("/v1/blobs/{unknown}")).await, (StatusCode::NOT_FOUND, "blob_unknown".into()));
    assert_eq!(failure(api, "/v1/blobs/xyz").await, (StatusCode::BAD_REQUEST, "id_malformed".into()));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cdn_can_fetch_blobs_and_parts_of_them() {
    let relay = TestRelay::start().await;
    let api = &relay.api;
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
    let id = api.put_blob(bytes.clone()).await;
    let url = api.url(&format!("/v1/blobs/{id}"));
    let tag = format!("\"{id}\"");
    let ranged =
        |range: &str| api.client.get(&url).header("range", range).header("origin", "https://page.example").send();

    let part = ranged("bytes=16384-32767").await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    for (name, value) in [
        ("content-range", "bytes 16384-32767/100000"),
        ("content-length", "16384"),
        ("accept-ranges", "bytes"),
        ("etag", &tag),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "content-range,content-length,accept-ranges,etag"),
        ("cross-origin-resource-policy", "cross-origin"),
    ] {
        assert_eq!(part.headers()[name], value, "{name}");
    }
    assert_eq!(part.bytes().await.unwrap(), bytes[16_384..32_768]);
    assert_eq!(ranged("bytes=-5").await.unwrap().bytes().await.unwrap(), bytes[99_995..]);

    let beyond = ranged("bytes=100000-").await.unwrap();
    assert_eq!(
        (beyond.status(), &beyond.headers()["content-range"]),
        (StatusCode::RANGE_NOT_SATISFIABLE, &"bytes */100000".parse().unwrap())
    );
    let several = ranged("bytes=0-1,4-5").await.unwrap();
    assert_eq!((several.status(), several.bytes().await.unwrap()), (StatusCode::OK, bytes.clone().into()));
    let known = api.client.get(&url).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!((known.status(), &known.headers()["etag"]), (StatusCode::NOT_MODIFIED, &tag.parse().unwrap()));

    let head = api.client.head(&url).header("range", "bytes=0-4").send().await.unwrap();
    assert_eq!((head.status(), &head.headers()["content-length"]), (StatusCode::OK, &"100000".parse().unwrap()));
    assert!(head.bytes().await.unwrap().is_empty());
    let preflight = api.client.request(reqwest::Method::OPTIONS, &url).header("origin", "https://page.example");
    let preflight =
        preflight.header("access-control-request-method", "GET").header("access-control-request-headers", "range");
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.headers()["access-control-allow-headers"], "range,if-range,if-none-match");
    assert!(!api.get("/v1/join").await.headers().contains_key("access-control-allow-origin"), "blobs alone are open");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gives_no_bytes_of_a_blob_reads_none() {
    let relay = TestRelay::start().await;
    let api = &relay.api;
    let id = api.put_blob(vec![1; 100_000]).await;
    // Whoever reads this one fails.
    let name = id.to_string();
    std::fs::write(relay.dir.path().join("blobs").join(&name[..2]).join(&name), vec![2; 100_000]).unwrap();
    let url = api.url(&format!("/v1/blobs/{id}"));
    let get = |name: &str, value: &str| api.client.get(&url).header(name, value).send();

    let head = api.client.head(&url).send().await.unwrap();
    assert_eq!((head.status(), &head.headers()["content-length"]), (StatusCode::OK, &"100000".parse().unwrap()));
    let known = get("if-none-match", &format!("\"{id}\"")).await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(get("range", "bytes=100000-").await.unwrap().status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(get("range", "bytes=0-0").await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_of_a_private_swarm_are_the_operators() {
    let relay = TestRelay::start_with(|config| {
        config.private = true;
        config.http_addr = "0.0.0.0:0".parse().unwrap();
    })
    .await;
    let api = &relay.api;
    let token = std::fs::read_to_string(&api.ready.api_token_file).unwrap();
    let put = api.client.put(api.url("/v1/blobs")).bearer_auth(token.trim()).body("blob").send();
    assert_eq!(put.await.unwrap().status(), StatusCode::OK);
    let url = api.url(&format!("/v1/blobs/{}", BlobId::of(b"blob")));
    for request in [api.client.get(&url), api.client.head(&url)] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    let answer = api.client.get(&url).bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["cross-origin-resource-policy"], "same-origin");
    assert_eq!(answer.bytes().await.unwrap(), "blob");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_jobs_are_refused_by_name_and_the_relay_goes_on() {
    let relay = TestRelay::start().await;
    let api = &relay.api;
    let data = api.put_blob(points(64, 0)).await;
    let good = document(data, data, 1);
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut document = good.clone();
        edit(&mut document);
        document.to_string().into_bytes()
    };
    let cases: [(Vec<u8>, StatusCode, &str, &str); 9] = [
        (b"{".to_vec(), StatusCode::BAD_REQUEST, "job_malformed", "EOF"),
        (vec![0xff; 100], StatusCode::BAD_REQUEST, "job_malformed", "expected value"),
        (edited(&|d| d["model"]["layers"][1]["op"] = "lstm".into()), StatusCode::BAD_REQUEST, "job_malformed", "lstm"),
        (edited(&|d| d["trainnig"] = 1.into()), StatusCode::BAD_REQUEST, "job_malformed", "trainnig"),
        (
            edited(&|d| d["training"]["rounds"] = 0.into()),
            StatusCode::UNPROCESSABLE_ENTITY,
            "job_out_of_range",
            "training.rounds is 0, allowed is 1 to 100000",
        ),
        (
            edited(&|d| d["data"]["train"] = "07".repeat(32).into()),
            StatusCode::UNPROCESSABLE_ENTITY,
            "blob_missing",
            "data.train names blob 0707",
        ),
        (
            edited(&|d| d["model"]["input"] = json!([4])),
            StatusCode::UNPROCESSABLE_ENTITY,
            "data_invalid",
            "F32 [64, 3], needed is F32 [n, 4]",
        ),
        (
            edited(&|d| d["model"]["layers"][2]["units"] = 1_000_000_000.into()),
            StatusCode::UNPROCESSABLE_ENTITY,
            "model_invalid",
            "8000000000",
        ),
        (vec![b' '; MAX_JOB_SPEC_LEN + 1], StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "length limit"),
    ];
    for (body, status, code, message) in cases {
        let (got, error) = post(api, body).await;
        assert_eq!((got, error.code.as_str()), (status, code), "{}", error.message);
        assert!(error.message.contains(message), "{:?} in {:?}", message, error.message);
    }
    let answer = api.client.post(api.url("/v1/jobs")).body(good.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let job = api.submit(&good).await;
    assert_eq!(api.status(job).await.state, JobState::Running);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_once_and_survives_a_restart() {
    let relay = TestRelay::start().await;
    let job = submit_points(&relay.api, 3, |_| ()).await;
    let kept = submit_points(&relay.api, 4, |_| ()).await;
    let cancel = |api: &Api| api.client.post(api.url(&format!("/v1/jobs/{job}/cancel"))).send();
    let status: JobStatus = cancel(&relay.api).await.unwrap().json().await.unwrap();
    assert_eq!((status.state, status.rounds_done), (JobState::Cancelled, 0));
    assert_eq!(cancel(&relay.api).await.unwrap().status(), StatusCode::CONFLICT);
    assert_eq!(failure(&relay.api, &format!("/v1/jobs/{job}/model")).await.1, "model_absent");

    let node = relay.api.ready.join.relay;
    let relay = TestRelay::start_in(relay.stop().await, |_| ()).await;
    assert_eq!(relay.api.ready.join.relay, node, "the key stays");
    let jobs: Vec<JobStatus> = relay.api.get("/v1/jobs").await.json().await.unwrap();
    let states: Vec<_> = jobs.iter().map(|status| (status.id, status.state)).collect();
    assert_eq!(states, [(job, JobState::Cancelled), (kept, JobState::Running)]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_job_fails_by_name_and_the_relay_goes_on() {
    let relay = TestRelay::start().await;
    let damaged = submit_points(&relay.api, 3, |_| ()).await;
    let whole = submit_points(&relay.api, 3, |document| document["training"]["seed"] = 9.into()).await;
    let dir = relay.stop().await;
    let store = shoal_relay::store::Store::open(&dir.path().join("relay.sqlite")).await.unwrap();
    let shard = store.shards(&damaged).await.unwrap()[2].blob.to_string();
    store.close().await;
    std::fs::remove_file(dir.path().join("blobs").join(&shard[..2]).join(&shard)).unwrap();
    let relay = TestRelay::start_in(dir, |_| ()).await;
    let status = loop {
        let status = relay.api.status(damaged).await;
        if status.state != JobState::Running {
            break status;
        }
    };
    assert_eq!(status.state, JobState::Failed);
    assert!(status.failure.unwrap().contains(&shard));
    assert_eq!(relay.api.status(whole).await.state, JobState::Running);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_document_again_is_another_job() {
    let relay = TestRelay::start().await;
    let one = submit_points(&relay.api, 3, |_| ()).await;
    let two = submit_points(&relay.api, 3, |_| ()).await;
    assert_ne!(one, two);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_routes_answer() {
    let relay = TestRelay::start().await;
    let api = &relay.api;
    assert_eq!(api.get("/healthz").await.text().await.unwrap(), "ok\n");
    let join: JoinInfo = api.get("/v1/join").await.json().await.unwrap();
    assert_eq!(join, api.ready.join);
    let rewards: RewardsInfo = api.get("/v1/rewards").await.json().await.unwrap();
    assert_eq!((rewards.epoch, rewards.payable.as_str(), rewards.claims.len()), (0, "0", 0));
    assert_eq!(failure(api, "/v1/rewards?node=zz").await.1, "id_malformed");
    assert_eq!(failure(api, "/v1/rewards?payout=0x12").await.1, "query_malformed");
    assert_eq!(failure(api, "/v1/rewards?whose=mine").await.1, "query_malformed");
    assert_eq!(failure(api, "/nothing/here").await, (StatusCode::NOT_FOUND, "path_unknown".into()));
    let document: Value = api.get("/openapi.json").await.json().await.unwrap();
    for path in ["/v1/blobs", "/v1/jobs", "/v1/jobs/{id}/events", "/v1/join", "/v1/rewards"] {
        assert!(document["paths"][path].is_object(), "{path} is documented");
    }
    assert!(document["components"]["schemas"]["JobSpec"].is_object());
    assert!(api.get("/metrics").await.text().await.unwrap().ends_with("# EOF\n"));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_with_its_types_and_a_strict_policy() {
    let web = tempfile::tempdir().unwrap();
    for (name, text) in [("index.html", "<p>page"), ("core.wasm", "\0asm"), ("worker.js", "1")] {
        std::fs::write(web.path().join(name), text).unwrap();
    }
    let folder = web.path().to_owned();
    let relay = TestRelay::start_with(move |config| config.web_dir = Some(folder)).await;
    for (path, content_type) in
        [("/", "text/html"), ("/core.wasm", "application/wasm"), ("/worker.js", "text/javascript")]
    {
        let answer = relay.api.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()["content-type"], content_type, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"), "{policy}");
    }
    assert_eq!(failure(&relay.api, "/../relay.sqlite").await.1, "path_unknown");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_need_the_token_where_strangers_can_connect() {
    let relay = TestRelay::start_with(|config| config.http_addr = "0.0.0.0:0".parse().unwrap()).await;
    let api = &relay.api;
    let put = |token: &str| api.client.put(api.url("/v1/blobs")).bearer_auth(token).body("blob").send();
    assert_eq!(put("wrong").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let token = std::fs::read_to_string(&api.ready.api_token_file).unwrap();
    assert_eq!(put(token.trim()).await.unwrap().status(), StatusCode::OK);
    assert_eq!(api.get("/v1/join").await.status(), StatusCode::OK, "reading is open");
    relay.stop().await;
}
