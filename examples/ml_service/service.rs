//! The service: a model behind HTTP, and the node that makes it better.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use qis::{Domain, Evidence, Family, Identity, NetworkId, Node, NodeEvent, OverlayConfig, Scaling, Schema};
use qis_libp2p::Libp2p;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::Failure;
use crate::world::{FEATURES, MEAN, MINUTES, SCALE};

const DOMAIN: &str = "logistics/minutes";
/// The node publishes no evidence of fewer records, nor again before there are as many new ones.
const PUBLISHED: usize = 20;
/// The model learns again after so many.
const LEARNED: usize = 5;

/// Where a service is reached; it prints this when it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// For requests.
    pub(crate) http: SocketAddr,
    /// For peers.
    pub(crate) address: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) features: Vec<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Prediction {
    pub(crate) minutes: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Feedback {
    pub(crate) features: Vec<f64>,
    pub(crate) minutes: f64,
}

/// How a service stands.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Records it was told of.
    pub(crate) records: usize,
    /// Records that its model has learned from.
    pub(crate) learned: usize,
    /// Peers whose evidence is in the model.
    pub(crate) peers: usize,
}

/// What requests share.
struct Service {
    schema: Schema,
    knowledge: Mutex<Knowledge>,
    /// There are records to learn from.
    news: Notify,
}

#[derive(Default)]
struct Knowledge {
    /// Features, one record after another, and what came true.
    features: Vec<f64>,
    minutes: Vec<f64>,
    /// What the coefficients are about; none before the first records.
    model: Option<(Evidence, Vec<f64>)>,
    status: Status,
}

pub(crate) async fn run(listen: SocketAddr, join: Option<&str>) -> Result<(), Failure> {
    let scaling = Scaling::Public { mean: MEAN.to_vec(), scale: SCALE.to_vec() };
    let schema =
        Schema::new(Family::Gaussian, FEATURES, scaling)?.with_outcome_scaling(MINUTES.0, MINUTES.1)?;
    let domain = Domain::evidence(DOMAIN, schema.clone())?;
    let space = domain.space().ok_or("evidence has a space of its own")?;

    let (identity, network) = (Identity::generate()?, NetworkId::new("ml-service"));
    let libp2p = Libp2p::builder(&identity).network(network).listen("/ip4/127.0.0.1/tcp/0").peers(join);
    let libp2p = libp2p.build().await?;
    libp2p.announce(space).await?;
    let node = Node::builder()
        .identity(identity)
        .network(network)
        .transport(libp2p.transport())
        .overlay(OverlayConfig::default())
        .bootstrap(libp2p.members(space, 3).await?)
        .domain(domain)
        .start()
        .await?;
    let receiver = node.clone();
    libp2p.serve(move |from, frame| {
        receiver.receive(from, frame);
    });

    let service = Arc::new(Service { schema, knowledge: Mutex::default(), news: Notify::new() });
    let learning = tokio::spawn(learn(Arc::clone(&service), node.clone()));
    let router = Router::new()
        .route("/predict", post(predict))
        .route("/feedback", post(feedback))
        .route("/status", get(status))
        .with_state(service);
    let listener = TcpListener::bind(listen).await?;
    let ready = Ready { http: listener.local_addr()?, address: libp2p.local_address().to_string() };
    println!("{}", serde_json::to_string(&ready)?);
    axum::serve(listener, router).with_graceful_shutdown(asked_to_end()).await?;

    learning.abort();
    node.shutdown().await;
    libp2p.shutdown().await;
    Ok(())
}

/// Until the input ends, or somebody interrupts.
async fn asked_to_end() {
    let (mut rest, mut input) = (Vec::new(), tokio::io::stdin());
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = input.read_to_end(&mut rest) => {}
    }
}

async fn predict(
    State(service): State<Arc<Service>>,
    Json(question): Json<Question>,
) -> Result<Json<Prediction>, (StatusCode, String)> {
    let knowledge = service.knowledge.lock().unwrap_or_else(PoisonError::into_inner);
    // Before it has learned anything, the average of all deliveries is the best there is.
    let minutes = match &knowledge.model {
        Some((evidence, theta)) => evidence.predict(theta, &question.features).map_err(refused)?,
        None => MINUTES.0,
    };
    Ok(Json(Prediction { minutes }))
}

async fn feedback(
    State(service): State<Arc<Service>>,
    Json(told): Json<Feedback>,
) -> Result<StatusCode, (StatusCode, String)> {
    // What could not be learned from is refused here, where somebody is told.
    Evidence::gaussian(&service.schema, &told.features, &[told.minutes]).map_err(refused)?;
    let mut knowledge = service.knowledge.lock().unwrap_or_else(PoisonError::into_inner);
    knowledge.features.extend(told.features);
    knowledge.minutes.push(told.minutes);
    knowledge.status.records += 1;
    if knowledge.status.records.is_multiple_of(LEARNED) {
        service.news.notify_one();
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn status(State(service): State<Arc<Service>>) -> Json<Status> {
    Json(service.knowledge.lock().unwrap_or_else(PoisonError::into_inner).status.clone())
}

fn refused(error: impl Error) -> (StatusCode, String) {
    (StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

/// The loop: publish what the records say, learn from the peers, predict by that. Requests do not wait for it.
async fn learn(service: Arc<Service>, node: Node) {
    let mut events = node.subscribe();
    let mut published = 0;
    loop {
        // A peer's outcome is as good a reason to learn again as records of one's own.
        tokio::select! {
            () = service.news.notified() => {}
            event = events.next() => match event {
                Some(NodeEvent::Applied { .. }) => {}
                Some(_) => continue,
                None => return,
            },
        }
        // The next news is another chance.
        if let Err(error) = learn_once(&service, &node, &mut published).await {
            println!("{}", serde_json::json!({ "not_learned": error.to_string() }));
        }
    }
}

async fn learn_once(service: &Service, node: &Node, published: &mut usize) -> Result<(), Failure> {
    let (features, minutes) = {
        let knowledge = service.knowledge.lock().unwrap_or_else(PoisonError::into_inner);
        (knowledge.features.clone(), knowledge.minutes.clone())
    };
    if minutes.is_empty() {
        return Ok(());
    }
    let evidence = Evidence::gaussian(&service.schema, &features, &minutes)?;
    if evidence.records() >= *published + PUBLISHED {
        // Durable, and on its way to similar services; this one goes on.
        node.emit(DOMAIN, evidence.clone()).queue().await?;
        *published = evidence.records();
    } else {
        // Too few to be published: it listens.
        node.observe(DOMAIN, evidence.clone())?;
    }
    let synthesis = node.synthesize(DOMAIN).pull().await?;
    let mut knowledge = service.knowledge.lock().unwrap_or_else(PoisonError::into_inner);
    knowledge.status.learned = evidence.records();
    knowledge.status.peers = synthesis.origins;
    knowledge.model = Some((evidence, synthesis.estimate));
    Ok(())
}
