//! A domain of a configuration.

use qis::synth::rules;
use qis::{Domain, Family, Lifetime, Scaling, Schema, Selection};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::values::Within;
use crate::words::chain;

/// More domains than this are a mistake.
const MOST_DOMAINS: usize = 256;

/// A domain of a configuration, and what it makes.
#[derive(Clone, Debug)]
pub(in crate::node) struct DomainConfig {
    fields: Fields,
    domain: Domain,
    schema: Option<Schema>,
}

/// A table as it is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    tag: String,
    dims: Option<Within<1, 4096>>,
    rule: Option<String>,
    family: Option<FamilyName>,
    features: Option<Vec<String>>,
    mean: Option<Vec<f64>>,
    scale: Option<Vec<f64>>,
    outcome_mean: Option<f64>,
    outcome_scale: Option<f64>,
    min_records: Option<Within<1, 1_000_000_000>>,
    selection: Option<SelectionName>,
    situation: Option<String>,
    #[serde(default = "default_lifetime")]
    lifetime_hours: Within<1, 2160>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum FamilyName {
    Gaussian,
    Logistic,
    Cox,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum SelectionName {
    Article,
    Balanced,
    Hostile,
}

fn default_lifetime() -> Within<1, 2160> {
    Within::known(Lifetime::default().hours().into())
}

impl DomainConfig {
    pub(in crate::node) const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What evidence of the domain follows; none for one of plain vectors.
    pub(in crate::node) const fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// What requests may call it besides its tag.
    pub(in crate::node) fn name(&self) -> &str {
        &self.fields.tag
    }

    /// In a few words.
    pub(in crate::node) fn describe(&self) -> String {
        let Fields { dims, rule, features, family, .. } = &self.fields;
        match (dims, family) {
            (Some(dims), _) => {
                let rule = rule.as_deref().unwrap_or("robust");
                format!("plain vectors of {} coordinates, by the rule {rule}", dims.get::<u64>())
            }
            (None, family) => {
                let family = match family {
                    Some(FamilyName::Gaussian) => "linear",
                    Some(FamilyName::Cox) => "survival",
                    Some(FamilyName::Logistic) | None => "logistic",
                };
                format!("evidence of a {family} model of {} features", features.as_ref().map_or(0, Vec::len))
            }
        }
    }
}

impl TryFrom<Fields> for DomainConfig {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let (mut domain, schema) = match (fields.dims, fields.family) {
            (Some(dims), None) => (vectors(&fields, dims.get())?, None),
            (None, Some(family)) => {
                let schema = schema(&fields, family)?;
                let domain = Domain::evidence(&fields.tag, schema.clone()).map_err(|error| chain(&error))?;
                (evidence(&fields, domain)?, Some(schema))
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(
                    "a domain has either `dims`, for plain vectors, or `family` and `features`, for evidence"
                        .into(),
                );
            }
        };
        // In range, so it is one.
        domain = domain.lifetime(Lifetime::from_hours(fields.lifetime_hours.get()).unwrap_or_default());
        if let Some(selection) = fields.selection {
            domain = domain.selection(match selection {
                SelectionName::Article => Selection::article(),
                SelectionName::Balanced => Selection::balanced(),
                SelectionName::Hostile => Selection::hostile(),
            });
        }
        if let Some(situation) = &fields.situation {
            domain = domain.situation(situation);
        }
        Ok(Self { fields, domain, schema })
    }
}

fn vectors(fields: &Fields, dims: usize) -> Result<Domain, String> {
    let Fields { features, mean, scale, outcome_mean, outcome_scale, min_records, .. } = fields;
    let foreign = [
        (features.is_some(), "features"),
        (mean.is_some(), "mean"),
        (scale.is_some(), "scale"),
        (outcome_mean.is_some(), "outcome_mean"),
        (outcome_scale.is_some(), "outcome_scale"),
        (min_records.is_some(), "min_records"),
    ];
    if let Some((_, name)) = foreign.into_iter().find(|(there, _)| *there) {
        return Err(format!("`{name}` is for domains of evidence, and this one has `dims`"));
    }
    let domain = Domain::delta(&fields.tag, dims).map_err(|error| chain(&error))?;
    let Some(name) = &fields.rule else { return Ok(domain) };
    let rule = rules::by_name(name);
    let rule = rule.ok_or_else(|| format!("`rule` is one of {}, not \"{name}\"", rules::NAMES.join(", ")))?;
    Ok(domain.synthesizer(rule))
}

fn evidence(fields: &Fields, domain: Domain) -> Result<Domain, String> {
    if fields.rule.is_some() {
        return Err("`rule` is for domains of plain vectors; evidence has a rule of its own".into());
    }
    Ok(match fields.min_records {
        Some(records) => domain.min_records(records.get()),
        None => domain,
    })
}

fn schema(fields: &Fields, family: FamilyName) -> Result<Schema, String> {
    let features = fields.features.clone().ok_or("evidence needs `features`, the names of its columns")?;
    let scaling = match (&fields.mean, &fields.scale) {
        (None, None) => Scaling::SiteLocal,
        (Some(mean), Some(scale)) => Scaling::Public { mean: mean.clone(), scale: scale.clone() },
        _ => {
            return Err(
                "`mean` and `scale` go together: public figures of the features, in their order".into()
            );
        }
    };
    let family = match family {
        FamilyName::Gaussian => Family::Gaussian,
        FamilyName::Logistic => Family::Logistic,
        FamilyName::Cox => Family::Cox,
    };
    let schema = Schema::new(family, features, scaling).map_err(|error| chain(&error))?;
    match (fields.outcome_mean, fields.outcome_scale) {
        (None, None) => Ok(schema),
        (Some(mean), Some(scale)) => schema.with_outcome_scaling(mean, scale).map_err(|error| chain(&error)),
        _ => Err("`outcome_mean` and `outcome_scale` go together".into()),
    }
}

/// The domains of these tables, at least one and none twice; or what is wrong, and from which byte on.
pub(super) fn all(tables: &[Spanned<Fields>]) -> Result<Vec<DomainConfig>, (usize, String)> {
    if !(1..=MOST_DOMAINS).contains(&tables.len()) {
        let start = tables.first().map_or(0, |table| table.span().start);
        return Err((
            start,
            format!("a node has 1 to {MOST_DOMAINS} tables [[domains]], not {}", tables.len()),
        ));
    }
    let mut domains: Vec<DomainConfig> = Vec::with_capacity(tables.len());
    for table in tables {
        let refuse = |message| (table.span().start, message);
        let domain = DomainConfig::try_from(table.get_ref().clone()).map_err(refuse)?;
        let tag = domain.domain.tag();
        if domains.iter().any(|other| other.domain.tag() == tag) {
            return Err(refuse(format!("the domain {tag} is there twice")));
        }
        domains.push(domain);
    }
    Ok(domains)
}
