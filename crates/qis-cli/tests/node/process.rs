//! A node's process, and what tests ask of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing a test waits for takes longer, even on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command said.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A folder of a test's own.
pub(crate) struct Folder(PathBuf);

/// A node that runs; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    folder: PathBuf,
    name: String,
    http: String,
}

pub(crate) fn qis(args: &[&str]) -> Ended {
    qis_with_input(args, "")
}

pub(crate) fn qis_with_input(args: &[&str], input: &str) -> Ended {
    let command = Command::new(env!("CARGO_BIN_EXE_qis"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = command.unwrap();
    // Who does not read it has ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(50));
    }
}

impl Folder {
    /// Short, since the path of a socket has 107 bytes at most.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("qis-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A configuration of so many lines before `more`: 8.
    pub(crate) fn config(&self, name: &str, more: &str) -> PathBuf {
        let key = self.path(&format!("{name}.key"));
        if !key.exists() {
            assert_eq!(qis(&["node", "--new-key", key.to_str().unwrap()]).code, 0);
        }
        let path = self.path(&format!("{name}.toml"));
        let text = format!(
            "[node]\nkey = \"{name}.key\"\n[store]\npath = \"{name}.redb\"\n[[domains]]\ntag = \"cardiology/heart\"\ndims = 3\n\
             situation = \"adults with chest pain\"\n{more}"
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Of a node that reaches nobody.
    pub(crate) fn config_alone(&self, name: &str, more: &str) -> PathBuf {
        let more = format!("[transport]\nkind = \"memory\"\n[http]\nlisten = \"127.0.0.1:0\"\n{more}");
        let path = self.config(name, &more);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(&format!("[store]\npath = \"{name}.redb\"\n"), "")).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Process {
    /// Starts a node on a free port of this machine that joins by these addresses, and waits until it answers.
    pub(crate) fn start(folder: &Folder, name: &str, bootstrap: &[&str]) -> Self {
        let more = format!(
            "[transport]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nbootstrap = {bootstrap:?}\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [control]\nsocket = \"{name}.sock\"\n"
        );
        let config = folder.config(name, &more);
        Self::run(folder, name, config)
    }

    pub(crate) fn start_alone(folder: &Folder, name: &str, more: &str) -> Self {
        let config = folder.config_alone(name, more);
        Self::run(folder, name, config)
    }

    pub(crate) fn run(folder: &Folder, name: &str, config: PathBuf) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qis"));
        command.arg("node").arg(config);
        Self::spawn(folder, name, command)
    }

    /// Runs it in a shell that does this first.
    pub(crate) fn run_after(folder: &Folder, name: &str, config: PathBuf, first: &str) -> Self {
        let mut command = Command::new("sh");
        let script = format!("{first} && exec \"$0\" node \"$1\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_qis")]).arg(config);
        Self::spawn(folder, name, command)
    }

    fn spawn(folder: &Folder, name: &str, mut command: Command) -> Self {
        let log = folder.path(&format!("{name}.log"));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn();
        let (folder, name) = (folder.0.clone(), name.to_owned());
        let mut process = Self { child: child.unwrap(), folder, name, http: String::new() };
        wait_until("the node runs", || {
            let log = fs::read_to_string(&log).unwrap();
            if let Some(code) = process.child.try_wait().unwrap() {
                panic!("the node ended with {code}: {log}");
            }
            let address =
                log.split("status page address=").nth(1).and_then(|rest| rest.split_whitespace().next());
            process.http = address.unwrap_or_default().to_owned();
            log.contains("the node runs")
        });
        process
    }

    /// What it answers; it must not refuse.
    pub(crate) fn ask(&self, request: &Value) -> Value {
        self.try_ask(request).unwrap_or_else(|error| panic!("{request}: {error}"))
    }

    /// What it answers, or why it refuses.
    pub(crate) fn try_ask(&self, request: &Value) -> Result<Value, Value> {
        let socket = self.folder.join(format!("{}.sock", self.name));
        let ended = qis(&["node", "--socket", socket.to_str().unwrap(), "--ask", &request.to_string()]);
        assert!(ended.code == 0 || !ended.out.is_empty(), "{request}: {}", ended.err);
        let answer: Value = serde_json::from_str(&ended.out).unwrap();
        if ended.code == 0 { Ok(answer["ok"].clone()) } else { Err(answer["error"].clone()) }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join(format!("{}.log", self.name))).unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        self.ask(&serde_json::json!({"status":{}}))
    }

    pub(crate) fn address(&self) -> String {
        self.status()["address"].as_str().unwrap().to_owned()
    }

    pub(crate) fn http_address(&self) -> &str {
        &self.http
    }

    /// Sends bytes, and reads what comes until the end.
    pub(crate) fn http(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(request);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        // A connection that is reset has said what it said.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The head and the body of an answer.
    pub(crate) fn get(&self, path: &str) -> (String, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let answer = self.http(request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (head.to_owned(), body.to_owned())
    }

    /// Asks it to end by a signal, and waits for that.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }

    pub(crate) fn signal(&self, name: &str) {
        let (signal, id) = (format!("-{name}"), self.child.id().to_string());
        assert!(Command::new("kill").args([signal, id]).status().unwrap().success());
    }

    pub(crate) fn wait(mut self) -> Option<i32> {
        let mut code = None;
        wait_until("the node ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
