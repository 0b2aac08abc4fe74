//! A stream of frames gives the same ones however it is cut, and they are what its bytes say; or it is refused.

// The module itself, since its crate brings all of libp2p.
#[path = "../../crates/qis-libp2p/src/frames/wire.rs"]
mod wire;

use crate::Reader;
use wire::{Decoder, Malformed, frame_len, hello, write_frame};

/// What a stream said until its end, or until it was refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    address: Option<String>,
    frames: Vec<Vec<u8>>,
    malformed: Option<Malformed>,
}

/// Puts bytes in as they would arrive, in pieces of at most `piece`.
fn decode(mut bytes: &[u8], piece: usize) -> Said {
    let (mut decoder, mut said) = (Decoder::default(), Said::default());
    while !bytes.is_empty() && said.malformed.is_none() {
        let room = decoder.room();
        let len = room.len().min(piece).min(bytes.len());
        assert!(len > 0, "no room");
        room[..len].copy_from_slice(&bytes[..len]);
        decoder.advance(len);
        bytes = &bytes[len..];
        said.malformed = take(&mut decoder, &mut said).err();
    }
    said
}

fn take(decoder: &mut Decoder, said: &mut Said) -> Result<(), Malformed> {
    if said.address.is_none() {
        said.address = decoder.hello()?.map(str::to_owned);
    }
    while said.address.is_some()
        && let Some(frame) = decoder.frame()?
    {
        said.frames.push(frame.to_vec());
    }
    Ok(())
}

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let mut input = Reader(data);
    let piece = usize::from(input.byte()) + 1;
    let said = decode(input.0, piece);
    assert_eq!(said, decode(input.0, usize::MAX));
    let Some(text) = &said.address else { return };
    let mut again = match text.parse() {
        Ok(address) => hello(&address),
        // No address of a node: who reads the stream refuses it.
        Err(_) => [&[text.len() as u8], text.as_bytes()].concat(),
    };
    for frame in &said.frames {
        let before = again.len();
        write_frame(&mut again, frame);
        assert_eq!(again.len() - before, frame_len(frame));
    }
    assert!(input.0.starts_with(&again));
}
