//! A frame is its kind and the rest, or refused.

use qis_packet::Frame;

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    if let Ok(frame) = Frame::parse(data) {
        assert!(data.len() <= Frame::MAX_BYTES);
        assert_eq!([&[frame.kind.code()][..], frame.body].concat(), data);
    }
}
