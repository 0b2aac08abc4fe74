//! `qis node` where there is none.

use crate::Answer;
use crate::error::Error;

/// Run a node (not in this build)
///
/// On Unix, `cargo install --path crates/qis-cli --features node` builds a `qis` that can.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whatever there is
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _all: Vec<String>,
}

pub(crate) const fn run(_: &Args) -> Result<Answer, Error> {
    Err(Error::NoNode)
}
