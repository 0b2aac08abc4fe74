//! Bounds and waits.

use std::time::Duration;

use qis_packet::Frame;
use qis_route::proto::ConfigError;

/// Bounds and waits of a node's network.
///
/// Later versions add fields: write `Libp2pConfig { connections, ..Libp2pConfig::default() }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Libp2pConfig {
    /// Bytes that may wait to be sent to one peer, at least 16,386; 256 KiB by default. As many more may be on their way.
    pub queue_bytes: usize,
    /// Frames that may wait to be sent to one peer, at least 1; 1,024 by default.
    pub queue_frames: usize,
    /// Bytes that may wait to be sent to all peers together, at least `queue_bytes`; 16 MiB by default.
    pub queue_total_bytes: usize,
    /// A peer that takes nothing of what is sent to it for so long is given up, 10 s by default.
    pub stall_timeout: Duration,
    /// A stream on which no frame goes for so long is closed, and a connection without streams soon after; 60 s by default. The next frame
    /// opens another one.
    pub idle_timeout: Duration,
    /// How long a connection may take to be encrypted, and a stream to be agreed on and say whose it is; 10 s by default.
    pub handshake_timeout: Duration,
    /// Connections at a time, 512 by default.
    pub connections: u32,
    /// Connections with one peer at a time, 4 by default: both sides may dial at once, and a peer that restarted leaves an old one behind.
    pub connections_per_peer: u32,
    /// Connections that are being made, incoming and outgoing each; 64 by default.
    pub pending_connections: u32,
    /// No further connection is made while the process has more memory resident, in bytes. No limit by default.
    pub process_bytes: Option<usize>,
    /// Bytes of records kept for the network, 4 MiB by default, at least 64 KiB.
    pub record_bytes: usize,
    /// How long a query of Kademlia may take, 20 s by default.
    pub query_timeout: Duration,
}

impl Libp2pConfig {
    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |field, problem| Err(ConfigError { field, problem });
        if self.queue_bytes < Frame::MAX_BYTES + 2 {
            refuse("queue_bytes", "must be at least 16386, a frame and its length")
        } else if self.queue_frames == 0 {
            refuse("queue_frames", "must be at least 1")
        } else if self.queue_total_bytes < self.queue_bytes {
            refuse("queue_total_bytes", "must be at least queue_bytes")
        } else if self.stall_timeout.is_zero() {
            refuse("stall_timeout", "must not be zero")
        } else if self.idle_timeout.is_zero() {
            refuse("idle_timeout", "must not be zero")
        } else if self.handshake_timeout.is_zero() {
            refuse("handshake_timeout", "must not be zero")
        } else if self.connections == 0 {
            refuse("connections", "must be at least 1")
        } else if self.connections_per_peer == 0 {
            refuse("connections_per_peer", "must be at least 1")
        } else if self.pending_connections == 0 {
            refuse("pending_connections", "must be at least 1")
        } else if self.record_bytes < 64 * 1024 {
            refuse("record_bytes", "must be at least 65536")
        } else if self.query_timeout.is_zero() {
            refuse("query_timeout", "must not be zero")
        } else {
            Ok(())
        }
    }
}

impl Default for Libp2pConfig {
    fn default() -> Self {
        Self {
            queue_bytes: 256 * 1024,
            queue_frames: 1024,
            queue_total_bytes: 16 * 1024 * 1024,
            stall_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            connections: 512,
            connections_per_peer: 4,
            pending_connections: 64,
            process_bytes: None,
            record_bytes: 4 * 1024 * 1024,
            query_timeout: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_that_is_out_of_range_is_named() {
        let with = Libp2pConfig::default;
        assert_eq!(with().validate(), Ok(()));
        let field = |config: Libp2pConfig| config.validate().unwrap_err().field;
        assert_eq!(field(Libp2pConfig { queue_bytes: 16_385, ..with() }), "queue_bytes");
        assert_eq!(field(Libp2pConfig { queue_total_bytes: 20_000, ..with() }), "queue_total_bytes");
        assert_eq!(field(Libp2pConfig { idle_timeout: Duration::ZERO, ..with() }), "idle_timeout");
        assert_eq!(field(Libp2pConfig { record_bytes: 0, ..with() }), "record_bytes");
    }
}
