//! A node that runs.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;

use serde_json::Value;

use crate::{Fault, Settings, Site};

/// What came from a node: a line of its control socket, or the end of that.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) site: usize,
    pub(crate) life: u32,
    pub(crate) line: Option<Value>,
}

/// A life of a node; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) life: u32,
    control: Option<UnixStream>,
}

impl Process {
    pub(crate) fn start(site: &Site, settings: &Settings, life: u32) -> Result<Self, Fault> {
        let log = site.path("log");
        let err = OpenOptions::new().create(true).append(true).open(&log);
        let err = err.map_err(Fault::io(format!("cannot write {}", log.display())))?;
        let mut command = match &site.namespace {
            None => Command::new(&settings.program),
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]).arg(&settings.program);
                command
            }
        };
        command.arg("node").arg(site.path("toml"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err).spawn();
        let child = child.map_err(Fault::io(format!("node {} cannot be started", site.number)))?;
        Ok(Self { child, life, control: None })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(status) => status.map(|status| status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Connects to its control socket once it is there, subscribes to its events, and passes on what comes.
    pub(crate) fn connect(&mut self, site: &Site, tell: &Sender<Heard>) -> bool {
        if self.control.is_some() {
            return true;
        }
        // It was left behind by the life before, until the node makes its own.
        let Ok(stream) = UnixStream::connect(site.path("sock")) else { return false };
        let Ok(lines) = stream.try_clone() else { return false };
        let (number, life, tell) = (site.number, self.life, tell.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines() {
                // What a killed node said last may be cut short.
                let Some(line) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
                if tell.send(Heard { site: number, life, line: Some(line) }).is_err() {
                    return;
                }
            }
            let _ = tell.send(Heard { site: number, life, line: None });
        });
        self.control = Some(stream);
        self.say(r#"{"subscribe":{}}"#).is_ok()
    }

    pub(crate) const fn is_connected(&self) -> bool {
        self.control.is_some()
    }

    pub(crate) fn say(&mut self, line: &str) -> io::Result<()> {
        let control = self.control.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        control.write_all(format!("{line}\n").as_bytes())
    }

    /// Kills it, as a power cut would as far as the process is concerned.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Asks it to end in order; [`ended`](Self::ended) says when it has.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill ended with {status}"))) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.kill();
    }
}

/// The last line of a node's log.
pub(crate) fn last_words(site: &Site) -> String {
    let log = fs::read_to_string(site.path("log")).unwrap_or_default();
    log.lines().next_back().unwrap_or_default().to_owned()
}
