//! A site's way onto a network that loses, repeats, delays and damages frames.

use std::sync::Arc;
use std::time::Duration;

use qis::{Address, HostError, HostErrorKind, Transport, async_trait};
use qis_packet::FrameKind;

use super::clock::sleep;
use super::fault::FaultKind;
use super::trace::Digest;
use super::world::{Event, Frame, State, World};

/// The transport of one life of a site.
#[derive(Debug)]
pub(super) struct SiteTransport {
    pub(super) world: Arc<World>,
    pub(super) site: usize,
    pub(super) life: u64,
}

#[async_trait]
impl Transport for SiteTransport {
    fn local_address(&self) -> Address {
        self.world.lock().sites[self.site].address.clone()
    }

    fn max_frame(&self) -> usize {
        self.world.lock().plan.max_frame
    }

    async fn send(&self, to: &Address, frame: &[u8], _allowed: Duration) -> Result<(), HostError> {
        let delay = {
            let mut state = self.world.lock();
            let held = state.sends(self.site, self.life, to, frame);
            state.check(held);
            let share = state.plan.rates.refused_send;
            if state.befalls(FaultKind::RefusedSend, share) {
                state.note(format_args!("site {} cannot send to {to}", self.site));
                return Err(HostError::new(HostErrorKind::Unavailable, "no route"));
            }
            state.sites[self.site].delay
        };
        if !delay.is_zero() {
            sleep(&self.world, delay).await;
        }
        let mut state = self.world.lock();
        let Some(&to) = state.places.get(to) else {
            return Err(HostError::new(HostErrorKind::Unavailable, "nobody is there"));
        };
        let from = state.sites[self.site].address.clone();
        state.carry(Frame { from, to, bytes: frame.into(), lie: None });
        Ok(())
    }
}

impl State {
    /// Decides what befalls a frame, and when it arrives.
    pub(super) fn carry(&mut self, frame: Frame) {
        let digest = Digest::of(&frame.bytes);
        let (from, to, len) = (frame.from.clone(), frame.to, frame.bytes.len());
        if frame.lie.is_none() {
            self.capture(&frame);
        }
        if self.is_cut(&from, to) {
            self.inject(FaultKind::Partition);
            return self.note(format_args!("{from} > {to} {len} {digest} cut"));
        }
        let rates = self.plan.rates.clone();
        if self.befalls(FaultKind::Loss, rates.loss) {
            return self.note(format_args!("{from} > {to} {len} {digest} lost"));
        }
        self.note(format_args!("{from} > {to} {len} {digest}"));
        if self.befalls(FaultKind::Duplication, rates.duplication) {
            let wait = Duration::from_millis(self.random.below(2000) as u64);
            self.arrive(wait, frame.clone());
        }
        if self.befalls(FaultKind::Replay, rates.replay) {
            let wait = Duration::from_millis(self.random.below(240_000) as u64);
            self.arrive(wait, frame.clone());
        }
        let mut wait = Duration::from_micros(5_000 + self.random.below(75_000) as u64);
        if self.befalls(FaultKind::Reordering, rates.reordering) {
            wait += Duration::from_millis(self.random.below(6000) as u64);
        }
        let mut frame = frame;
        // Nothing in an acknowledgement says that it was damaged; a transport that damages frames has to check them.
        if frame.bytes.first() != Some(&FrameKind::Acknowledgement.code())
            && self.befalls(FaultKind::BitFlip, rates.bit_flip)
        {
            let mut bytes = frame.bytes.to_vec();
            let bit = self.random.below(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            frame.bytes = bytes.into();
        }
        self.arrive(wait, frame);
    }

    /// Has a frame arrive after a while.
    pub(super) fn arrive(&mut self, wait: Duration, frame: Frame) {
        self.schedule(self.now + wait, Event::Frame(frame));
    }
}
