//! What nodes meet on an open port, and what becomes of it.

use std::time::Duration;

use crate::stranger::{Stranger, hello};
use crate::support::{PATIENCE, builder, counted, identity, received, send, start, until};
use qis_libp2p::{Libp2p, Libp2pConfig, Libp2pStats};
use qis_route::{HostErrorKind, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where a node listens, as a socket address.
fn socket(node: &Libp2p) -> String {
    let address = node.local_address();
    let parts: Vec<&str> = address.as_str().split('/').collect();
    format!("{}:{}", parts[2], parts[4])
}

fn impatient() -> Libp2pConfig {
    let short = Duration::from_millis(300);
    Libp2pConfig { handshake_timeout: short, stall_timeout: short, ..Libp2pConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_silence_on_the_port_end_and_are_counted() {
    let (a, to_a) = start(builder(1).config(impatient())).await;
    let mut garbage = TcpStream::connect(socket(&a)).await.unwrap();
    garbage.write_all(&[0xa5; 4096]).await.unwrap();
    counted(&a, "garbage is counted", |stats| stats.handshakes_failed == 1).await;
    let mut silent = TcpStream::connect(socket(&a)).await.unwrap();
    counted(&a, "silence is counted", |stats| stats.handshakes_failed == 2).await;
    // The node has closed it.
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut rest)).await.unwrap();
    let (b, _) = start(builder(2)).await;
    send(&b, &a, b"x").await.unwrap();
    until("others are served", || received(&to_a).len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_admitted_authors_are_connected() {
    let (a, to_a) = start(builder(1).admit([identity(2).author()])).await;
    let ((b, _), (c, _)) = (start(builder(2)).await, start(builder(3)).await);
    send(&b, &a, b"b").await.unwrap();
    assert_eq!(send(&c, &a, b"c").await.unwrap_err().kind(), HostErrorKind::Unavailable);
    counted(&a, "the stranger is counted", |stats| stats.not_admitted > 0).await;
    // Nor does the node itself go to those who are not admitted.
    assert!(send(&a, &c, b"a").await.is_err());
    a.admit(identity(3).author()).await.unwrap();
    until_sent(&c, &a, b"c").await;
    until("both are there", || received(&to_a).len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_blocked_is_disconnected_and_stays_out() {
    let ((a, to_a), (b, _)) = (start(builder(1)).await, start(builder(2)).await);
    send(&b, &a, b"1").await.unwrap();
    until("it is there", || received(&to_a).len() == 1).await;
    a.block(identity(2).author()).await.unwrap();
    counted(&b, "the connection is closed", |stats| stats.connections == 0).await;
    let before = a.stats().blocked;
    until_refused(&b, &a).await;
    counted(&a, "the attempt is counted", |stats| stats.blocked > before).await;
    a.unblock(identity(2).author()).await.unwrap();
    until_sent(&b, &a, b"2").await;
    until("it is there again", || received(&to_a).iter().any(|(_, frame)| frame == b"2")).await;
}

async fn until_sent(from: &Libp2p, to: &Libp2p, frame: &[u8]) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while let Err(error) = send(from, to, frame).await {
        assert!(tokio::time::Instant::now() < end, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Until the sender has seen that its connection is closed, and could not make another one.
async fn until_refused(from: &Libp2p, to: &Libp2p) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while send(from, to, b"x").await.is_ok() {
        assert!(tokio::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_network_is_closed_to_other_keys() {
    let (a, to_a) = start(builder(1).config(impatient()).pre_shared_key([1; 32])).await;
    let (b, _) = start(builder(2).pre_shared_key([1; 32])).await;
    send(&b, &a, b"b").await.unwrap();
    until("it is there", || received(&to_a).len() == 1).await;
    for other in [builder(3).pre_shared_key([2; 32]), builder(4)] {
        let before = a.stats().handshakes_failed;
        let (c, _) = start(other.config(impatient())).await;
        assert_eq!(send(&c, &a, b"c").await.unwrap_err().kind(), HostErrorKind::Unavailable);
        counted(&a, "it is counted", |stats| stats.handshakes_failed > before).await;
    }
    counted(&a, "one connection is left", |stats| stats.connections == 1).await;
    assert_eq!(received(&to_a).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_of_another_peer_is_not_believed() {
    let (a, to_a) = start(builder(1)).await;
    let (b, _) = start(builder(2)).await;
    let mut stranger = Stranger::start(3).await;
    let bytes = [&hello(b.local_address().as_str())[..], b"\0\x01x"].concat();
    let _stream = stranger.open(&a, &bytes).await;
    counted(&a, "it is counted", |stats| stats.false_hellos == 1 && stats.connections == 0).await;
    let _stream = stranger.open(&a, &hello("clinic-a")).await;
    counted(&a, "it is counted", |stats| stats.false_hellos == 2 && stats.connections == 0).await;
    assert!(received(&to_a).is_empty() && a.known_peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_no_frame_has_ends_the_connection() {
    let (a, to_a) = start(builder(1)).await;
    let mut stranger = Stranger::start(3).await;
    let bytes = [&stranger.hello()[..], b"\0\x01x\x40\x01"].concat();
    let _stream = stranger.open(&a, &bytes).await;
    counted(&a, "it is counted", |stats| stats.malformed == 1 && stats.connections == 0).await;
    let from = stranger.address.to_string();
    assert_eq!(received(&to_a), [(from.parse().unwrap(), b"x".to_vec())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_say_where_it_is_is_not_waited_for() {
    let (a, _) = start(builder(1).config(impatient())).await;
    let mut stranger = Stranger::start(3).await;
    let hello = stranger.hello();
    let _stream = stranger.open(&a, &hello[..10]).await;
    counted(&a, "it is counted", |stats| stats.silent == 1 && stats.connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_reading_costs_a_bounded_queue_and_is_given_up() {
    let config = Libp2pConfig { queue_bytes: 64 * 1024, ..impatient() };
    let (a, _) = start(builder(1).config(config)).await;
    let mut stranger = Stranger::start(3).await;
    let _accepting = stranger.accept();
    let (transport, to) = (a.transport(), stranger.address.to_string().parse().unwrap());
    let mut most = 0;
    // What goes until the window of the stream is full is sent; then the queue fills, and at last the peer is given up.
    let end = tokio::time::Instant::now() + PATIENCE;
    while a.stats().stalled == 0 {
        if let Err(error) = transport.send(&to, &[7; 4096], PATIENCE).await {
            assert_eq!(error.kind(), HostErrorKind::Unavailable);
        }
        most = most.max(a.stats().queued_bytes);
        assert!(tokio::time::Instant::now() < end, "{:?}", a.stats());
        tokio::task::yield_now().await;
    }
    assert!(most <= 64 * 1024 && a.stats().queue_full > 0, "{most} bytes waited");
    counted(&a, "it is given up", |stats| stats.connections == 0).await;
    let stats = a.stats();
    assert!(stats.queued_bytes == 0 && stats.frames_dropped > 0, "{stats:?}");
    let (b, to_b) = start(builder(2)).await;
    send(&a, &b, b"x").await.unwrap();
    until("others are served", || received(&to_b).len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_waits_at_its_sender_while_others_are_served() {
    let a = builder(1).build().await.unwrap();
    let honest = crate::support::Inbox::default();
    let frames = honest.clone();
    a.serve(move |from, frame| {
        if frame == b"honest" {
            frames.lock().unwrap().push((from.clone(), frame.to_vec()));
        }
    });
    let config = Libp2pConfig { queue_bytes: 64 * 1024, ..Libp2pConfig::default() };
    let (flooder, _) = start(builder(2).config(config)).await;
    let (transport, to) = (flooder.transport(), a.local_address());
    let flood = tokio::spawn(async move {
        loop {
            // Refused ones cost nothing, so there is no end of them.
            let _ = transport.send(&to, &[7; 512], PATIENCE).await;
            tokio::task::yield_now().await;
        }
    });
    counted(&a, "the flood is there", |stats| stats.frames_received > 10_000).await;
    let (b, _) = start(builder(3)).await;
    for _ in 0..20 {
        send(&b, &a, b"honest").await.unwrap();
    }
    until("all honest frames are there", || received(&honest).len() == 20).await;
    assert!(!flood.is_finished() && flooder.stats().queued_bytes <= 64 * 1024);
    flood.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_limit_connections_are_refused() {
    let config = Libp2pConfig { connections: 1, ..Libp2pConfig::default() };
    let (a, _) = start(builder(1).config(config)).await;
    let ((b, _), (c, _)) = (start(builder(2)).await, start(builder(3)).await);
    send(&b, &a, b"b").await.unwrap();
    assert!(send(&c, &a, b"c").await.is_err());
    counted(&a, "it is counted", |stats| stats.over_limit > 0).await;
    counted(&a, "one connection is left", |stats| stats.connections == 1).await;
    let (full, _) =
        start(builder(4).config(Libp2pConfig { process_bytes: Some(1), ..Libp2pConfig::default() })).await;
    assert!(send(&c, &full, b"c").await.is_err());
    counted(&full, "it is counted", |stats| stats.over_limit > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_panics_loses_the_frame_only() {
    let a = builder(1).build().await.unwrap();
    let inbox = crate::support::Inbox::default();
    let frames = inbox.clone();
    a.serve(move |from, frame| {
        assert_ne!(frame, b"bad", "as a host's code might");
        frames.lock().unwrap().push((from.clone(), frame.to_vec()));
    });
    let (b, _) = start(builder(2)).await;
    send(&b, &a, b"bad").await.unwrap();
    send(&b, &a, b"good").await.unwrap();
    until("the other frame is there", || received(&inbox) == [(b.local_address(), b"good".to_vec())]).await;
    let whole = |stats: &Libp2pStats| (stats.receiver_panics, stats.connections) == (1, 1);
    counted(&a, "one panic is counted, and the connection is there", whole).await;
}
