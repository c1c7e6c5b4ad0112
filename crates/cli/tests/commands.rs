//! The command as a user runs it: a process with arguments, exit codes and output.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
};

/// Runs `shoal` and returns what came of it.
fn shoal(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
    // The caller's settings are not the test's.
    for name in [
        "SHOAL_RELAY_URL",
        "SHOAL_TOKEN_FILE",
        "SHOAL_JOIN_SECRET",
        "SHOAL_CHAIN_URL",
        "SHOAL_CHAIN_KEY_FILE",
        "SHOAL_PORT",
    ] {
        command.env_remove(name);
    }
    command.args(args).output().expect("the program runs")
}

struct Failed {
    code: i32,
    stderr: String,
    stdout: String,
}

fn fails(args: &[&str]) -> Failed {
    let output = shoal(args);
    assert!(!output.status.success(), "{args:?} should fail");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    let code = output.status.code().expect("it exits by itself");
    Failed { code, stderr: text(output.stderr), stdout: text(output.stdout) }
}

fn example(name: &str) -> PathBuf {
    fs::canonicalize(Path::new("../../examples/digits").join(name)).expect("the example is there")
}

/// The example job with one line changed.
fn job_file(dir: &Path, from: &str, to: &str) -> String {
    let text = fs::read_to_string(example("job.toml")).expect("the example is there");
    assert!(from.is_empty() || text.contains(from), "the example has no {from:?}");
    let data = example("digits.csv.gz").display().to_string();
    let text = text.replace("file = \"digits.csv.gz\"", &format!("file = {data:?}")).replace(from, to);
    let path = dir.join("job.toml");
    fs::write(&path, text).expect("the folder can be written");
    path.display().to_string()
}

