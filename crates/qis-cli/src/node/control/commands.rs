//! What becomes of a request.

use std::collections::BTreeMap;
use std::time::Duration;

use qis::{Lifetime, Outcome};
use serde_json::{Value, json};

use super::answer::{Failure, Kind, of_catch_up, of_receipt, of_synthesis};
use super::request::{Backup, Command, Data, Emit, Retract, Synthesize};
use crate::node::program::Program;
use crate::node::status::Status;
use crate::words::chain;

/// So long is waited for a synthesis, an emission or a look-up to end, which they do by themselves much earlier.
const LONGEST: Duration = Duration::from_secs(600);

/// Does what is asked for, other than to subscribe.
pub(super) async fn answer(program: &Program, command: Command) -> Result<Value, Failure> {
    let stopped = || Failure::new(Kind::Stopped, "the node is shutting down");
    let work = tokio::time::timeout(LONGEST, perform(program, command));
    tokio::select! {
        result = work => result.unwrap_or_else(|_| Err(Failure::new(Kind::Busy, "it took too long; ask again later"))),
        () = program.stop().stopped() => Err(stopped()),
    }
}

async fn perform(program: &Program, command: Command) -> Result<Value, Failure> {
    match command {
        Command::Emit(asked) => emit(program, asked).await,
        Command::Observe(data) => {
            let name = data.domain.clone();
            let outcome = outcome(program, &name, data)?;
            program.node().observe(&name, outcome)?;
            Ok(json!({}))
        }
        Command::Synthesize(asked) => synthesize(program, &asked).await,
        Command::CatchUp(asked) => {
            let catch_up = program.node().catch_up();
            let catch_up = match asked.domain {
                Some(domain) => catch_up.domain(domain),
                None => catch_up,
            };
            Ok(of_catch_up(&catch_up.await?))
        }
        Command::Retract(Retract { domain, source }) => {
            Ok(of_receipt(&program.node().retract(&domain).source(source).await?))
        }
        Command::Peers(_) => Ok(peers(program)),
        Command::Status(_) => Ok(json!(Status::of(program))),
        Command::Backup(asked) => backup(program, asked).await,
        Command::Shutdown(_) => {
            program.stop().stop("a client asked for it");
            Ok(json!({}))
        }
        Command::Subscribe(_) => Err(Failure::malformed("a client subscribes once")),
    }
}

/// Reads data as the domain of this name has them.
fn outcome(program: &Program, name: &str, data: Data) -> Result<Outcome, Failure> {
    let domain = program.config().domain(name).ok_or_else(|| Failure::unknown_domain(name))?;
    data.outcome(domain.domain().tag(), domain.schema())
}

async fn emit(program: &Program, mut asked: Emit) -> Result<Value, Failure> {
    let data = asked.data();
    let outcome = outcome(program, &asked.domain, data)?;
    let mut emit = program.node().emit(&asked.domain, outcome).source(asked.source);
    if let Some(confidence) = asked.confidence {
        emit = emit.confidence(confidence);
    }
    if let Some(records) = asked.support {
        emit = emit.support(records);
    }
    if let Some(hours) = asked.lifetime_hours {
        let lifetime = Lifetime::from_hours(hours);
        emit = emit.lifetime(lifetime.ok_or_else(|| Failure::refused("`lifetime_hours` is 1 to 2160"))?);
    }
    if let Some(text) = asked.situation {
        emit = emit.situation(text);
    }
    if let Some(vector) = asked.fingerprint {
        emit = emit.fingerprint(vector.fingerprint()?);
    }
    if asked.wait {
        return Ok(of_receipt(&emit.await?));
    }
    let queued = emit.queue().await?;
    Ok(json!({
        "queued": true, "packet": queued.packet.to_string(),
        "incarnation": queued.order.incarnation, "sequence": queued.order.sequence,
    }))
}

async fn synthesize(program: &Program, asked: &Synthesize) -> Result<Value, Failure> {
    let synthesize = program.node().synthesize(&asked.domain);
    let synthesis = if asked.pull { synthesize.pull().await? } else { synthesize.await? };
    if let Some(domain) = program.config().domain(&asked.domain) {
        program.watch().synthesised(domain.domain().tag(), &synthesis);
    }
    Ok(of_synthesis(&synthesis))
}

/// Who is known: how many contacts in each space, and whose packets stand in each domain.
fn peers(program: &Program) -> Value {
    let node = program.node();
    let me = node.author();
    let domains = program.config().domains.iter().map(|domain| {
        let tag = domain.domain().tag();
        let standing = node.standing(tag.as_str()).into_iter().filter(|packet| packet.author() != me);
        let authors = standing.map(|packet| {
            json!({
                "author": packet.author().to_string(), "packet": packet.id().to_string(),
                "time": packet.time().unix_seconds(), "lifetime_hours": packet.lifetime().hours(),
                "confidence": packet.confidence().value(), "support": packet.support().records(),
                "derived": packet.lineage().is_some(),
            })
        });
        (tag.to_string(), authors.collect::<Vec<_>>())
    });
    let domains: BTreeMap<String, Vec<Value>> = domains.collect();
    let Status { overlay, transport, .. } = Status::of(program);
    let known: Vec<String> = program.link().known_peers().iter().map(ToString::to_string).collect();
    json!({ "overlay": overlay.map(|overlay| overlay.spaces), "transport": transport, "known": known, "domains": domains })
}

async fn backup(program: &Program, asked: Backup) -> Result<Value, Failure> {
    let Some(file) = program.store().file() else {
        return Err(Failure::refused("the node keeps nothing in a file: give `path` in [store]"));
    };
    if !asked.path.is_absolute() {
        return Err(Failure::refused("the `path` of a backup is absolute"));
    }
    file.backup(asked.path).await.map_err(|error| Failure::new(Kind::Store, chain(&error)))?;
    Ok(json!({}))
}
