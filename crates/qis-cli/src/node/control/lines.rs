//! Lines of a bounded length from a stream.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// More bytes than a line may have.
    TooLong,
    /// The stream is over.
    End,
}

/// Reads up to the next newline, or the end of the stream.
pub(super) async fn next(reader: &mut (impl AsyncBufRead + Unpin), most: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(if line.is_empty() { Line::End } else { Line::Whole(line) });
        }
        let end = available.iter().position(|&byte| byte == b'\n');
        let taken = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        if line.len() + taken.len() > most {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(taken);
        let used = taken.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Line::Whole(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    #[tokio::test]
    async fn lines_come_one_by_one_and_none_is_longer_than_allowed() {
        let text: &[u8] = b"ab\n\nabcd\nabcde\nx";
        // Of three bytes at a time, so that lines are put together.
        let mut reader = BufReader::with_capacity(3, text);
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        assert_eq!(next(&mut reader, 4).await.unwrap(), whole(b"ab"));
        assert_eq!(next(&mut reader, 4).await.unwrap(), whole(b""));
        assert_eq!(next(&mut reader, 4).await.unwrap(), whole(b"abcd"));
        assert_eq!(next(&mut reader, 4).await.unwrap(), Line::TooLong);
        let mut reader = BufReader::new(&b"last"[..]);
        assert_eq!(next(&mut reader, 4).await.unwrap(), whole(b"last"));
        assert_eq!(next(&mut reader, 4).await.unwrap(), Line::End);
    }
}
