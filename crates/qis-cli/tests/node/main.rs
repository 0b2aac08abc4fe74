//! `qis node` as it is run: real processes, sockets and files.

#![cfg(all(feature = "node", unix))]
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod faults;
mod process;
mod stranger;
mod strangers;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use process::{Folder, Process, qis, wait_until};
use serde_json::{Value, json};

#[test]
fn a_new_key_is_its_owners_and_a_check_says_what_a_node_would_do() {
    let folder = Folder::new("check");
    let key = folder.path("node.key");
    let made = qis(&["node", "--new-key", key.to_str().unwrap()]);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    let again = qis(&["node", "--new-key", key.to_str().unwrap()]);
    assert!(again.code == 1 && again.err.contains("never overwritten"), "{}", again.err);

    let config = folder.config("node", "[transport]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n");
    let checked = qis(&["node", config.to_str().unwrap(), "--check"]);
    assert_eq!((checked.code, checked.err.as_str()), (0, ""));
    let author = made.out.lines().next().unwrap().strip_prefix("author ").unwrap();
    for text in [author, "which will be made", "/ip4/127.0.0.1/tcp/0", "plain vectors of 3 coordinates"] {
        assert!(checked.out.contains(text), "{text}: {}", checked.out);
    }
    assert!(!folder.path("node.redb").exists(), "a check makes no store");
    let settings = qis(&["node", config.to_str().unwrap(), "--check", "--json"]);
    let settings: Value = serde_json::from_str(&settings.out).unwrap();
    assert_eq!(settings["limits"]["attempts"], 5);

    for (more, place, expected) in [
        ("[limits]\ntries = 3\n", ":10:1: ", "unknown field `tries`, expected one of `attempts`"),
        ("[transport]\nlisten = [\"somewhere\"]\n", "", "somewhere is no multiaddress"),
        ("[transport]\nbootstrap = [\"/ip4/127.0.0.1/tcp/1\"]\n", "", "does not end in /p2p/"),
        ("[admission]\nissuers = [\"00\"]\n", ":10:11: ", "64 hex digits"),
        ("[admission]\ncredential = \"none\"\n", "", "none"),
        ("[transport]\npre_shared_key = \"none\"\n", "", "--new-key"),
    ] {
        let config = folder.config("node", more);
        let refused = qis(&["node", config.to_str().unwrap(), "--check"]);
        assert_eq!((refused.code, refused.err.lines().count()), (1, 1), "{more}: {}", refused.err);
        assert!(refused.err.contains(place) && refused.err.contains(expected), "{more}: {}", refused.err);
    }
}

#[test]
fn two_nodes_find_each_other_from_one_address_and_learn() {
    let folder = Folder::new("two");
    let a = Process::start(&folder, "a", &[]);
    let b = Process::start(&folder, "b", &[a.address().as_str()]);
    let domain = "cardiology/heart";
    // Whose first outcome is early may find nobody; what it stated is fetched.
    wait_until("b has a contact", || b.ask(&json!({"status":{}}))["overlay"]["spaces"][0]["near"] == 1);
    let receipt =
        b.ask(&json!({"emit":{"domain":domain,"delta":[0.5,0.1,0.1],"confidence":0.6,"source":"ward 3"}}));
    assert_eq!(receipt["delivered"], 1, "{receipt}");
    assert_eq!(receipt["recipients"][0]["author"], a.status()["author"]);
    let observed = a.ask(&json!({"observe":{"domain":domain,"delta":[0.9,-0.3,0.1]}}));
    assert_eq!(observed, json!({}));
    let synthesis = a.ask(&json!({"synthesize":{"domain":domain,"pull":true}}));
    assert_eq!((&synthesis["origins"], synthesis["estimate"].as_array().unwrap().len()), (&1.into(), 3));
    assert!(b.ask(&json!({"catch_up":{}}))["rounds"].as_u64().unwrap() >= 1);
    let peers = a.ask(&json!({"peers":{}}));
    assert_eq!(peers["domains"][domain][0]["author"], b.status()["author"], "{peers}");

    let (head, page) = a.get("/");
    assert!(head.starts_with("HTTP/1.1 200") && page.contains("What peers brought to it"), "{page}");
    let (_, metrics) = a.get("/metrics");
    for text in [
        "qis_packets_total{verdict=\"applied\"} 1\n",
        "qis_overlay_contacts{",
        "qis_synthesis_age_seconds{domain=\"cardiology/heart\"}",
        "qis_store_commit_seconds_bucket{",
        "qis_transport{figure=\"connections\"} 1\n",
        "qis_build_info{version=",
    ] {
        assert!(metrics.contains(text), "{text}: {metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"));

    let retracted = b.ask(&json!({"retract":{"domain":domain}}));
    assert_eq!(retracted["delivered"], 1, "{retracted}");
    assert_eq!((b.terminate(), a.terminate()), (Some(0), Some(0)));
}

