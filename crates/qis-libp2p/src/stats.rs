//! Counts of what happened.

/// What happened since the node was built, but for the first four, which say how it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Libp2pStats {
    /// Connections that are open.
    pub connections: u64,
    /// Peers that Kademlia would ask.
    pub routing_peers: u64,
    /// Bytes of frames that wait to be sent, to all peers together.
    pub queued_bytes: u64,
    /// Values that are kept for the network.
    pub records: u64,
    /// Frames that were handed to a connection.
    pub frames_sent: u64,
    /// Their bytes, lengths counted and encryption not.
    pub bytes_sent: u64,
    /// Frames that were handed to the function given to [`serve`](crate::Libp2p::serve).
    pub frames_received: u64,
    /// Their bytes, lengths not counted.
    pub bytes_received: u64,
    /// Frames that were taken for sending and were lost with a connection, or because there was none. The router sends them again.
    pub frames_dropped: u64,
    /// Connections that did not get through the handshake: garbage on the port, another pre-shared key.
    pub handshakes_failed: u64,
    /// Peers that were refused because they are not on the list of admitted authors.
    pub not_admitted: u64,
    /// Peers that were refused because they are blocked.
    pub blocked: u64,
    /// Connections that were refused because a limit was reached.
    pub over_limit: u64,
    /// Peers of another network or version.
    pub foreign_network: u64,
    /// Peers that stated an address with the id of another one, or none.
    pub false_hellos: u64,
    /// Streams with a length that no frame has.
    pub malformed: u64,
    /// Streams on which no address was stated in time.
    pub silent: u64,
    /// Connections that were closed because the other side did not read, or did not answer pings.
    pub stalled: u64,
    /// Frames that were refused because too many were waiting.
    pub queue_full: u64,
    /// Peers that could not be reached.
    pub dials_failed: u64,
    /// Records of others that were not kept.
    pub records_refused: u64,
    /// Panics of the function given to [`serve`](crate::Libp2p::serve).
    pub receiver_panics: u64,
}