#[test]
fn the_example_job_is_fine() {
    let path = example("job.toml").display().to_string();
    let output = shoal(&["job", "submit", &path, "--check", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(r#""train_samples":1438"#) && text.contains(r#""held_out_samples":359"#), "{text}");
}

#[test]
fn every_mistake_in_a_job_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("bad.csv");
    fs::write(&csv, format!("{}3\n{}eleven\n", "1,".repeat(64), "1,".repeat(64))).unwrap();
    let bad_data = format!("file = {:?}", csv.display().to_string());
    let good_data = format!("file = {:?}", example("digits.csv.gz").display().to_string());
    let cases = [
        // What is changed, the stable code, and what the message must name.
        ("rounds = 14", "rounds = 0", "job_out_of_range", "training.rounds is 0, allowed is 1 to 100000"),
        ("local_steps = 60", "local_stpes = 60", "job_malformed", "local_stpes"),
        ("op = \"flatten\"", "op = \"lstm\"", "job_malformed", "lstm"),
        ("rounds = 14", "rounds = ", "job_malformed", "line 25"),
        ("momentum = 0.9", "momentum = 1.5", "job_out_of_range", "training.momentum is 1.5, allowed is 0 to 1"),
        (
            "kernel = 3, padding = 1 },\n    { op = \"relu\" },\n    { op = \"max",
            "kernel = 30 },\n    { op = \"max",
            "model_invalid",
            "model: ",
        ),
        ("units = 10", "units = 4000000000", "model_invalid", "model: "),
        ("input = [1, 8, 8]", "input = [1, 8, 9]", "data_invalid", "line 1: 65 columns, expected 72 features"),
        ("units = 10", "units = 5", "data_invalid", "is not a whole number from 0 to 4"),
        (good_data.as_str(), bad_data.as_str(), "data_invalid", "line 2: label \"eleven\""),
        (good_data.as_str(), "file = \"nowhere.csv\"", "file", "nowhere.csv"),
        ("offset = 4", "offset = 5", "data_invalid", "every = 5 and offset = 5"),
        (
            "units_per_round = 12",
            "units_per_round = 2000",
            "data_invalid",
            "1438 training samples cannot be cut into 2000",
        ),
    ];
    for (from, to, code, message) in cases {
        // The data line is replaced twice where a case is about the data.
        let path = job_file(dir.path(), "", "");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let failed = fails(&["job", "submit", &path, "--json"]);
        assert_eq!(failed.code, 3, "{to}: {}", failed.stderr);
        let expected = format!(r#"{{"error":{{"code":"{code}","#);
        assert!(failed.stdout.contains(&expected), "{to}: {}", failed.stdout);
        assert!(failed.stderr.contains(message), "{to}: {}", failed.stderr);
    }
}

#[test]
fn a_file_that_is_not_text_or_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("job.toml");
    fs::write(&path, [0xff, 0xfe, 0, 1]).unwrap();
    assert_eq!(fails(&["job", "submit", path.to_str().unwrap()]).code, 3);
    fs::write(&path, vec![b'#'; 9 * 1024 * 1024]).unwrap();
    let failed = fails(&["job", "submit", path.to_str().unwrap()]);
    assert!(failed.stderr.contains("9437184 bytes, at most 8388608"), "{}", failed.stderr);
    let failed = fails(&["job", "submit", "/nowhere/job.toml"]);
    assert!(failed.stderr.contains("/nowhere/job.toml"), "{}", failed.stderr);
}

/// A port that nobody listens on: bound and released by this test.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_relay_that_is_not_there_is_named() {
    let url = format!("http://127.0.0.1:{}", free_port());
    for args in [&["job", "list"][..], &["job", "watch", &"00".repeat(32)], &["rewards", "show"]] {
        let failed = fails(&[args, &["--relay-url", &url, "--json"]].concat());
        assert_eq!(failed.code, 4);
        assert!(failed.stdout.contains(r#""code":"relay_unreachable""#), "{}", failed.stdout);
        assert!(failed.stderr.contains(&url), "{}", failed.stderr);
    }
    let failed = fails(&["work", "--join", &url, "--data-dir", tempfile::tempdir().unwrap().path().to_str().unwrap()]);
    assert_eq!(failed.code, 4, "{}", failed.stderr);
}

/// Answers one request with these words.
fn answer_once(status: &'static str, body: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let len = stream.read(&mut request).unwrap();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..len]).into_owned()
    });
    (url, served)
}

#[test]
fn the_relays_own_words_reach_the_user() {
    let (url, served) = answer_once("404 Not Found", r#"{"code":"job_unknown","message":"no job 00…"}"#);
    let id = "00".repeat(32);
    let failed = fails(&["job", "cancel", &id, "--relay-url", &url, "--json"]);
    assert_eq!(failed.code, 4);
    assert!(failed.stdout.contains(r#""code":"job_unknown""#), "{}", failed.stdout);
    assert!(failed.stderr.contains("refused (404): no job 00…"), "{}", failed.stderr);
    assert!(served.join().unwrap().starts_with(&format!("POST /v1/jobs/{id}/cancel HTTP/1.1")));
}

#[test]
fn an_answer_of_something_else_is_named() {
    let (url, served) = answer_once("200 OK", "<html>hello</html>");
    let failed = fails(&["job", "list", "--relay-url", &url]);
    assert_eq!(failed.code, 4);
    assert!(failed.stderr.contains("with something unknown"), "{}", failed.stderr);
    served.join().unwrap();
}

#[test]
fn bad_arguments_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let relay = "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust";
    let payout = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    let cases: [(&[&str], i32, &str); 9] = [
        (&["work"], 2, "--join"),
        (&["job", "watch", "xyz"], 2, "job id is not hexadecimal"),
        (&["work", "--join", "nowhere"], 3, "is no join link"),
        (&["work", "--join", "http://a/#join=!!"], 3, "damaged after #join="),
        (&["work", "--relay", "/ip4/1.2.3"], 3, "--relay"),
        (&["work", "--relay", "/ip4/127.0.0.1/tcp/9"], 3, "does not end in /p2p/<peer id>"),
        (&["work", "--relay", relay, "--secret", "short"], 3, "32 bytes in base64url or hexadecimal"),
        (&["work", "--relay", relay, "--share", "0"], 3, "--share"),
        (&["work", "--relay", relay, "--payout", payout], 3, "add --chain-id"),
    ];
    for (args, code, message) in cases {
        let args = if code == 3 { [args, &["--data-dir", dir]].concat() } else { args.to_vec() };
        let failed = fails(&args);
        assert_eq!(failed.code, code, "{args:?}: {}", failed.stderr);
        assert!(failed.stderr.contains(message), "{args:?}: {}", failed.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node-key");
    let run = || fails(&["work", "--relay", "/ip4/127.0.0.1/tcp/9", "--data-dir", dir.path().to_str().unwrap()]);
    run();
    let key = fs::read_to_string(&path).unwrap();
    assert_eq!(key.len(), 64);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    run();
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
    fs::write(&path, "not a key").unwrap();
    let failed = run();
    assert!(failed.stderr.contains("not 32 bytes in hexadecimal"), "{}", failed.stderr);
}

#[test]
fn a_missing_relay_program_is_named_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let failed = fails(&["up", "--data-dir", dir.path().to_str().unwrap(), "--relay-program", "/nowhere/shoal-relay"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("/nowhere/shoal-relay; build it with"), "{}", failed.stderr);
}

/// A script in place of the relay, to see what it is given and what it is told.
#[cfg(unix)]
fn fake_relay(dir: &Path, body: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join("fake-relay");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[cfg(unix)]
#[test]
fn a_relay_that_ends_at_once_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let program = fake_relay(dir.path(), "echo broken >&2; exit 9");
    let data = dir.path().join("data");
    let failed = fails(&["up", "--data-dir", data.to_str().unwrap(), "--relay-program", &program, "--json"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stdout.contains(r#""code":"relay_ended""#) && failed.stderr.contains('9'), "{}", failed.stderr);
}

#[cfg(unix)]
#[test]
fn up_prints_the_join_link_and_stops_the_relay_when_it_is_stopped() {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let ready = format!(
        r#"{{"join": {{"network": "n", "relay": "{}", "addresses": [], "private": true}}, "http": "http://127.0.0.1:1",
            "join_secret_file": "{}", "api_token_file": "t"}}"#,
        "01".repeat(32),
        dir.path().join("secret").display()
    );
    fs::write(dir.path().join("secret"), "07".repeat(32)).unwrap();
    fs::write(dir.path().join("ready"), ready).unwrap();
    let at = dir.path().display();
    let body = format!(
        "echo \"$@\" > {at}/args\ntrap 'touch {at}/stopped; exit 0' TERM\ncp {at}/ready {at}/data/ready.json\n\
         while :; do sleep 0.05; done"
    );
    let program = fake_relay(dir.path(), &body);
    let mut up = Command::new(env!("CARGO_BIN_EXE_shoal"))
        .args(["up", "--json", "--port", "0", "--data-dir", data.to_str().unwrap(), "--relay-program", &program])
        .args(["--", "--epoch-seconds", "5"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(up.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(r##""join_link":"http://127.0.0.1:1/#join=eyJzZWNyZXQ"##), "{line}");
    let args = fs::read_to_string(dir.path().join("args")).unwrap();
    for expected in ["--http-addr 127.0.0.1:0", "--tcp-addr 127.0.0.1:0", "--private true", "--epoch-seconds 5"] {
        assert!(args.contains(expected), "{expected}: {args}");
    }
    let pid = rustix::process::Pid::from_child(&up);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(up.wait().unwrap().success());
    assert!(dir.path().join("stopped").exists(), "the relay was told to stop");
}
