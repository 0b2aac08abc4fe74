//! What strangers send between the packets.

use qis::Address;

use super::authors::Authors;
use super::error::LoadError;
use crate::rng::Rng;

/// Frames of each kind; they come again and again.
const EACH: usize = 64;
/// Where the signature is that a forger changes, from the end: before the key.
const IN_SIGNATURE: usize = 64;

/// In turn: a packet of an author's that came before, one of an author's with a wrong signature, one of a stranger for whom there is no place, and noise. The
/// strangers send in turn too.
#[derive(Debug)]
pub(super) struct Flood {
    frames: Vec<Vec<u8>>,
    strangers: Authors,
    sent: usize,
}

impl Flood {
    /// `nonce` marks what is answered to it.
    pub(super) fn new(authors: &Authors, strangers: Authors, nonce: u64) -> Result<Self, LoadError> {
        let mut frames = Vec::new();
        let mut rng = Rng::new(1, 0);
        for number in 0..EACH {
            let author = number % authors.len().max(1);
            frames.push(authors.frame(author, 0)?);
            let mut forged = authors.frame(author, u32::MAX)?;
            if let Some(byte) = forged.iter_mut().nth_back(IN_SIGNATURE) {
                *byte ^= 1;
            }
            frames.push(forged);
            frames.push(strangers.frame(number % strangers.len().max(1), 0)?);
            let mut noise = authors.frame(author, 0)?;
            // Told from a packet by what is before it, or by what it begins with.
            for byte in noise.iter_mut().skip(1 + number % 12) {
                *byte = rng.bits() as u8;
            }
            frames.push(noise);
        }
        for frame in &mut frames {
            super::set_nonce(frame, nonce);
        }
        Ok(Self { frames, strangers, sent: 0 })
    }

    /// The next frame, and where it is from.
    pub(super) fn next(&mut self) -> Option<(&Address, &[u8])> {
        let frame = self.frames.get(self.sent % self.frames.len().max(1))?;
        // So that every stranger sends every kind.
        let stranger = (self.sent + self.sent / self.frames.len()) % self.strangers.len().max(1);
        self.sent += 1;
        Some((self.strangers.address(stranger)?, frame))
    }
}
