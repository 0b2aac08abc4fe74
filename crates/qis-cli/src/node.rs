//! `qis node`: a node as a program.

mod admit;
mod advice;
mod ask;
mod check;
mod config;
mod control;
mod error;
mod http;
mod keys;
mod link;
mod logs;
mod metrics;
mod page;
mod program;
mod rotate;
mod status;
mod stop;
mod store;
#[cfg(test)]
mod testing;
mod watch;

use std::path::PathBuf;

use crate::error::Error;
use crate::{Answer, hex};
use admit::Admit;
use config::Config;
pub(crate) use error::NodeError;
use rotate::Rotate;

/// Run a node: with its store, its links and its metrics, as a configuration file says
///
/// It takes requests as JSON lines over a Unix socket (`socket` in [control]) or the standard input (`--stdin`), logs to the standard error, and
/// serves metrics, health and a status page on this machine (`listen` in [http]). SIGTERM and SIGINT end it in order, a second one at once.
/// docs/node.md of the repository has the protocol, docs/deploying.md the rest; deploy/node.example.toml documents every setting.
///
/// Exit codes: 0 when it ended as it was asked to, 1 when it could not start or a request was refused, 2 for arguments, 3 when the
/// store failed for good, and 128 and the signal's number when a second signal ended it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The configuration
    #[arg(value_name = "NODE.toml", required_unless_present_any = ["new_key", "ask", "admit", "rotate"])]
    config: Option<PathBuf>,
    /// Check the configuration and everything it names, say what the node would do, and do not start it
    #[arg(long, requires = "config", conflicts_with = "stdin")]
    check: bool,
    /// With --check, print every setting as one JSON object
    #[arg(long, requires = "check")]
    json: bool,
    /// Take requests from the standard input too, answer on the standard output, and end when the input does
    #[arg(long, requires = "config")]
    stdin: bool,
    /// Make a key for a node, or for a store's secrets, in a new file that only its owner can read
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "ask", "admit"])]
    new_key: Option<PathBuf>,
    /// Ask a node that runs, such as '{"status":{}}'; `-` reads the request from the standard input
    #[arg(long, value_name = "JSON", requires = "socket", conflicts_with_all = ["config", "admit"])]
    ask: Option<String>,
    /// The control socket of that node
    #[arg(long, value_name = "PATH", requires = "ask")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    admit: Admit,
    #[command(flatten)]
    rotate: Rotate,
    /// The network of the credential, or of the statement
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config", "new_key", "ask"])]
    network: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  qis node --new-key node.key
  qis node node.toml --check
  qis node node.toml
  qis node --socket node.sock --ask '{\"status\":{}}'
  qis node --socket node.sock --ask '{\"emit\":{\"domain\":\"cardiology/heart\",\"delta\":[0.9,-0.3,0.1]}}'
  qis node --admit AUTHOR --issuer issuer.key --network clinics --organisation \"St Mary's\" --days 30
  qis node --rotate old.key --to node.key --network clinics";

pub(crate) fn run(args: &Args) -> Result<Answer, Error> {
    let text = told(args).map_err(|error| Error::Node(Box::new(error)))?;
    Ok(Answer { text, verdict: Ok(()) })
}

fn told(args: &Args) -> Result<String, NodeError> {
    if let Some(path) = &args.new_key {
        let identity = keys::create(path)?;
        let key = hex::digits(&identity.public_key().to_bytes());
        return Ok(format!("author {}\nkey    {key}\n", identity.author()));
    }
    let network = args.network.as_deref().unwrap_or_default();
    if let Some(credential) = args.admit.issue(network)? {
        return Ok(credential);
    }
    if let Some(statement) = args.rotate.state(network)? {
        return Ok(statement);
    }
    if let (Some(question), Some(socket)) = (&args.ask, &args.socket) {
        ask::ask(question, socket)?;
        return Ok(String::new());
    }
    let Some(path) = &args.config else { return Ok(String::new()) };
    let config = Config::load(path)?;
    if args.check {
        let text = check::check(&config)?;
        // Of plain values, so it is written.
        let settings = || serde_json::to_string(&config).unwrap_or_default() + "\n";
        return Ok(if args.json { settings() } else { text });
    }
    program::run(config, args.stdin)?;
    Ok(String::new())
}
