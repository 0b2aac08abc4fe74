//! Other ways than TCP.

use crate::support::{received, send, start, until};

#[cfg(feature = "quic")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_go_by_quic() {
    use qis_libp2p::{Libp2p, StartError};

    use crate::support::identity;

    let builder = |seed| Libp2p::builder(&identity(seed)).listen("/ip4/127.0.0.1/udp/0/quic-v1");
    let ((a, to_a), (b, to_b)) = (start(builder(1)).await, start(builder(2)).await);
    assert!(a.local_address().as_str().contains("/quic-v1/p2p/"));
    for i in 0..100 {
        send(&a, &b, &[i; 512]).await.unwrap();
    }
    send(&b, &a, &[7; 16_384]).await.unwrap();
    until("all frames are there", || received(&to_b).len() == 100 && received(&to_a).len() == 1).await;
    assert!(received(&to_b).iter().all(|(from, _)| *from == a.local_address()));
    let refused = builder(3).pre_shared_key([1; 32]).build().await;
    assert!(matches!(refused, Err(StartError::PrivateWithoutTcp { .. })));
}

#[cfg(feature = "nat")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_behind_a_relay_is_reached_by_it() {
    use qis_libp2p::Libp2p;

    use crate::support::{builder, identity};

    // A relay says where it is reached; on loopback it can't find out by itself.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let relay = Libp2p::builder(&identity(1)).listen(&listen).advertise(&listen).relay();
    let (relay, _) = start(relay).await;
    let hidden = Libp2p::builder(&identity(2)).listen(format!("{}/p2p-circuit", relay.local_address()));
    let ((hidden, to_hidden), (b, to_b)) = (start(hidden).await, start(builder(3)).await);
    assert!(hidden.local_address().as_str().contains("/p2p-circuit/p2p/"));
    send(&b, &hidden, b"in").await.unwrap();
    until("it is there", || received(&to_hidden) == [(b.local_address(), b"in".to_vec())]).await;
    send(&hidden, &b, b"out").await.unwrap();
    until("it is there", || received(&to_b) == [(hidden.local_address(), b"out".to_vec())]).await;
}

/// Every transport behind one resolver: an address that is not of the first is left to the next, with a host name and without.
#[cfg(feature = "dns")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_names_are_resolved_whatever_the_transport() {
    use qis_libp2p::Libp2p;
    use qis_route::Transport;

    use crate::support::{PATIENCE, identity};

    let listening = if cfg!(feature = "quic") {
        &["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"][..]
    } else {
        &["/ip4/127.0.0.1/tcp/0"][..]
    };
    let (sender, _) = start(Libp2p::builder(&identity(1)).listen(listening[0])).await;
    for (seed, listen) in (2..).zip(listening) {
        let (node, inbox) = start(Libp2p::builder(&identity(seed)).listen(*listen)).await;
        let by_number = node.local_address();
        let by_name = by_number.as_str().replace("/ip4/127.0.0.1/", "/dns4/localhost/").parse().unwrap();
        sender.transport().send(&by_name, b"by name", PATIENCE).await.unwrap();
        let (other, _) = start(Libp2p::builder(&identity(seed + 10)).listen(listening[0])).await;
        send(&other, &node, b"by number").await.unwrap();
        until("both are there", || received(&inbox).len() == 2).await;
    }
}