#[test]
fn a_terminated_node_leaves_a_store_that_opens_and_goes_on_where_it_was() {
    let folder = Folder::new("again");
    let first = Process::start(&folder, "a", &[]);
    let emitted = first.ask(&json!({"emit":{"domain":"cardiology/heart","delta":[1,2,3]}}));
    let backup = folder.path("copy.redb");
    assert_eq!(first.ask(&json!({"backup":{"path":backup}})), json!({}));
    let author = first.status()["author"].clone();
    assert_eq!(first.terminate(), Some(0));
    assert!(!folder.path("a.sock").exists(), "the socket is gone with the node");
    assert!(qis(&["node", folder.path("a.toml").to_str().unwrap(), "--check"]).out.contains("which opens"));

    let second = Process::start(&folder, "a", &[]);
    assert_eq!(second.status()["author"], author);
    assert_eq!(second.status()["domains"][0]["standing"], 1);
    let later = second.ask(&json!({"emit":{"domain":"cardiology/heart","delta":[1,2,4]}}));
    let order = |receipt: &Value| (receipt["incarnation"].as_u64(), receipt["sequence"].as_u64());
    assert!(order(&later) > order(&emitted), "{later} after {emitted}");
    // What runs can be checked too.
    let checked = qis(&["node", folder.path("a.toml").to_str().unwrap(), "--check"]);
    assert!(checked.code == 0 && checked.out.contains("which a node has open now"), "{}", checked.err);
    // A second one on the same socket, and store, is refused.
    let twice = qis(&["node", folder.path("a.toml").to_str().unwrap()]);
    assert!(twice.code == 1 && twice.err.contains("another node answers there"), "{}", twice.err);
    assert_eq!(second.ask(&json!({"shutdown":{}})), json!({}));
    assert_eq!(second.wait(), Some(0));
    assert!(backup.exists());
}

