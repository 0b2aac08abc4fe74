//! A node as a program: its parts, and how it begins and ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qis::{Address, Events, Identity, Issuers, Node, NodeEvent, Timestamp};
use tokio::io::BufReader;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::advice::{self, Advice};
use super::config::{Config, TransportKind};
use super::control::{self, Socket};
use super::error::NodeError;
use super::http::Server;
use super::link::Link;
use super::rotate::statements;
use super::stop::{Reason, Stop};
use super::store::Opened;
use super::watch::{Watch, now};
use super::{keys, logs};

/// How often it is looked whether there is a new space to be found in.
const ANNOUNCE: Duration = Duration::from_secs(15);
/// Addresses that an overlay takes to begin with.
const MOST_MEMBERS: usize = 16;
/// Clients have so long to take their last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// The driver has so long to see its last commit through.
const LAST_COMMIT: Duration = Duration::from_secs(30);
/// Peers have so long to be told.
const LAST_FRAMES: Duration = Duration::from_secs(5);

/// All parts of a running node.
#[derive(Debug)]
pub(super) struct Program {
    config: Config,
    node: Node,
    watch: Arc<Watch>,
    store: Opened,
    link: Link,
    started: Instant,
    stop: Stop,
}

impl Program {
    /// Builds the node of a configuration, on this link.
    pub(super) async fn build(
        config: Config,
        identity: Identity,
        store: Opened,
        watch: Arc<Watch>,
        link: Link,
        members: Vec<Address>,
    ) -> Result<Self, NodeError> {
        let mut builder = Node::builder()
            .network(config.network())
            .name(config.node.name.as_str())
            .store(store.clone())
            .transport(link.transport())
            .overlay(config.overlay.config())
            .bootstrap(members)
            .config(config.limits.config(&config.sync));
        for domain in &config.domains {
            builder = builder.domain(domain.domain().clone());
        }
        for statement in statements(&config, &identity)? {
            builder = builder.rotation(statement);
        }
        if config.store.path.is_some() {
            builder = builder.keep_site_secret();
        }
        if let Some(issuers) = issuers(&config)? {
            builder = builder.admission(issuers);
        }
        if let Some(path) = &config.admission.credential {
            builder = builder.credential(keys::read_credential(path)?);
        }
        let node = builder.identity(identity).build().await?;
        let (started, stop) = (Instant::now(), Stop::default());
        Ok(Self { config, node, watch, store, link, started, stop })
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    pub(super) const fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(super) const fn store(&self) -> &Opened {
        &self.store
    }

    pub(super) const fn link(&self) -> &Link {
        &self.link
    }

    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    pub(super) const fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Says in which spaces the node is found, as it enters them.
    async fn announce(&self) {
        let mut announced = BTreeSet::new();
        loop {
            for space in self.node.overlay_stats().into_iter().flat_map(|report| report.spaces) {
                // One that is only looked into is no place where the node is.
                if space.domain.is_some()
                    && !announced.contains(&space.space)
                    && self.link.announce(space.space).await
                {
                    announced.insert(space.space);
                }
            }
            tokio::time::sleep(ANNOUNCE).await;
        }
    }

    /// Says what an operator should do about what is refused.
    async fn advise(&self) {
        let mut advice = Advice::default();
        loop {
            tokio::time::sleep(advice::LOOK).await;
            advice.look(&self.node, Instant::now());
        }
    }

    /// Takes note of events, and says what an operator should know.
    async fn follow(self: Arc<Self>, mut events: Events) {
        while let Some(event) = events.next().await {
            self.watch.note(&event);
            match event {
                NodeEvent::StoreFailed { poisoned: true, error } => {
                    self.stop.stop_for(Reason::Poisoned(error));
                }
                NodeEvent::StoreFailed { poisoned: false, error } => {
                    tracing::warn!(
                        %error,
                        "the store failed, and packets are not acknowledged until it works: make room, or see to the disk"
                    );
                }
                NodeEvent::IncarnationRaised => tracing::warn!(
                    "the node was restored from a backup, and states its outcomes again: make sure that no other node runs with its key"
                ),
                NodeEvent::Lagged { missed } => tracing::debug!(missed, "events were too many to follow"),
                event => tracing::debug!(?event),
            }
        }
    }
}

/// Whom the overlay begins with, besides those it knew before: the configured members, then others that are there now.
async fn members(config: &Config, link: &Link) -> Vec<Address> {
    let mut members = config.bootstrap();
    // Without anybody to ask there is nothing to wait for.
    if !members.is_empty() {
        for address in link.members(&config.spaces()).await {
            if members.len() < MOST_MEMBERS && !members.contains(&address) {
                members.push(address);
            }
        }
    }
    members
}

/// Who is trusted to admit nodes, if anybody is asked.
pub(super) fn issuers(config: &Config) -> Result<Option<Issuers>, NodeError> {
    let keys = config.admission.keys().map_err(|at| NodeError::Setting {
        field: "issuers in [admission]",
        problem: format!("key {at} is no Ed25519 key (they count from 0)"),
    })?;
    let time = Timestamp::from_unix_seconds(now());
    Ok((!keys.is_empty()).then(|| Issuers::new(config.network(), keys, time)))
}

/// Runs a node until it is asked to end.
pub(super) fn run(config: Config, stdin: bool) -> Result<(), NodeError> {
    logs::start(config.log);
    let identity = keys::read_identity(&config.node.key)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(NodeError::Runtime)?;
    let result = runtime.block_on(run_here(config, identity, stdin));
    // A read of the standard input may never end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn run_here(config: Config, identity: Identity, stdin: bool) -> Result<(), NodeError> {
    let mut signals = Signals::new()?;
    // What may be in use by others first, so that nothing was done when it is.
    let server = match config.http.address() {
        Some(address) => Some(Server::bind(address).await?),
        None => None,
    };
    let socket = config.control.socket.as_deref().map(Socket::bind).transpose()?;
    let watch = Arc::new(Watch::default());
    let store = Opened::open(&config, &watch)?;
    let link = Link::open(&config, &identity).await?;
    let members = members(&config, &link).await;
    let program = Arc::new(Program::build(config, identity, store, watch, link, members).await?);
    warn_of_choices(&program.config);

    let mut driver = tokio::spawn(program.node.run());
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&program).follow(program.node.subscribe()));
    program.link.serve(&program.node);
    tasks.spawn({
        let program = Arc::clone(&program);
        async move {
            tokio::select! {
                () = program.announce() => {}
                () = program.advise() => {}
                () = program.stop.stopped() => {}
            }
        }
    });
    if let Some(server) = server {
        tracing::info!(address = %server.address(), "metrics, health and status page");
        tasks.spawn(server.run(Arc::clone(&program)));
    }
    if let Some(socket) = socket {
        tasks.spawn(socket.run(Arc::clone(&program)));
    }
    if stdin {
        let program = Arc::clone(&program);
        tasks.spawn(async move {
            control::serve(Arc::clone(&program), BufReader::new(tokio::io::stdin()), tokio::io::stdout())
                .await;
            program.stop.stop("the standard input ended");
        });
    }
    tracing::info!(author = %program.node.author(), address = %program.node.address(), "the node runs");

    let driver_ended = tokio::select! {
        () = program.stop.stopped() => false,
        name = signals.next() => { program.stop.stop(name); false }
        _ = &mut driver => { program.stop.stop("its driver ended"); true }
    };
    tokio::spawn(signals.end_at_next());
    let result = match program.stop.reason() {
        _ if driver_ended => Err(NodeError::Driver),
        Some(Reason::Poisoned(error)) => Err(NodeError::Poisoned(error)),
        Some(Reason::Asked(by)) => {
            tracing::info!(by, "the node ends");
            Ok(())
        }
        None => Ok(()),
    };
    end(program, tasks).await;
    result
}

