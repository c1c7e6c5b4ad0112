//! The boundary in Node and in a browser's worker: configurations, errors, vectors, the event loop.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]
#![cfg(target_arch = "wasm32")]

use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use shoal_wasm::{Worker, generate_seed, run_exact_vectors};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::MessageChannel;

const RELAY: &str = "/ip4/127.0.0.1/udp/9/webrtc-direct/p2p/12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust";

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (key, value) in fields {
        Reflect::set(&object, &(*key).into(), value).unwrap();
    }
    object.into()
}

fn config(edit: &[(&str, JsValue)]) -> JsValue {
    let config = object(&[
        ("seed", Uint8Array::from(&[7; 32][..]).into()),
        ("network", "test".into()),
        ("relay", Array::of1(&RELAY.into()).into()),
        ("join_secret", JsValue::NULL),
        ("payout", object(&[("address", format!("0x{}", "1a".repeat(20)).into()), ("chain_id", 31_337.into())])),
        ("agent", "test/1".into()),
        ("site", "".into()),
        ("use_gpu", false.into()),
    ]);
    for (key, value) in edit {
        Reflect::set(&config, &(*key).into(), value).unwrap();
    }
    config
}

fn port() -> web_sys::MessagePort {
    let channel = MessageChannel::new().unwrap();
    // An open port would keep Node alive.
    channel.port2().close();
    channel.port1()
}

/// Starts a worker that nobody answers and stops it at once.
async fn start(config: JsValue) -> Result<Vec<String>, (String, String)> {
    let seen = Array::new();
    let push = Function::new_with_args("event", "this.push(event.type)").bind0(&seen);
    let worker = Worker::new();
    worker.set_share(0.5);
    worker.set_limits(object(&[("max_down", 5_000.into()), ("stored_bytes", 0.into())])).unwrap();
    worker.stop();
    let text = |value: &JsValue, key: &str| Reflect::get(value, &key.into()).unwrap().as_string().unwrap();
    worker.start(config, Some(port()), push).await.map_err(|error| (text(&error, "code"), text(&error, "message")))?;
    let again = worker.start(JsValue::NULL, Some(port()), Function::default()).await.unwrap_err();
    assert_eq!(text(&again, "code"), "started_before");
    Ok(seen.iter().map(|name| name.as_string().unwrap()).collect())
}

#[wasm_bindgen_test]
async fn a_worker_that_was_stopped_before_it_started_ends() {
    let events = start(config(&[])).await.unwrap();
    assert_eq!(events, ["connecting", "stopped"]);
}

#[wasm_bindgen_test]
async fn bad_configurations_are_named() {
    let short: JsValue = Uint8Array::from(&[7; 31][..]).into();
    let other = "/memory/1/p2p/12D3KooWGC6jdCbWYCjRTeZAqTbuQ2AsbY2AVDYSUBhPNBqpnDcF";
    let limits = |field: &str, value: JsValue| object(&[(field, value)]);
    let cases: [(&str, JsValue, &str); 12] = [
        ("seed", short.clone(), "seed: 31 bytes, not 32"),
        ("join_secret", short, "join_secret: 31 bytes, not 32"),
        ("relay", Array::new().into(), "no relay address"),
        ("relay", Array::of1(&"/ip4/1.2.3.4".into()).into(), "does not end in /p2p/"),
        ("relay", Array::of2(&RELAY.into(), &other.into()).into(), "two relays"),
        ("payout", object(&[("address", "0x12".into()), ("chain_id", 1.into())]), "40 hexadecimal digits"),
        ("classes", Array::of1(&"fast".into()).into(), "neither exact nor tolerant"),
        ("netwrok", "test".into(), "netwrok"),
        ("limits", limits("max_down", 4_095.into()), "max_down: 4095 bytes/s, allowed is 4096 or more"),
        ("limits", limits("max_up", 1.into()), "max_up: 1 bytes/s, allowed is 4096 or more"),
        ("limits", limits("stored_bytes", (-1).into()), "-1"),
        ("limits", limits("max_sideways", 1.into()), "max_sideways"),
    ];
    for (field, value, expected) in cases {
        let (code, message) = start(config(&[(field, value)])).await.unwrap_err();
        assert_eq!(code, "config_malformed", "{field}: {message}");
        assert!(message.contains(expected), "{field}: {message}");
    }
}

#[wasm_bindgen_test]
fn limits_that_cannot_work_are_refused_while_nothing_runs_yet() {
    let worker = Worker::new();
    for (field, value) in [("max_down", 4_095.into()), ("max_down", "fast".into()), ("max_sideways", 1.into())] {
        let error = worker.set_limits(object(&[(field, value)])).unwrap_err();
        assert_eq!(Reflect::get(&error, &"code".into()).unwrap(), "config_malformed", "{field}");
    }
    worker.set_limits(object(&[("max_down", JsValue::NULL), ("max_up", 4_096.into())])).unwrap();
}

#[wasm_bindgen_test]
fn seeds_are_random() {
    let (a, b) = (generate_seed().unwrap(), generate_seed().unwrap());
    assert_eq!(a.len(), 32);
    assert_ne!(a, b);
}

#[wasm_bindgen_test]
fn the_vectors_are_those_of_every_other_machine() {
    let text = run_exact_vectors();
    let got = js_sys::JSON::parse(&text).unwrap();
    let pinned = js_sys::JSON::parse(include_str!("../../../tests/vectors/exact/exact-1.json")).unwrap();
    let pinned = Reflect::get(&pinned, &"blake3".into()).unwrap();
    let got = Object::entries(got.unchecked_ref());
    assert!(got.length() > 0);
    for entry in got.iter().map(|entry| Array::from(&entry)) {
        let (name, hash) = (entry.get(0), entry.get(1));
        assert_eq!(Reflect::get(&pinned, &name).unwrap(), hash, "{name:?}");
    }
}
