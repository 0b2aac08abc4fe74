//! An attacker's nodes around situations that others send to.

use std::fmt;
use std::time::Duration;

use qis_route::overlay::OverlayError;
use qis_sim::{Experiment, Sybils, Truth};
use serde::Serialize;

use super::{Args, Preset};

/// Nodes of the attacker at each situation: as many as would fill the places of the article.
const CLONES: usize = 20;
/// Packets that are sent to each.
const EMISSIONS: usize = 40;
/// The attacker deceives for so long before it is measured, while upkeep goes on.
const SIEGE: Duration = Duration::from_secs(600);

/// Whom packets to these situations went to.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Siege {
    sybils: usize,
    situations: usize,
    /// Of how many organisations they have credentials; null where nobody vouches for organisations.
    organisations: Option<usize>,
    selection: Preset,
    emissions: usize,
    recipients_mean: f64,
    /// The share of the recipients that were the attacker's.
    captured_slots: f64,
    /// Of the most similar honest nodes for which there are places, the share that got the packet.
    honest_delivery: f64,
}

/// The attacker that is asked for, if one is.
pub(super) fn sybils(args: &Args) -> Option<Sybils> {
    let nodes = args.sybils? as usize;
    let most = args.queries as usize;
    Some(Sybils {
        nodes,
        situations: nodes.div_ceil(CLONES).min(most),
        organisations: args.organisations.map(|count| count as usize),
    })
}

/// Lets the attacker deceive for a while, upkeep and all.
pub(super) fn begin(experiment: &mut Experiment) {
    experiment.deceive();
    let until = experiment.network().now() + SIEGE;
    experiment.network().run_until(until);
    // It forgets whom upkeep made it know.
    experiment.deceive();
}

pub(super) fn measure(
    experiment: &mut Experiment,
    sybils: Sybils,
    preset: Preset,
    truth: &Truth,
) -> Result<Siege, OverlayError> {
    let Sybils { nodes, situations, organisations } = sybils;
    let capture = experiment.emit_to(&preset.selection(), &sybils, EMISSIONS * situations, truth)?;
    Ok(Siege {
        sybils: nodes,
        situations,
        organisations,
        selection: preset,
        emissions: capture.emissions,
        recipients_mean: capture.places,
        captured_slots: capture.captured,
        honest_delivery: capture.delivered,
    })
}

impl fmt::Display for Siege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sybils, situations, recipients_mean, captured_slots, honest_delivery, .. } = self;
        let of = match self.organisations {
            Some(1) => "of one organisation".to_owned(),
            Some(count) => format!("of {count} organisations"),
            None => "where nobody vouches for organisations".to_owned(),
        };
        writeln!(f, "{sybils} nodes of an attacker {of} at {situations} situations")?;
        writeln!(
            f,
            "they are               {:.1} % of {recipients_mean:.1} recipients a packet",
            100.0 * captured_slots
        )?;
        writeln!(f, "most similar honest    {:.2} % of those with a place get it", 100.0 * honest_delivery)
    }
}