#[test]
fn garbage_on_the_control_socket_is_answered_and_harms_nobody() {
    let folder = Folder::new("garbage");
    let node = Process::start_alone(
        &folder,
        "a",
        "[control]\nsocket = \"a.sock\"\nclients = 2\nline_bytes = 2048\n",
    );
    let socket = folder.path("a.sock");
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
    let connect = || {
        let stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let mut client = connect();
    let mut lines = BufReader::new(client.try_clone().unwrap());
    let mut answer = |request: &[u8]| -> Value {
        client.write_all(&[request, b"\n"].concat()).unwrap();
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    for garbage in [&b"x"[..], b"\xff\xfe\x00", b"[]", b"{\"status\":1}", b"{\"emit\":{}}", &[b'['; 2000]] {
        assert_eq!(answer(garbage)["error"]["kind"], "malformed", "{garbage:?}");
    }
    let unknown = answer(br#"{"id":1,"emit":{"domain":"other","delta":[1]}}"#);
    assert_eq!((&unknown["id"], &unknown["error"]["kind"]), (&1.into(), &"unknown-domain".into()));
    let wrong = answer(br#"{"id":"two","emit":{"domain":"cardiology/heart","delta":[1]}}"#);
    assert_eq!((&wrong["id"], &wrong["error"]["kind"]), (&"two".into(), &"refused".into()));
    let nan = answer(br#"{"emit":{"domain":"cardiology/heart","delta":[1e300,0,0]}}"#);
    assert_eq!(nan["error"]["kind"], "refused", "{nan}");
    let early = answer(br#"{"backup":{"path":"/nowhere/x"}}"#);
    assert_eq!(early["error"]["kind"], "refused");

    // One too many.
    let _second = connect();
    let mut third = String::new();
    BufReader::new(connect()).read_line(&mut third).unwrap();
    assert!(third.contains("too many clients"), "{third}");
    // A line without an end.
    let long = answer(&[b' '; 4096]);
    assert_eq!(long["error"]["kind"], "too-long");
    drop(client);

    // One that asks, and says that this was all.
    wait_until("there is room for a client", || {
        let mut stream = connect();
        let _ = stream.write_all(b"{\"id\":3,\"status\":{}}\n{\"id\":4,\"peers\":{}}\n");
        let _ = stream.shutdown(Shutdown::Write);
        let mut text = String::new();
        stream.read_to_string(&mut text).is_ok() && text.contains("\"id\":3") && text.contains("\"id\":4")
    });
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn who_subscribes_hears_of_what_happens() {
    let folder = Folder::new("subscribe");
    let node = Process::start_alone(&folder, "a", "[control]\nsocket = \"a.sock\"\n");
    let mut client = UnixStream::connect(folder.path("a.sock")).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(b"{\"id\":\"s\",\"subscribe\":{}}\n").unwrap();
    let mut lines = BufReader::new(client).lines();
    assert_eq!(lines.next().unwrap().unwrap(), r#"{"id":"s","ok":{}}"#);
    node.ask(&json!({"emit":{"domain":"cardiology/heart","delta":[1,2,3]}}));
    let event: Value = loop {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if event["event"]["emitted"].is_object() {
            break event;
        }
    };
    assert_eq!((&event["id"], &event["event"]["emitted"]["recipients"]), (&"s".into(), &0.into()));
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn http_answers_what_it_knows_and_refuses_the_rest() {
    let folder = Folder::new("http");
    let node = Process::start_alone(&folder, "a", "[control]\nsocket = \"a.sock\"\n");
    let (head, body) = node.get("/healthz");
    assert!(head.starts_with("HTTP/1.1 200") && body == "ok\n", "{head}{body}");
    assert_eq!(node.get("/readyz").1, "ready\n");
    let (head, _) = node.get("/");
    for header in ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff"] {
        assert!(head.to_ascii_lowercase().contains(header), "{head}");
    }
    assert!(node.get("/etc/passwd").0.starts_with("HTTP/1.1 404"));
    let status = |request: &str| node.http(request.as_bytes()).lines().next().unwrap_or_default().to_owned();
    assert!(status("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx").contains("405"));
    assert!(status("GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n").contains("421"));
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    // Closed with bytes unread, the connection may lose the answer.
    let refused = status(&many);
    assert!(refused.is_empty() || refused.contains("431"), "{refused}");
    for garbage in [&b"\x00\xff\x16\x03\x01"[..], b"GET\r\n\r\n", b"\r\n\r\n\r\n", &[b'A'; 100_000]] {
        node.http(garbage);
    }
    // Connections that say nothing, more of them than there are places.
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(node.http_address()).unwrap()).collect();
    drop(silent);
    wait_until("HTTP answers again", || node.get("/healthz").1 == "ok\n");
    assert_eq!(node.status()["counts"]["received"], 0);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn requests_come_by_the_standard_input_too_and_its_end_is_the_nodes() {
    let folder = Folder::new("stdin");
    let config = folder.config_alone("a", "");
    let requests = "{\"id\":1,\"observe\":{\"domain\":\"cardiology/heart\",\"delta\":[1,2,3]}}\n{\"id\":2,\"status\":{}}\n";
    let ended = process::qis_with_input(&["node", config.to_str().unwrap(), "--stdin"], requests);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let answers: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| answer["ok"].is_object()), "{}", ended.out);
}

#[test]
fn the_log_is_text_or_json_and_warnings_say_what_to_do() {
    let folder = Folder::new("log");
    let config = folder.config_alone("a", "[log]\nformat = \"json\"\n");
    let ended = process::qis_with_input(&["node", config.to_str().unwrap(), "--stdin"], "");
    for line in ended.err.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    assert!(ended.err.contains("reaches nobody"), "{}", ended.err);
}

#[test]
fn a_node_with_another_key_stays_the_author_it_was() {
    let folder = Folder::new("rotate");
    let key = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    for name in ["second.key", "third.key"] {
        assert_eq!(qis(&["node", "--new-key", &key(name)]).code, 0);
    }
    let store = "[store]\npath = \"node.redb\"\n";
    let config = folder.config_alone("first", store);
    let emit =
        "{\"id\":1,\"emit\":{\"domain\":\"cardiology/heart\",\"delta\":[1,2,3]}}\n{\"id\":2,\"peers\":{}}\n";
    let run = |config: &std::path::Path, requests: &str| {
        process::qis_with_input(&["node", config.to_str().unwrap(), "--stdin"], requests)
    };
    assert_eq!(run(&config, emit).code, 0);
    let rotate = |old: &str, new: &str, network: &str, to: &str| {
        let stated = qis(&["node", "--rotate", &key(old), "--to", &key(new), "--network", network]);
        fs::write(folder.path(to), &stated.out).unwrap();
        stated
    };
    assert_eq!(rotate("first.key", "second.key", "default", "1.txt").out.trim().len(), 400);
    assert_eq!(rotate("second.key", "third.key", "default", "2.txt").code, 0);
    assert_eq!(rotate("second.key", "second.key", "default", "none").code, 1);
    let with = |key: &str, rotations: &str| {
        let text = fs::read_to_string(&config).unwrap();
        let text =
            text.replace("first.key", key).replace("[node]", &format!("[node]\nrotations = {rotations}"));
        let path = folder.path("rotated.toml");
        fs::write(&path, text).unwrap();
        path
    };
    let rotated = with("third.key", "[\"1.txt\", \"2.txt\"]");
    let checked = qis(&["node", rotated.to_str().unwrap(), "--check"]);
    assert!(checked.out.contains("follows     2 earlier keys"), "{}{}", checked.out, checked.err);
    let ended = run(&rotated, emit);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let answers: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let standing = answers.iter().find_map(|answer| answer["ok"]["domains"]["cardiology/heart"].as_array());
    assert_eq!(standing.unwrap().len(), 1, "one author: {}", ended.out);
    // A statement that does not lead to the node's key, and one of another network.
    let refused = run(&with("third.key", "[\"1.txt\"]"), "");
    assert!(refused.code == 1 && refused.err.contains("lead to the node's key"), "{}", refused.err);
    rotate("second.key", "third.key", "elsewhere", "2.txt");
    let refused = qis(&["node", with("third.key", "[\"2.txt\"]").to_str().unwrap(), "--check"]);
    assert!(refused.code == 1 && refused.err.contains("--rotate"), "{}", refused.err);
}

#[test]
fn a_credential_that_is_issued_admits_the_node() {
    let folder = Folder::new("admit");
    let [node, issuer] = ["node.key", "issuer.key"].map(|name| folder.path(name));
    let field =
        |out: &str, at: usize| out.lines().nth(at).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let author = field(&qis(&["node", "--new-key", node.to_str().unwrap()]).out, 0);
    let key = field(&qis(&["node", "--new-key", issuer.to_str().unwrap()]).out, 1);
    let issue = ["node", "--admit", &author, "--issuer", issuer.to_str().unwrap(), "--network", "default"];
    let issued = qis(&[&issue[..], &["--organisation", "St Mary's", "--days", "3"]].concat());
    assert_eq!(issued.code, 0, "{}", issued.err);
    fs::write(folder.path("node.credential"), issued.out).unwrap();
    let admission = format!("[admission]\nissuers = [\"{key}\"]\n");
    let with = format!("{admission}credential = \"node.credential\"\n");
    let run = |more: &str| {
        let config = folder.config_alone("node", more);
        process::qis_with_input(&["node", config.to_str().unwrap(), "--stdin"], "")
    };
    assert_eq!(run(&with).code, 0);
    // A node that its own admission would not take is not built.
    let refused = run(&admission);
    assert!(refused.code == 1 && refused.err.contains("credential"), "{}", refused.err);
}
