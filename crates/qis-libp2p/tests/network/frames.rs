//! Frames between nodes.

use std::time::Duration;

use crate::support::{PATIENCE, builder, counted, received, send, start, until};
use qis_libp2p::{Libp2p, Libp2pConfig, StartError};
use qis_packet::Frame;
use qis_route::{HostErrorKind, Transport};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_arrive_whole_and_from_the_address_of_the_sender() {
    let ((a, to_a), (b, to_b)) = (start(builder(1)).await, start(builder(2)).await);
    let frames: Vec<Vec<u8>> =
        [1, 24, 512, 4096, Frame::MAX_BYTES].into_iter().map(|len| vec![len.to_le_bytes()[0]; len]).collect();
    for frame in &frames {
        send(&a, &b, frame).await.unwrap();
    }
    // The other way goes by the same connection, with a stream of its own.
    send(&b, &a, b"back").await.unwrap();
    until("all frames are there", || received(&to_b).len() == frames.len() && received(&to_a).len() == 1)
        .await;
    let expected: Vec<_> = frames.into_iter().map(|frame| (a.transport().local_address(), frame)).collect();
    assert_eq!(received(&to_b), expected);
    assert_eq!(received(&to_a), [(b.local_address(), b"back".to_vec())]);
    counted(&a, "all is counted", |stats| stats.frames_sent == 5).await;
    counted(&a, "by one connection", |stats| stats.connections == 1).await;
    counted(&b, "all is counted", |stats| stats.frames_received == 5).await;
    assert!(a.local_address().as_str().starts_with("/ip4/127.0.0.1/tcp/"));
    until("the address is known", || b.known_peers() == [a.local_address()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_frames_at_once_all_arrive_in_their_order() {
    let ((a, _), (b, to_b)) = (start(builder(1)).await, start(builder(2)).await);
    send(&a, &b, &[0, 0]).await.unwrap();
    for i in 1..3000_u16 {
        // As the router does when too many wait.
        while let Err(error) = send(&a, &b, &i.to_be_bytes()).await {
            assert_eq!(error.kind(), HostErrorKind::Unavailable);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    until("all frames are there", || received(&to_b).len() == 3000).await;
    let numbers: Vec<u16> =
        received(&to_b).into_iter().map(|(_, frame)| u16::from_be_bytes([frame[0], frame[1]])).collect();
    assert_eq!(numbers, (0..3000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_be_sent_is_refused() {
    let (a, _) = start(builder(1)).await;
    let kind = async |to: &str, frame: &[u8]| {
        a.transport().send(&to.parse().unwrap(), frame, PATIENCE).await.unwrap_err().kind()
    };
    let other = builder(2).build().await.unwrap().local_address();
    assert_eq!(kind("clinic-b", b"x").await, HostErrorKind::Refused);
    assert_eq!(kind("/ip4/127.0.0.1/tcp/1", b"x").await, HostErrorKind::Refused);
    assert_eq!(kind(other.as_str(), &[]).await, HostErrorKind::Refused);
    assert_eq!(kind(other.as_str(), &[0; Frame::MAX_BYTES + 1]).await, HostErrorKind::Refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_not_there_is_unavailable_and_left_alone_for_a_moment() {
    let (a, _) = start(builder(1)).await;
    let gone = {
        let (b, _) = start(builder(2)).await;
        let address = b.local_address();
        b.shutdown().await;
        address
    };
    let transport = a.transport();
    let first = transport.send(&gone, b"x", PATIENCE).await.unwrap_err();
    assert_eq!(first.kind(), HostErrorKind::Unavailable, "{first}");
    let dialed = a.stats().dials_failed;
    assert!(transport.send(&gone, b"x", PATIENCE).await.is_err());
    assert_eq!(a.stats().dials_failed, dialed, "it was dialed again at once");
    assert_eq!(a.stats().queued_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_before_the_host_takes_it_waits() {
    let (a, _) = start(builder(1)).await;
    let b = builder(2).build().await.unwrap();
    send(&a, &b, b"early").await.unwrap();
    counted(&b, "they are connected", |stats| stats.connections == 1).await;
    assert_eq!(b.stats().frames_received, 0);
    let inbox = crate::support::Inbox::default();
    let frames = inbox.clone();
    b.serve(move |from, frame| frames.lock().unwrap().push((from.clone(), frame.to_vec())));
    until("the frame is there", || received(&inbox) == [(a.local_address(), b"early".to_vec())]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_close_and_the_next_frame_opens_another() {
    let config = Libp2pConfig { idle_timeout: Duration::from_millis(200), ..Libp2pConfig::default() };
    let ((a, _), (b, to_b)) =
        (start(builder(1).config(config)).await, start(builder(2).config(config)).await);
    send(&a, &b, b"1").await.unwrap();
    until("the frame is there", || received(&to_b).len() == 1).await;
    counted(&a, "the connection is closed", |stats| stats.connections == 0).await;
    counted(&b, "the connection is closed", |stats| stats.connections == 0).await;
    send(&a, &b, b"2").await.unwrap();
    until("the frame is there", || received(&to_b).len() == 2).await;
    assert_eq!((a.stats().frames_dropped, a.stats().stalled), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_restarts_is_reached_again() {
    let ((a, _), (b, to_b)) = (start(builder(1)).await, start(builder(2)).await);
    send(&a, &b, b"1").await.unwrap();
    until("the frame is there", || received(&to_b).len() == 1).await;
    let address = b.local_address();
    // Not gracefully.
    drop(b);
    counted(&a, "the connection is gone", |stats| stats.connections == 0).await;
    let (listen, _) = address.as_str().rsplit_once("/p2p/").unwrap();
    // The port is free a moment after the connection is closed.
    let again = Libp2p::builder(&crate::support::identity(2)).listen(listen);
    until("it can listen again", || std::net::TcpListener::bind(socket(listen)).is_ok()).await;
    let (b, to_b) = start(again).await;
    assert_eq!(b.local_address(), address);
    until("the frame is there", || !received(&to_b).is_empty() || try_send(&a, &b)).await;
    until("the frame is there", || !received(&to_b).is_empty()).await;
}

/// The socket address of `/ip4/ADDRESS/tcp/PORT`.
fn socket(address: &str) -> String {
    let parts: Vec<&str> = address.split('/').collect();
    format!("{}:{}", parts[2], parts[4])
}

/// Sends without waiting for the result, as a retry does.
fn try_send(from: &Libp2p, to: &Libp2p) -> bool {
    let (transport, to) = (from.transport(), to.local_address());
    tokio::spawn(async move { transport.send(&to, b"2", PATIENCE).await });
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_shutdown_nothing_is_sent_and_what_waited_was_written() {
    let ((a, _), (b, to_b)) = (start(builder(1)).await, start(builder(2)).await);
    for i in 0..100 {
        send(&a, &b, &[i; 512]).await.unwrap();
    }
    let transport = a.transport();
    a.shutdown().await;
    until("all frames are there", || received(&to_b).len() == 100).await;
    counted(&b, "the connection is closed", |stats| stats.connections == 0).await;
    let error = transport.send(&b.local_address(), b"x", PATIENCE).await.unwrap_err();
    assert_eq!(error.kind(), HostErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_listen_says_where_and_why() {
    let (a, _) = start(builder(1)).await;
    let (taken, _) = a.listening()[0].as_str().rsplit_once("/p2p/").unwrap();
    let builder = || Libp2p::builder(&crate::support::identity(2));
    let failed = builder().listen(taken).build().await;
    assert!(matches!(&failed, Err(StartError::Listen { text, .. }) if text == taken), "{failed:?}");
    assert!(matches!(builder().build().await, Err(StartError::NoListenAddress)));
    assert!(matches!(builder().listen("port 4001").build().await, Err(StartError::ListenAddress { .. })));
    let peers = builder().listen("/ip4/127.0.0.1/tcp/0").peers(["/ip4/127.0.0.1/tcp/1"]);
    assert!(matches!(peers.build().await, Err(StartError::Peer { .. })));
}
