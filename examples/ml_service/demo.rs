//! Six services in processes of their own, and the load on them.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::service::Ready;
use crate::{Failure, load};

/// Services that know each other.
const TOGETHER: usize = 5;

/// How much of it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Requests to each of the others before the newcomer gets its first one.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    before: u32,
    /// Requests to each after that, in hundreds.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=1000))]
    hundreds: u16,
    /// Seed of the deliveries.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { before: 300, hundreds: 6, seed: 1 }
    }
}

pub(crate) async fn run(args: &Args) -> Result<(), Failure> {
    let mut children = Vec::new();
    let mut services = Vec::new();
    let mut join = None;
    for _ in 0..TOGETHER {
        let (child, ready) = start(join.as_deref()).await?;
        join.get_or_insert(ready.address);
        services.push(ready.http.to_string());
        children.push(child);
    }
    let (child, alone) = start(None).await?;
    children.push(child);
    let load = load::Args {
        services,
        before: args.before,
        alone: Some(alone.http.to_string()),
        hundreds: args.hundreds,
        seed: args.seed,
    };
    tokio::task::spawn_blocking(move || load::run(&load)).await??;
    for mut child in children {
        // The end of its input ends a service.
        drop(child.stdin.take());
        child.wait().await?;
    }
    Ok(())
}

async fn start(join: Option<&str>) -> Result<(Child, Ready), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(join.map(|join| format!("--join={join}")));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let output = child.stdout.take().ok_or("a service has no output")?;
    let mut lines = BufReader::new(output).lines();
    let line = lines.next_line().await?.ok_or("a service ended early; it says why above")?;
    // Read on, so that it is never kept from writing.
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            println!("{line}");
        }
    });
    Ok((child, serde_json::from_str(&line)?))
}
