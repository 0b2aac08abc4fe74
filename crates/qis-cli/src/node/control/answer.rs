//! What is answered over the control socket, one JSON object a line.

use qis::synth::{Standing, Synthesis};
use qis::{CatchUpError, CaughtUp, Delivery, EmitError, NodeEvent, Receipt, SynthesizeError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::words::chain;

/// Why a request was not fulfilled.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) message: String,
}

/// What a program can go by; the message is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// Not a request.
    Malformed,
    /// A line longer than allowed; the connection is closed.
    TooLong,
    /// None of the node's domains.
    UnknownDomain,
    /// The data is not what the domain takes, or may not be published.
    Refused,
    /// Too few records, or too few new ones, to be published: `observe` keeps them here.
    TooFewRecords,
    /// Too much is under way: later.
    Busy,
    /// The store failed.
    Store,
    /// The node is shutting down.
    Stopped,
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, message)
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    pub(super) fn unknown_domain(domain: &str) -> Self {
        let message = format!("{domain:?} is none of this node's domains, or the start of several");
        Self::new(Kind::UnknownDomain, message)
    }
}

impl From<EmitError> for Failure {
    fn from(error: EmitError) -> Self {
        use qis_route::proto::EmitError as Route;
        let kind = match &error {
            EmitError::UnknownDomain { .. } | EmitError::Route(Route::UnknownDomain { .. }) => {
                Kind::UnknownDomain
            }
            EmitError::TooFewRecords { .. } | EmitError::TooFewNewRecords { .. } => Kind::TooFewRecords,
            EmitError::Route(Route::QueueFull { .. } | Route::Busy) => Kind::Busy,
            EmitError::Route(Route::Store(_) | Route::StorePoisoned) => Kind::Store,
            EmitError::NotRunning | EmitError::Stopped => Kind::Stopped,
            _ => Kind::Refused,
        };
        Self::new(kind, chain(&error))
    }
}

impl From<SynthesizeError> for Failure {
    fn from(error: SynthesizeError) -> Self {
        let kind = match &error {
            SynthesizeError::UnknownDomain { .. } => Kind::UnknownDomain,
            SynthesizeError::Pull(_) => Kind::Busy,
            SynthesizeError::NotRunning | SynthesizeError::Stopped => Kind::Stopped,
            _ => Kind::Refused,
        };
        Self::new(kind, chain(&error))
    }
}

impl From<CatchUpError> for Failure {
    fn from(error: CatchUpError) -> Self {
        SynthesizeError::from(error).into()
    }
}

/// A line for a request's result.
pub(super) fn line(id: Option<&Value>, result: &Result<Value, Failure>) -> String {
    let mut object = match result {
        Ok(value) => json!({ "ok": value }),
        Err(failure) => json!({ "error": failure }),
    };
    set_id(&mut object, id);
    format!("{object}\n")
}

/// A line for an event that was subscribed to.
pub(super) fn event_line(id: Option<&Value>, event: &NodeEvent) -> String {
    let mut object = json!({ "event": of_event(event) });
    set_id(&mut object, id);
    format!("{object}\n")
}

fn set_id(object: &mut Value, id: Option<&Value>) {
    if let (Some(id), Some(object)) = (id, object.as_object_mut()) {
        object.insert("id".to_owned(), id.clone());
    }
}

fn of_event(event: &NodeEvent) -> Value {
    match event {
        NodeEvent::Applied { domain, author, packet, retraction } => json!({ "applied": {
            "domain": domain.to_string(), "author": author.to_string(), "packet": packet.to_string(), "retraction": retraction,
        } }),
        NodeEvent::Emitted { domain, packet, delivered, recipients } => json!({ "emitted": {
            "domain": domain.to_string(), "packet": packet.to_string(), "delivered": delivered, "recipients": recipients,
        } }),
        NodeEvent::IncarnationRaised => json!({ "incarnation_raised": {} }),
        NodeEvent::StoreFailed { poisoned, error } => {
            json!({ "store_failed": { "poisoned": poisoned, "error": error } })
        }
        NodeEvent::Lagged { missed } => json!({ "lagged": { "missed": missed } }),
        _ => json!({ "other": {} }),
    }
}

pub(super) fn of_receipt(receipt: &Receipt) -> Value {
    let delivery = |delivery: Delivery| match delivery {
        Delivery::Acknowledged => "acknowledged".to_owned(),
        Delivery::Parked => "parked".to_owned(),
        Delivery::Refused => "refused".to_owned(),
        Delivery::Unacknowledged => "unacknowledged".to_owned(),
        Delivery::Failed(kind) => format!("failed: {kind}"),
        _ => "unknown".to_owned(),
    };
    let recipients = receipt.recipients.iter().map(|one| {
        json!({
            "author": one.author.to_string(), "address": one.address.as_str(), "similarity": one.similarity,
            "attempts": one.attempts, "delivery": delivery(one.delivery),
        })
    });
    json!({
        "packet": receipt.packet.to_string(), "domain": receipt.domain.to_string(), "bytes": receipt.bytes,
        "incarnation": receipt.order.incarnation, "sequence": receipt.order.sequence,
        "delivered": receipt.delivered(), "recipients": recipients.collect::<Vec<_>>(),
        "lookup_error": receipt.lookup_error.as_ref().map(ToString::to_string),
    })
}

pub(super) fn of_synthesis(synthesis: &Synthesis) -> Value {
    let contributions = synthesis.contributions.iter().map(|one| {
        let (standing, trust) = match one.standing {
            Standing::Counted => ("counted".to_owned(), Some(1.0)),
            Standing::Discounted { trust } => ("discounted".to_owned(), Some(trust)),
            Standing::Excluded(reason) => (format!("excluded: {reason}"), None),
            _ => ("unknown".to_owned(), None),
        };
        json!({ "author": one.author.to_string(), "weight": one.weight, "standing": standing, "trust": trust })
    });
    json!({
        "estimate": synthesis.estimate, "uncertainty": synthesis.uncertainty, "peer_weight": synthesis.peer_weight,
        "origins": synthesis.origins, "abstained": synthesis.abstained.map(|reason| reason.to_string()),
        "contributions": contributions.collect::<Vec<_>>(),
    })
}

pub(super) fn of_catch_up(caught_up: &CaughtUp) -> Value {
    let CaughtUp { rounds, answered, applied, without_situation, .. } = caught_up;
    let without: Vec<String> = without_situation.iter().map(ToString::to_string).collect();
    json!({ "rounds": rounds, "answered": answered, "applied": applied, "without_situation": without })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_line_with_the_id_of_its_request() {
        let text = line(Some(&"a\nb".into()), &Ok(json!({ "x": "\n" })));
        assert_eq!(text, "{\"id\":\"a\\nb\",\"ok\":{\"x\":\"\\n\"}}\n");
        let text = line(None, &Err(Failure::unknown_domain("x")));
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.starts_with(r#"{"error":{"kind":"unknown-domain","#), "{text}");
    }

    #[test]
    fn what_a_program_can_do_about_it_is_in_the_kind() {
        let kind = |error: EmitError| Failure::from(error).kind;
        assert_eq!(kind(EmitError::TooFewRecords { records: 3, minimum: 20 }), Kind::TooFewRecords);
        assert_eq!(kind(EmitError::Stopped), Kind::Stopped);
        assert_eq!(kind(EmitError::Route(qis_route::proto::EmitError::Busy)), Kind::Busy);
        assert_eq!(kind(EmitError::Confidence { value: 2.0 }), Kind::Refused);
    }
}
