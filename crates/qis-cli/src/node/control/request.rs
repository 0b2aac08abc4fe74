//! What is asked over the control socket, one JSON object a line.

use std::path::PathBuf;

use qis::{DomainTag, Evidence, Family, Fingerprint, Outcome, Schema, SpaceId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::Failure;

/// The longest text that comes back with an answer.
const LONGEST_ID: usize = 64;

/// A line that was understood.
#[derive(Debug)]
pub(super) struct Request {
    /// What the answer begins with.
    pub(super) id: Option<Value>,
    pub(super) command: Result<Command, Failure>,
}

/// What is to be done.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Command {
    Emit(Emit),
    Observe(Data),
    Synthesize(Synthesize),
    CatchUp(CatchUp),
    Retract(Retract),
    Peers(Nothing),
    Status(Nothing),
    Subscribe(Nothing),
    Backup(Backup),
    Shutdown(Nothing),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Emit {
    pub(super) domain: String,
    delta: Option<Vec<f32>>,
    rows: Option<Vec<Vec<f64>>>,
    outcomes: Option<Vec<f64>>,
    times: Option<Vec<f64>>,
    events: Option<Vec<bool>>,
    pub(super) confidence: Option<f64>,
    pub(super) support: Option<u64>,
    pub(super) lifetime_hours: Option<u16>,
    #[serde(default)]
    pub(super) source: String,
    pub(super) situation: Option<String>,
    pub(super) fingerprint: Option<Vector>,
    /// Whether the answer waits for the receipt, or comes as soon as the outcome is durable.
    #[serde(default = "yes")]
    pub(super) wait: bool,
}

/// The site's data: one of the ways to give them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    pub(super) domain: String,
    delta: Option<Vec<f32>>,
    rows: Option<Vec<Vec<f64>>>,
    outcomes: Option<Vec<f64>>,
    times: Option<Vec<f64>>,
    events: Option<Vec<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Synthesize {
    pub(super) domain: String,
    #[serde(default)]
    pub(super) pull: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatchUp {
    pub(super) domain: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retract {
    pub(super) domain: String,
    #[serde(default)]
    pub(super) source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backup {
    pub(super) path: PathBuf,
}

/// A situation as a vector of the asker's own model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vector {
    space: String,
    vector: Vec<f32>,
}

const fn yes() -> bool {
    true
}

impl Request {
    /// Reads a line. What it is called by is read even if the rest makes no sense.
    pub(super) fn parse(line: &[u8]) -> Self {
        let mut object: Map<String, Value> = match serde_json::from_slice(line) {
            Ok(object) => object,
            Err(error) => {
                let failure = Failure::malformed(format!("not a JSON object of one line: {error}"));
                return Self { id: None, command: Err(failure) };
            }
        };
        let id = match object.remove("id") {
            Some(Value::String(text)) if text.len() > LONGEST_ID => {
                let failure = Failure::malformed(format!("an `id` has at most {LONGEST_ID} bytes"));
                return Self { id: None, command: Err(failure) };
            }
            Some(id @ (Value::String(_) | Value::Number(_))) => Some(id),
            None | Some(Value::Null) => None,
            Some(_) => {
                let failure = Failure::malformed("an `id` is a text or a number");
                return Self { id: None, command: Err(failure) };
            }
        };
        if object.len() != 1 {
            let text = "a request has one key besides `id`: what is asked, such as {\"status\":{}}";
            return Self { id, command: Err(Failure::malformed(text)) };
        }
        let command = serde_json::from_value(Value::Object(object));
        Self { id, command: command.map_err(|error| Failure::malformed(error.to_string())) }
    }
}

impl Emit {
    /// Takes out what is to be emitted.
    pub(super) fn data(&mut self) -> Data {
        Data {
            domain: self.domain.clone(),
            delta: self.delta.take(),
            rows: self.rows.take(),
            outcomes: self.outcomes.take(),
            times: self.times.take(),
            events: self.events.take(),
        }
    }
}

impl Data {
    /// The outcome these are in a domain with this schema, or of plain vectors without one.
    pub(super) fn outcome(self, domain: DomainTag, schema: Option<&Schema>) -> Result<Outcome, Failure> {
        let Self { domain: _, delta, rows, outcomes, times, events } = self;
        let refuse = |expected: &str| Failure::refused(format!("the domain {domain} takes {expected}"));
        let Some(schema) = schema else {
            return match (delta, rows, outcomes, times, events) {
                (Some(delta), None, None, None, None) => Ok(delta.into()),
                _ => Err(refuse("`delta`, an array of numbers, and nothing else")),
            };
        };
        let features = schema.features().len();
        let flat = |rows: Vec<Vec<f64>>| match rows.iter().position(|row| row.len() != features) {
            None => Ok(rows.concat()),
            Some(at) => Err(Failure::refused(format!(
                "row {at} of `rows` has not the {features} features of the domain {domain} (rows count from 0)"
            ))),
        };
        let evidence = match (schema.family(), delta, rows, outcomes, times, events) {
            (Family::Cox, None, Some(rows), None, Some(times), Some(events)) => {
                Evidence::cox(schema, &flat(rows)?, &times, &events)
            }
            (Family::Cox, ..) => return Err(refuse("`rows`, `times` and `events`, and no other data")),
            (Family::Gaussian, None, Some(rows), Some(outcomes), None, None) => {
                Evidence::gaussian(schema, &flat(rows)?, &outcomes)
            }
            (_, None, Some(rows), Some(outcomes), None, None) => {
                Evidence::logistic(schema, &flat(rows)?, &outcomes)
            }
            _ => return Err(refuse("`rows` and `outcomes`, and no other data")),
        };
        evidence.map(Outcome::from).map_err(|error| Failure::refused(error.to_string()))
    }
}

impl Vector {
    pub(super) fn fingerprint(&self) -> Result<Fingerprint, Failure> {
        let dims = u16::try_from(self.vector.len()).unwrap_or(u16::MAX);
        let fingerprint = Fingerprint::from_vector(SpaceId::new(&self.space, dims), &self.vector);
        fingerprint.map_err(|error| Failure::refused(format!("`fingerprint`: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        Request::parse(line.as_bytes()).command.unwrap_err().message
    }

    #[test]
    fn a_request_is_one_command_and_an_id() {
        let request = Request::parse(br#"{"id":"a","emit":{"domain":"x","delta":[1,2.5]}}"#);
        assert_eq!(request.id, Some("a".into()));
        assert!(matches!(request.command, Ok(Command::Emit(Emit { wait: true, .. }))));
        assert!(matches!(Request::parse(b"{\"status\":{}}").command, Ok(Command::Status(_))));
        assert!(refused("{}").contains("one key"));
        assert!(refused(r#"{"status":{},"peers":{}}"#).contains("one key"));
        assert!(refused(r#"{"reboot":{}}"#).contains("unknown variant `reboot`"));
        assert!(refused(r#"{"status":{"all":1}}"#).contains("unknown field `all`"));
        assert!(refused(r#"{"emit":{"delta":[1]}}"#).contains("missing field `domain`"));
        assert!(refused(r#"{"id":[1],"status":{}}"#).contains("`id`"));
        let long = format!(r#"{{"id":"{}","status":{{}}}}"#, "x".repeat(65));
        assert!(refused(&long).contains("64 bytes"));
    }

    #[test]
    fn garbage_is_refused_and_an_id_comes_back_where_there_is_one() {
        for line in ["", "x", "[]", "1", "{", "{\"a\":1e999}", "\u{0}", "{\"status\":{}} x"] {
            let request = Request::parse(line.as_bytes());
            assert!(request.command.is_err(), "{line}");
        }
        assert!(Request::parse(&[0xff; 40]).command.is_err());
        assert!(Request::parse(&vec![b'['; 100_000]).command.is_err());
        assert_eq!(Request::parse(br#"{"id":7,"x":1}"#).id, Some(7.into()));
    }

    #[test]
    fn data_is_what_the_domain_takes() {
        let domain: DomainTag = "x".parse().unwrap();
        let data = |line: &str| match Request::parse(line.as_bytes()).command.unwrap() {
            Command::Observe(data) => data,
            other => panic!("{other:?}"),
        };
        let plain = data(r#"{"observe":{"domain":"x","delta":[1]}}"#).outcome(domain, None);
        assert!(matches!(plain, Ok(Outcome::Delta(values)) if values == [1.0]));
        let both = data(r#"{"observe":{"domain":"x","delta":[1],"rows":[]}}"#).outcome(domain, None);
        assert!(both.unwrap_err().message.contains("takes `delta`"));

        let schema = |family| Schema::new(family, ["a", "b"], qis::Scaling::SiteLocal).unwrap();
        let logistic = schema(Family::Logistic);
        let rows = r#"{"observe":{"domain":"x","rows":[[1,2],[3,1]],"outcomes":[0,1]}}"#;
        assert!(data(rows).outcome(domain, Some(&logistic)).is_ok());
        let cox = schema(Family::Cox);
        assert!(data(rows).outcome(domain, Some(&cox)).unwrap_err().message.contains("`times`"));
        let survival =
            r#"{"observe":{"domain":"x","rows":[[1,2],[3,1]],"times":[4,5],"events":[true,false]}}"#;
        assert!(data(survival).outcome(domain, Some(&cox)).is_ok());
        let ragged = r#"{"observe":{"domain":"x","rows":[[1,2],[3]],"outcomes":[0,1]}}"#;
        assert!(data(ragged).outcome(domain, Some(&logistic)).unwrap_err().message.contains("row 1"));
        let short = r#"{"observe":{"domain":"x","rows":[[1,2]],"outcomes":[0,1]}}"#;
        assert!(data(short).outcome(domain, Some(&logistic)).is_err());
    }
}
