//! The control socket.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::answer::{Failure, Kind, line};
use super::session::serve;
use crate::node::error::NodeError;
use crate::node::program::Program;

/// After a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);
/// To tell a client that there are too many.
const REFUSAL: Duration = Duration::from_secs(1);

/// A socket that only this user can use; its file is removed when it is dropped.
#[derive(Debug)]
pub(in crate::node) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes the socket, in the place of one that a node left behind when it was killed.
    pub(in crate::node) fn bind(path: &Path) -> Result<Self, NodeError> {
        let refuse = |problem: String| NodeError::Socket { path: path.to_owned(), problem };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(refuse(
                    "there is a file that is no socket; move it away, or change `socket`".into(),
                ));
            }
            Ok(_) => match StdUnixStream::connect(path) {
                Ok(_) => {
                    return Err(refuse("another node answers there; stop it, or change `socket`".into()));
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(refuse(error.to_string())),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(refuse(error.to_string())),
        }
        let bound = bind_private(path);
        let listener =
            bound.map_err(|error| refuse(format!("{error}; is its folder there, and writable?")))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves clients until the node shuts down.
    pub(in crate::node) async fn run(self, program: Arc<Program>) {
        let places = Arc::new(Semaphore::new(program.config().control.clients.get()));
        let mut clients = JoinSet::new();
        loop {
            while clients.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = program.stop().stopped() => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no client can be accepted on the control socket: raise the limit of open files");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                refuse_client(stream).await;
                continue;
            };
            let program = Arc::clone(&program);
            clients.spawn(async move {
                let (reader, writer) = stream.into_split();
                serve(program, BufReader::new(reader), writer).await;
                drop(place);
            });
        }
        // Each hears that the node shuts down, and has its last answers.
        while clients.join_next().await.is_some() {}
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds in a folder that is nobody else's until the socket is, and moves it to its place then.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let folder = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let private = folder.join("s");
    // What an earlier process of the same number may have left behind.
    let _ = fs::remove_file(&private);
    let _ = fs::remove_dir(&folder);
    DirBuilder::new().mode(0o700).create(&folder)?;
    let listener = UnixListener::bind(&private).and_then(|listener| {
        fs::set_permissions(&private, Permissions::from_mode(0o600))?;
        fs::rename(&private, path)?;
        Ok(listener)
    });
    let _ = fs::remove_file(&private);
    let _ = fs::remove_dir(&folder);
    listener
}

async fn refuse_client(mut stream: UnixStream) {
    let message = "too many clients; `clients` in [control] says how many";
    let text = line(None, &Err(Failure::new(Kind::Busy, message)));
    let _ = tokio::time::timeout(REFUSAL, stream.write_all(text.as_bytes())).await;
}
