//! The stream by which frames go to a peer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use libp2p::futures::{AsyncRead, AsyncWrite};

use super::Plane;
use crate::incident::add;
use crate::link::Link;

/// What a buffer may keep after all of it has been written.
const KEPT_BUFFER: usize = 64 * 1024;

/// Writes what waits in a [`Link`], as many frames at a time as there are.
#[derive(Debug)]
pub(crate) struct Outbound<S> {
    stream: S,
    buffer: Vec<u8>,
    written: usize,
    frames: usize,
    flushed: bool,
    closing: bool,
    closed: bool,
    /// When the other side last took something.
    progress: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Outbound<S> {
    /// A stream that begins with these bytes.
    pub(crate) fn new(stream: S, hello: Vec<u8>) -> Self {
        Self {
            stream,
            buffer: hello,
            written: 0,
            frames: 0,
            flushed: false,
            closing: false,
            closed: false,
            progress: Instant::now(),
        }
    }

    /// Writes until nothing is left or the other side takes no more. `link` is that of a handler which has claimed it; without, the stream
    /// is closed once all is written. Ready when the stream is over.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        link: Option<&Link>,
        plane: &Plane,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.written < self.buffer.len() {
                let rest = self.buffer.get(self.written..).unwrap_or_default();
                let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += written;
                self.progress = Instant::now();
                self.flushed = false;
                continue;
            }
            if self.frames > 0 {
                add(&plane.counters.frames_sent, std::mem::take(&mut self.frames));
                add(&plane.counters.bytes_sent, self.buffer.len());
                if let Some(link) = link {
                    link.set_written();
                }
            }
            self.written = 0;
            self.buffer.clear();
            self.buffer.shrink_to(KEPT_BUFFER);
            if let Some(link) = link
                && !self.closing
            {
                self.frames = link.take(&mut self.buffer);
                if self.frames > 0 {
                    continue;
                }
            } else {
                self.closing = true;
            }
            if !self.flushed {
                ready!(Pin::new(&mut self.stream).poll_flush(context))?;
                self.flushed = true;
            }
            if !self.closing {
                return Poll::Pending;
            }
            if !self.closed {
                ready!(Pin::new(&mut self.stream).poll_close(context))?;
                self.closed = true;
            }
            // The other side closes its part once it has read everything.
            return match ready!(Pin::new(&mut self.stream).poll_read(context, &mut [0; 1])) {
                Ok(0) | Err(_) => Poll::Ready(Ok(())),
                Ok(_) => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            };
        }
    }

    /// Whether the other side has taken nothing for so long although something waits.
    pub(crate) fn is_stalled(&self, now: Instant, timeout: Duration) -> bool {
        (self.written < self.buffer.len() || !self.flushed || self.closing)
            && now.duration_since(self.progress) > timeout
    }

    /// Whether nothing was written for so long.
    pub(crate) fn is_idle(&self, now: Instant, timeout: Duration) -> bool {
        self.buffer.is_empty() && now.duration_since(self.progress) > timeout
    }

    /// Takes no more, and closes the stream once all is written.
    pub(crate) fn close(&mut self) {
        if !self.closing {
            self.closing = true;
            self.progress = Instant::now();
        }
    }
}
