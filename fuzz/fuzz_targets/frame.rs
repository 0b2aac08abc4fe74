//! A frame is its kind and the rest, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qis_packet::Frame;

fuzz_target!(|data: &[u8]| {
    if let Ok(frame) = Frame::parse(data) {
        assert!(data.len() <= Frame::MAX_BYTES);
        assert_eq!([&[frame.kind.code()][..], frame.body].concat(), data);
    }
});
