//! The node's figures for Prometheus, as text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::status::Status;
use super::store::Times;

/// What the text is.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of a scrape.
pub(super) fn text(status: Status, times: &Times) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("qis");
    let build = Info::new([("version", status.version)]);
    registry.register("build", "What runs", build);
    registry.register("store_commit_seconds", "How long commits to the store took", times.commits.clone());
    registry.register_collector(Box::new(Scrape(status)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// How the node stood when it was asked.
#[derive(Debug)]
struct Scrape(Status);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Status { counts, queues, store, overlay, transport, domains, .. } = &self.0;
        let mut out = Out(encoder);
        out.gauge("uptime_seconds", "Seconds since the start", self.0.uptime_seconds)?;
        out.gauge("ready", "1 when the node is ready, else 0", u64::from(self.0.not_ready.is_empty()))?;
        out.counter("emissions", "Outcomes that this node began to emit, renewals included", counts.emitted)?;
        out.counter("deliveries", "Recipients that acknowledged a packet", counts.delivered)?;
        out.counter("recipients", "Recipients that a packet was meant for", counts.recipients)?;
        let verdicts = [
            ("applied", counts.applied),
            ("known", counts.known),
            ("parked", counts.parked),
            ("refused", counts.refused),
        ];
        out.counters("packets", "Packets that came in, by what became of them", "verdict", verdicts)?;
        let refused = self.0.refused.iter().map(|(&reason, &count)| (reason, count));
        out.counters("refusals", "Frames and packets that were refused", "reason", refused)?;
        out.counter("synced", "Packets that neighbours had and this node had missed", counts.synced)?;
        out.counter("packets_sent", "Packets handed to the transport", counts.packets_sent)?;
        out.counter("frames_received", "Frames that came in", counts.received)?;
        out.counter("frames_sent", "Frames handed to the transport", counts.frames_sent)?;
        out.counter(
            "frame_sent_bytes",
            "Bytes of the frames handed to the transport",
            counts.frame_bytes_sent,
        )?;
        out.counter("sends_failed", "Sends that the transport reported as failed", counts.sends_failed)?;
        let depths = [
            ("emissions", queues.emissions),
            ("pulls", queues.pulls),
            ("outputs", queues.outputs),
            ("commits", queues.commits),
            ("parked", queues.parked),
        ];
        let depths = depths.map(|(queue, depth)| (queue, depth as u64));
        out.gauges("queue_depth", "What waits in the node", "queue", depths)?;
        let failures = [("full", store.commits_full), ("other", store.commits_failed)];
        out.counters("store_commits_failed", "Commits that failed", "reason", failures)?;
        out.counter("store_rows_damaged", "Rows of the store that were left out", store.rows_damaged)?;

        let standing = domains.iter().map(|domain| (domain.tag.as_str(), domain.standing as u64));
        out.gauges("standing_packets", "Packets in force, the node's own among them", "domain", standing)?;
        let done =
            domains.iter().filter_map(|domain| Some((domain.tag.as_str(), domain.synthesis.as_ref()?)));
        let age = |time: u64| self.0.time.saturating_sub(time);
        let ages = done.clone().map(|(tag, last)| (tag, age(last.time)));
        out.gauges("synthesis_age_seconds", "Seconds since the last synthesis", "domain", ages)?;
        let origins = done.clone().map(|(tag, last)| (tag, last.origins as u64));
        out.gauges("synthesis_origins", "Independent origins of the last synthesis", "domain", origins)?;
        let counts = done.map(|(tag, last)| (tag, last.count));
        out.counters("syntheses", "Syntheses", "domain", counts)?;

        if let Some(overlay) = overlay {
            let contacts = overlay.spaces.iter().flat_map(|space| {
                [("near", space.near), ("diverse", space.diverse), ("random", space.random)]
                    .map(|(kind, count)| ([("space", space.space.as_str()), ("kind", kind)], count as u64))
            });
            out.labelled_gauges("overlay_contacts", "Contacts in the overlay", contacts)?;
            out.counter("overlay_requests", "Requests made of contacts", overlay.requests)?;
            out.counter("overlay_answers", "Requests of others that were answered", overlay.answered)?;
            out.counter("overlay_lookups", "Look-ups that are over", overlay.lookups)?;
            out.counter("overlay_lookup_requests", "Requests that look-ups took", overlay.lookup_requests)?;
            out.counter("overlay_lookup_rounds", "Round trips that look-ups took", overlay.lookup_rounds)?;
            out.counter("overlay_dead_contacts", "Contacts given up, as they did not answer", overlay.dead)?;
            let refused = overlay.refused.iter().map(|(reason, &count)| (reason.as_str(), count));
            out.counters(
                "overlay_refusals",
                "Messages and descriptors that were refused",
                "reason",
                refused,
            )?;
            out.gauge(
                "overlay_state_bytes",
                "Bytes that the overlay's tables take",
                overlay.state_bytes as u64,
            )?;
        }
        let now = transport.gauges.iter().map(|(&name, &value)| (name, value));
        out.gauges("transport", "How the transport stands, by name", "figure", now)?;
        let counts = transport.counts.iter().map(|(&name, &value)| (name, value));
        out.counters("transport_events", "What happened in the transport, by name", "event", counts)
    }
}

/// Writes figures of one value or of one a label.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(whole(value));
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn gauges<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let values = values.into_iter().map(|(value, count)| ([(label, value)], count));
        self.labelled_gauges(name, help, values)
    }

    fn labelled_gauges<'l, const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'l str, &'l str); LABELS], u64)>,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        let Some((_, first)) = values.peek() else { return Ok(()) };
        let kind = ConstGauge::new(whole(*first)).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            ConstGauge::new(whole(value)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut values = values.into_iter().peekable();
        let Some((_, first)) = values.peek() else { return Ok(()) };
        let kind = ConstCounter::new(*first).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (value, count) in values {
            ConstCounter::new(count).encode(family.encode_family(&[(label, value)])?)?;
        }
        Ok(())
    }
}

/// A gauge is signed.
fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
