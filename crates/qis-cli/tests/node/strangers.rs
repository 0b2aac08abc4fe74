//! What a node meets on an open port: a defined outcome for each, a line in the log that says what to do, and service for the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use qis::{Frame, Identity, Transport};
use qis_libp2p::Libp2p;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::process::{Folder, Process, qis, wait_until};
use crate::stranger;

/// Nothing that a stranger sends takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
const PACKET: u8 = 1;

/// The configuration's tables that a node on the network has, and more of them.
fn networked(name: &str, bootstrap: &[&str], more: &str) -> String {
    format!(
        "[transport]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nbootstrap = {bootstrap:?}\n{more}[http]\nlisten = \"off\"\n\
         [control]\nsocket = \"{name}.sock\"\n"
    )
}

fn start(folder: &Folder, name: &str, bootstrap: &[&str], more: &str) -> Process {
    let config = folder.config(name, &networked(name, bootstrap, more));
    Process::run(folder, name, config)
}

/// A stranger with the library: it may send any frame, and reads nothing unless it is told to.
async fn stranger() -> Libp2p {
    let identity = Identity::from_seed([8; 32]);
    Libp2p::builder(&identity).listen("/ip4/127.0.0.1/tcp/0").build().await.unwrap()
}

/// Waits until the log has a line with these words.
fn told(node: &Process, words: &str) {
    wait_until(words, || node.log().contains(words));
}

fn counted(node: &Process, name: &str) {
    wait_until(name, || node.status()["transport"]["counts"][name].as_u64() > Some(0));
}

/// It takes requests and packets as ever.
fn serves(folder: &Folder, node: &Process) {
    let other = start(folder, "honest", &[&node.address()], "");
    wait_until("an honest node finds it", || other.status()["overlay"]["spaces"][0]["near"] == 1);
    let receipt = other.ask(&json!({"emit":{"domain":"cardiology/heart","delta":[0.5,0.1,0.1]}}));
    assert_eq!(receipt["delivered"], 1, "{receipt}");
    assert_eq!(other.terminate(), Some(0));
}

