//! Asking a node that runs, from a shell.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::error::NodeError;

/// A node answers within this, or its request has failed.
const PATIENCE: Duration = Duration::from_secs(620);
/// A request that is read from the standard input.
const MOST_BYTES: u64 = 64 << 20;

/// Sends one request, and prints the answer; events too, when they were subscribed to.
pub(super) fn ask(question: &str, path: &Path) -> Result<(), NodeError> {
    let failed = |source| NodeError::Ask { path: path.to_owned(), source };
    let question = match question {
        "-" => {
            let mut text = String::new();
            io::stdin().take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
            text
        }
        text => text.to_owned(),
    };
    // In one line, whatever it was written in.
    let value: Value =
        serde_json::from_str(&question).map_err(|error| NodeError::Question(error.to_string()))?;
    let subscribes = value.get("subscribe").is_some();
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.write_all(format!("{value}\n").as_bytes()).map_err(failed)?;
    stream.set_read_timeout((!subscribes).then_some(PATIENCE)).map_err(failed)?;
    let mut lines = BufReader::new(stream);
    let mut out = io::stdout().lock();
    let mut refused = false;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).map_err(failed)? == 0 {
            let ended = io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended");
            return if subscribes { Ok(()) } else { Err(failed(ended)) };
        }
        refused |= serde_json::from_str::<Value>(&line).is_ok_and(|answer| answer.get("error").is_some());
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            // The reader has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(failed)?,
        }
        if refused {
            return Err(NodeError::Refused);
        }
        if !subscribes {
            return Ok(());
        }
    }
}