/// Lets go of everything in an order in which nothing is lost.
async fn end(program: Arc<Program>, mut tasks: JoinSet<()>) {
    if tokio::time::timeout(LAST_COMMIT, program.node.shutdown()).await.is_err() {
        tracing::warn!(
            "the last commit does not end: see to the disk; packets that were not acknowledged come again"
        );
    }
    let clients = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, clients).await.is_err() {
        tasks.shutdown().await;
    }
    // Nobody else has it once the tasks are gone; its store closes with it.
    if let Some(Program { link, .. }) = Arc::into_inner(program)
        && tokio::time::timeout(LAST_FRAMES, link.shutdown()).await.is_err()
    {
        tracing::debug!("the network did not end in time");
    }
    tracing::info!("the node has ended");
}

/// Says which choices of a configuration an operator may not have meant.
fn warn_of_choices(config: &Config) {
    if config.store.path.is_none() {
        tracing::warn!("the node forgets everything when it ends: give `path` in [store]");
    }
    if config.http.address().is_some_and(|address| !address.ip().is_loopback()) {
        tracing::warn!(
            "metrics and the status page are open to whoever reaches this machine: let a firewall or a proxy decide who does"
        );
    }
    if config.transport.kind == TransportKind::Memory {
        tracing::warn!("the node reaches nobody: `kind` in [transport] is \"memory\"");
    }
}

/// The signals that end a node.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, NodeError> {
        let listen = |kind| signal(kind).map_err(NodeError::Runtime);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ends the process at once when another signal comes.
    async fn end_at_next(mut self) {
        let name = self.next().await;
        let number = if name == "SIGTERM" { SignalKind::terminate() } else { SignalKind::interrupt() };
        tracing::warn!("a second signal: the node ends at once; what was acknowledged is in the store");
        std::process::exit(128 + number.as_raw_value());
    }
}
