//! One client: lines in, lines out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use qis::Events;
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::answer::{Failure, Kind, event_line, line};
use super::commands::answer;
use super::lines::{self, Line};
use super::request::{Command, Request};
use crate::node::program::Program;

/// Requests of a client under way; the next one is read when one is over.
const UNDER_WAY: usize = 16;
/// Answers and events that wait for a client to read.
const WAITING: usize = 64;
/// A client that reads nothing for so long is left.
const STALLED: Duration = Duration::from_secs(30);

/// Serves a client until it has no more to ask and has its answers, does not read, or the node shuts down.
pub(in crate::node) async fn serve(
    program: Arc<Program>,
    mut reader: impl AsyncBufRead + Unpin,
    writer: impl AsyncWrite + Unpin,
) {
    let (tell, lines) = mpsc::channel(WAITING);
    let read = read(&program, &mut reader, tell);
    // Whoever ends first: a reader that is over leaves its answers to the writer, a writer that is over leaves nobody to tell.
    tokio::pin!(read);
    let write = write(writer, lines);
    tokio::pin!(write);
    tokio::select! {
        () = &mut read => { let _ = write.await; }
        _ = &mut write => {}
    }
}

/// Reads requests and has them answered. Ends when all answers are in the channel.
async fn read(program: &Arc<Program>, reader: &mut (impl AsyncBufRead + Unpin), tell: mpsc::Sender<String>) {
    let most = program.config().control.line_bytes.get();
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    let mut tasks = JoinSet::new();
    let mut subscription = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let next = tokio::select! {
            next = lines::next(reader, most) => next,
            () = program.stop().stopped() => break,
        };
        let request = match next {
            Ok(Line::Whole(bytes)) if bytes.trim_ascii().is_empty() => continue,
            Ok(Line::Whole(bytes)) => Request::parse(&bytes),
            Ok(Line::TooLong) => {
                let message =
                    format!("a line has at most {most} bytes; `line_bytes` in [control] says how many");
                let _ = tell.send(line(None, &Err(Failure::new(Kind::TooLong, message)))).await;
                break;
            }
            Ok(Line::End) | Err(_) => break,
        };
        let Request { id, command } = request;
        match command {
            Err(failure) => {
                let _ = tell.send(line(id.as_ref(), &Err(failure))).await;
            }
            Ok(Command::Subscribe(_)) if subscription.is_empty() => {
                let events = program.node().subscribe();
                let _ = tell.send(line(id.as_ref(), &Ok(json!({})))).await;
                subscription.spawn(forward(events, id, tell.clone()));
            }
            Ok(command) => {
                let (program, tell) = (Arc::clone(program), tell.clone());
                tasks.spawn(async move {
                    let result = answer(&program, command).await;
                    let _ = tell.send(line(id.as_ref(), &result)).await;
                    drop(place);
                });
            }
        }
    }
    while tasks.join_next().await.is_some() {}
    // Dropped with the subscription: the writer ends when the channel is empty.
}

async fn forward(mut events: Events, id: Option<Value>, tell: mpsc::Sender<String>) {
    while let Some(event) = events.next().await {
        if tell.send(event_line(id.as_ref(), &event)).await.is_err() {
            return;
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<String>) -> io::Result<()> {
    while let Some(line) = lines.recv().await {
        let written = async {
            writer.write_all(line.as_bytes()).await?;
            writer.flush().await
        };
        tokio::time::timeout(STALLED, written).await.map_err(|_| io::ErrorKind::TimedOut)??;
    }
    Ok(())
}
