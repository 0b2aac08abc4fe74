//! Parts from some senders, well-made and not, in any order and at any time.
//!
//! The bounds hold, what is given has the hash its parts name, and a frame of which enough parts came, alone, comes back.

use std::time::Duration;

use crate::Reader;
use qis_packet::{
    FRAGMENT_OVERHEAD, Fragment, FragmentPlan, Frame, FrameKind, MIN_LINK_FRAME, Parity, Reassembler,
    ReassemblyConfig, fragment,
};

const STEPS: usize = 256;
const FRAMES: usize = 4;

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let mut input = Reader(data);
    let config = ReassemblyConfig {
        frame_bytes: 16 * usize::from(input.byte()),
        bytes: usize::from(input.u16()),
        frames_per_sender: usize::from(input.byte() % 5),
        lifetime: Duration::from_secs(u64::from(input.byte())),
    };
    let cut: Vec<Vec<Vec<u8>>> = (0..FRAMES).filter_map(|_| cut(&mut input)).collect();
    let mut reassembler = Reassembler::new(config);
    let mut now = Duration::ZERO;
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let (step, sender) = (input.byte(), input.byte() % 4);
        let body = match step % 8 {
            0 => {
                let length = usize::from(input.u16());
                input.take(length).to_vec()
            }
            1 => {
                now += Duration::from_millis(u64::from(input.u32()));
                reassembler.expire(now);
                continue;
            }
            kind => {
                let (which, index) = (input.byte(), input.byte());
                let Some(parts) = cut.get(usize::from(which) % FRAMES) else { continue };
                let mut body = parts[usize::from(index) % parts.len()][1..].to_vec();
                if kind == 2 {
                    let place = usize::from(input.u16()) % body.len();
                    body[place] ^= input.byte();
                }
                body
            }
        };
        let result = reassembler.accept(now, &sender, &body);
        assert!(reassembler.bytes() <= config.bytes.max(ReassemblyConfig::MIN_BYTES));
        if let Ok(Some(frame)) = result {
            check(&frame, &Fragment::parse(&body).expect("it was taken"));
        }
    }
}

/// A frame of the input's, cut for a link of the input's, and put together again from as many parts as are needed.
fn cut(input: &mut Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let max_frame = MIN_LINK_FRAME + usize::from(input.byte());
    let parity = match input.byte() {
        0..128 => Parity::Auto,
        128 => Parity::None,
        parts => Parity::Parts(parts - 128),
    };
    let (repeat, length, order) = (input.byte(), input.byte(), input.u64());
    let frame = input.take(usize::from(length)).repeat(usize::from(repeat % 16) + 1);
    let parts = fragment(&frame, max_frame, parity).ok()?;
    let plan = FragmentPlan::new(frame.len(), max_frame, parity).expect("it was cut by that");
    assert_eq!(parts.len(), usize::from(plan.frames()));
    if plan.data() == 1 {
        assert_eq!(parts, [frame]);
        return None;
    }
    let mut indices: Vec<usize> = (0..parts.len()).collect();
    indices.sort_by_key(|&index| (index as u64 + 1).wrapping_mul(order | 1).rotate_left(29));
    let config = ReassemblyConfig { frame_bytes: Frame::MAX_BYTES, ..ReassemblyConfig::default() };
    let mut reassembler = Reassembler::new(config);
    let mut taken = indices.iter().take(usize::from(plan.data())).peekable();
    while let Some(&index) = taken.next() {
        assert!(parts[index].len() <= max_frame);
        let whole = reassembler.accept(Duration::ZERO, &0_u8, &parts[index][1..]);
        assert_eq!(whole, Ok(taken.peek().is_none().then(|| frame.clone())));
    }
    Some(parts)
}

/// A whole frame, against the part that completed it.
fn check(frame: &[u8], last: &Fragment<'_>) {
    assert!(!frame.is_empty() && frame.len() <= Frame::MAX_BYTES);
    assert_ne!(frame[0], FrameKind::Fragment.code());
    let max_frame = last.part().len() + FRAGMENT_OVERHEAD;
    if max_frame < MIN_LINK_FRAME || frame.len() <= max_frame {
        return;
    }
    let again = fragment(frame, max_frame, Parity::None).expect("it was in so many parts");
    let first = Fragment::parse(&again[0][1..]).expect("a fragment");
    assert_eq!((first.hash(), first.count()), (last.hash(), last.count()));
}