#[test]
fn garbage_and_silence_on_the_port_are_closed_and_told_of() {
    let folder = Folder::new("port");
    let node = start(&folder, "a", &[], "");
    let address = node.address();
    let port = address.split('/').nth(4).unwrap();
    let mut garbage = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    garbage.write_all(&[0xa5; 4096]).unwrap();
    counted(&node, "handshakes_failed");
    told(&node, "a connection was not by a QIS node");
    garbage.set_read_timeout(Some(PATIENCE)).unwrap();
    // It ends, whichever way.
    let _ = garbage.read_to_end(&mut Vec::new());
    serves(&folder, &node);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_frame_with_a_length_that_none_has_ends_its_connection() {
    let folder = Folder::new("oversized");
    let node = start(&folder, "a", &[], "");
    let runtime = Runtime::new().unwrap();
    let length = u16::try_from(Frame::MAX_BYTES + 1).unwrap().to_be_bytes();
    let _stream = runtime.block_on(stranger::send(&node.address(), &length));
    counted(&node, "malformed");
    told(&node, "a peer sent what is no frame: upgrade it if it is one of yours, else block it");
    wait_until("it is disconnected", || node.status()["transport"]["gauges"]["connections"] == 0);
    serves(&folder, &node);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_flood_of_frames_is_dropped_and_others_are_served() {
    let folder = Folder::new("flood");
    let node = start(&folder, "a", &[], "");
    let runtime = Runtime::new().unwrap();
    let address = node.address().parse().unwrap();
    runtime.block_on(async {
        let flooder = stranger().await;
        let transport = flooder.transport();
        // As large as frames get, where a packet has 512 bytes at most; and as fast as they go.
        let frame = [&[PACKET][..], &[0xa5; Frame::MAX_BYTES - 1]].concat();
        let mut sent = 0;
        while sent < 1_500 {
            match transport.send(&address, &frame, PATIENCE).await {
                Ok(()) => sent += 1,
                // They wait for the node to read.
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    });
    let refused = |why: &str| node.status()["refused"][why].as_u64().unwrap_or(0);
    wait_until("the frames are refused", || {
        refused("peer rate") > 0 && refused("too large") + refused("malformed") > 0
    });
    told(&node, "frames came faster from one address than `peer_frames_per_second` in [limits] allows");
    told(&node, "frames came that are none of this version");
    assert_eq!(node.status()["counts"]["applied"], 0);
    serves(&folder, &node);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_peer_that_asks_and_does_not_read_the_answers_is_given_up() {
    let folder = Folder::new("unread");
    let limits = "[limits]\npeer_frames_per_second = 100000.0\npeer_frames_burst = 1000000\n";
    let config = folder.config("a", &format!("{}{limits}", networked("a", &[], "")));
    let node = Process::run(&folder, "a", config);
    node.ask(&json!({"emit":{"domain":"cardiology/heart","delta":[0.5,0.1,0.1]}}));
    let domain = b"cardiology/heart";
    // For eight packets of the domain at most, however little similar they are to a fingerprint of two coordinates.
    let length = u8::try_from(domain.len()).unwrap();
    let query =
        [&[3, 0, 0, 0, 0, 0, 0, 0, 0, length][..], domain, &[8, 0x80, 1, 2, 3, 4, 2, 2, 1, 100, 1, 0]]
            .concat();
    let runtime = Runtime::new().unwrap();
    let address = node.address().parse().unwrap();
    let most = runtime.block_on(async {
        let silent = stranger().await;
        let transport = silent.transport();
        let mut most = 0;
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            for _ in 0..200 {
                let _ = transport.send(&address, &query, PATIENCE).await;
            }
            let status = node.status();
            most = most.max(status["transport"]["gauges"]["queued_bytes"].as_u64().unwrap());
            if status["transport"]["counts"]["stalled"].as_u64() > Some(0) {
                break most;
            }
            assert!(tokio::time::Instant::now() < end, "{status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(most <= 256 * 1024, "{most} bytes waited for it");
    told(&node, "a peer stopped reading, and its connection was closed: look whether it is overloaded");
    serves(&folder, &node);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn who_is_not_on_the_list_is_not_connected() {
    let folder = Folder::new("list");
    let author = |name: &str| {
        let made = qis(&["node", "--new-key", folder.path(&format!("{name}.key")).to_str().unwrap()]);
        made.out.lines().next().unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    let honest = author("honest");
    let node = start(&folder, "a", &[], &format!("allow = [{honest:?}]\n"));
    let stranger = start(&folder, "b", &[&node.address()], "");
    counted(&node, "not_admitted");
    told(&node, "a peer is not on the list of authors that may connect: add it there if it belongs to you");
    stranger.ask(&json!({"emit":{"domain":"cardiology/heart","delta":[0.5,0.1,0.1],"wait":false}}));
    serves(&folder, &node);
    assert_eq!(node.status()["counts"]["applied"], 1, "that of the honest one");
    for one in [stranger, node] {
        assert_eq!(one.terminate(), Some(0));
    }
}

#[test]
fn who_has_no_credential_is_not_found_and_told_of() {
    let folder = Folder::new("credential");
    let key = |name: &str, line: usize| {
        let made = qis(&["node", "--new-key", folder.path(&format!("{name}.key")).to_str().unwrap()]);
        made.out.lines().nth(line).unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    let (author, issuer) = (key("a", 0), key("issuer", 1));
    let issue = ["node", "--admit", &author, "--issuer", folder.path("issuer.key").to_str().unwrap()]
        .map(str::to_owned);
    let issue: Vec<&str> =
        issue.iter().map(String::as_str).chain(["--network", "default", "--organisation", "A"]).collect();
    std::fs::write(folder.path("a.credential"), qis(&issue).out).unwrap();
    let admission = format!("[admission]\nissuers = [{issuer:?}]\ncredential = \"a.credential\"\n");
    let config = folder.config("a", &format!("{}{admission}", networked("a", &[], "")));
    let node = Process::run(&folder, "a", config);
    let stranger = start(&folder, "b", &[&node.address()], "");
    told(&node, "a node without a credential of the `issuers` in [admission] wants to take part");
    assert_eq!(node.status()["overlay"]["spaces"][0]["near"], 0);
    let receipt = node.ask(&json!({"emit":{"domain":"cardiology/heart","delta":[0.5,0.1,0.1]}}));
    assert_eq!(receipt["recipients"], json!([]), "it is sent nothing");
    for one in [stranger, node] {
        assert_eq!(one.terminate(), Some(0));
    }
}
