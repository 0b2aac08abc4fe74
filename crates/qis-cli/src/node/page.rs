//! The status page: plain HTML and SVG, without anything from elsewhere.

use std::fmt::Display;

use super::status::{DomainStatus, OverlayStatus, SpaceStatus, Status};
use super::watch::{Kind, LastSynthesis, Recent};
use crate::html::escape;
use crate::utc;
use crate::words::plural;

const STYLE: &str = include_str!("page.css");
/// Seconds until a browser asks again.
const REFRESH: u32 = 10;
/// Digits of an author or packet that are shown; the rest is in its title.
const SHOWN_DIGITS: usize = 12;

/// The whole page.
pub(super) fn page(status: &Status) -> String {
    let title = if status.name.is_empty() { "QIS node" } else { &status.name };
    let columns = [overlay(status.overlay.as_ref()), refusals(status), waiting(status), transport(status)];
    let domains: String = status.domains.iter().map(|domain| self::domain(domain, status.time)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"refresh\" content=\"{REFRESH}\"/>\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {}{}<div class=\"columns\">\n{domains}</div>\n{}<div class=\"columns\">\n{}</div>\n\
         <footer><p>As of {}, asked for again every {REFRESH} seconds. Figures for machines: <code>/metrics</code>, <code>/healthz</code>, \
         <code>/readyz</code>. Counts are since the start.</p></footer>\n</main>\n</body>\n</html>\n",
        header(status, title),
        the_loop(status),
        packets(status),
        columns.concat(),
        date(status.time),
        title = escape(title),
    )
}

fn header(status: &Status, title: &str) -> String {
    let Status { author, network, address, uptime_seconds, version, store, not_ready, .. } = status;
    let state = if not_ready.is_empty() {
        "<p class=\"state ready\">Ready</p>".to_owned()
    } else {
        format!("<p class=\"state not-ready\">Not ready: {}</p>", escape(&not_ready.join("; ")))
    };
    let kept = store.path.as_deref().unwrap_or("in memory: forgotten when the node ends");
    let rows = [
        ("network", escape(network)),
        ("author", format!("<code>{}</code>", escape(author))),
        ("address", format!("<code>{}</code>", escape(address))),
        ("running for", span(*uptime_seconds)),
        ("store", escape(kept)),
        ("version", escape(version)),
    ];
    let rows = rows.map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n"));
    format!("<header>\n<h1>{}</h1>\n{state}\n<dl>\n{}</dl>\n</header>\n", escape(title), rows.concat())
}

/// What became of outcomes, from here to others and from others to here.
fn the_loop(status: &Status) -> String {
    let counts = &status.counts;
    let steps = [
        (counts.emitted, "emitted".to_owned()),
        (counts.delivered, format!("delivered, of {} recipients", grouped(counts.recipients))),
        (counts.received, "frames received".to_owned()),
        (counts.applied, "packets applied".to_owned()),
        (counts.synced, "of them caught up".to_owned()),
        (counts.synthesised, "syntheses".to_owned()),
        (counts.refused, "refused".to_owned()),
    ];
    let steps = steps.map(|(count, what)| format!("<li><b>{}</b><span>{what}</span></li>\n", grouped(count)));
    format!("<section>\n<h2>The loop</h2>\n<ul class=\"loop\">\n{}</ul>\n</section>\n", steps.concat())
}

fn domain(domain: &DomainStatus, time: u64) -> String {
    let DomainStatus { tag, about, standing, synthesis } = domain;
    let synthesis = synthesis.as_ref().map_or_else(
        || "<p class=\"soft\">No synthesis yet: ask for one over the control socket.</p>\n".to_owned(),
        |last| self::synthesis(last, time),
    );
    format!(
        "<section>\n<h2>{}</h2>\n<p class=\"soft\">{}; {} in force.</p>\n{synthesis}</section>\n",
        escape(tag),
        escape(about),
        plural(*standing as u64, "packet"),
    )
}

fn synthesis(last: &LastSynthesis, time: u64) -> String {
    let peers =
        last.peer_weight.map_or_else(|| "\u{2013}".to_owned(), |weight| format!("{} %", percent(weight)));
    let mut rows = vec![
        ("last synthesis", format!("{} ago", span(time.saturating_sub(last.time)))),
        ("syntheses", grouped(last.count)),
        ("origins", format!("{} of {}", last.origins, plural(last.samples as u64, "sample"))),
        ("weight of peers", peers),
    ];
    if let Some(reason) = &last.abstained {
        rows.push(("peers left out", escape(reason)));
    }
    let rows: String =
        rows.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n")).collect();
    let bars = last.contributions.iter().map(|share| {
        let note = escape(&share.standing);
        let number = format!("{} %", percent(share.weight));
        bar("bar", &short(&share.author), share.weight, &number)
            + &format!("<span class=\"note\">{note}</span>\n")
    });
    let bars: String = bars.collect();
    let shares = if bars.is_empty() {
        "<p class=\"soft\">Nothing of others was there.</p>\n".to_owned()
    } else {
        format!("<h3>What peers brought to it</h3>\n<div class=\"bars\">\n{bars}</div>\n")
    };
    format!("<dl>\n{rows}</dl>\n{shares}")
}

fn packets(status: &Status) -> String {
    let row = |recent: &Recent| {
        let author = recent.author.as_deref().map_or_else(String::new, short);
        let (kind, whose) = match recent.kind {
            Kind::Emitted => {
                let (delivered, recipients) = recent.delivered.unwrap_or_default();
                ("emitted", format!("{delivered} of {recipients} have it"))
            }
            Kind::Applied => ("applied", author),
            Kind::Retracted => ("retracted", author),
        };
        let cells = [
            format!("{} ago", span(status.time.saturating_sub(recent.time))),
            kind.to_owned(),
            escape(&recent.domain),
            whose,
            short(&recent.packet),
        ];
        format!("<tr>{}</tr>\n", cells.map(|cell| format!("<td>{cell}</td>")).concat())
    };
    let rows: String = status.recent.iter().map(row).collect();
    let table = if rows.is_empty() {
        "<p class=\"soft\">None yet.</p>\n".to_owned()
    } else {
        format!(
            "<div class=\"wide\"><table>\n<thead><tr><th>when</th><th>what</th><th>domain</th><th>author, or recipients</th><th>packet</th></tr></thead>\n\
             <tbody>\n{rows}</tbody>\n</table></div>\n"
        )
    };
    format!("<section>\n<h2>Last packets</h2>\n{table}</section>\n")
}

fn overlay(overlay: Option<&OverlayStatus>) -> String {
    let Some(overlay) = overlay else { return String::new() };
    let row = |space: &SpaceStatus| {
        let domain = space.domain.as_deref().map_or_else(|| "\u{2013}".to_owned(), escape);
        let joining = if space.joining { ", joining" } else { "" };
        let counts = [space.near, space.diverse, space.random];
        let counts = counts.map(|count| format!("<td class=\"number\">{count}</td>")).concat();
        format!("<tr><td>{domain}{joining}</td>{counts}</tr>\n")
    };
    let rows: String = overlay.spaces.iter().map(row).collect();
    let table = if rows.is_empty() {
        "<p class=\"soft\">The node has said nothing of its situation yet, so nobody finds it.</p>\n"
            .to_owned()
    } else {
        format!(
            "<div class=\"wide\"><table>\n<thead><tr><th>found by</th><th class=\"number\">near</th><th class=\"number\">diverse</th>\
             <th class=\"number\">random</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
        )
    };
    let cost = match overlay.lookups {
        0 => "No look-ups yet.".to_owned(),
        lookups => format!(
            "{} took {} each, {} round trips.",
            plural(lookups, "look-up"),
            plural(overlay.lookup_requests / lookups, "request"),
            overlay.lookup_rounds / lookups,
        ),
    };
    format!("<section>\n<h2>Contacts</h2>\n{table}<p class=\"soft\">{cost}</p>\n</section>\n")
}

fn refusals(status: &Status) -> String {
    let mut refused: Vec<(&str, u64)> =
        status.refused.iter().map(|(&reason, &count)| (reason, count)).collect();
    refused.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let most = refused.first().map_or(1, |(_, count)| (*count).max(1));
    let bars = refused.iter().map(|(reason, count)| {
        // Shares of a drawing a hundred wide.
        #[expect(clippy::cast_precision_loss, reason = "a bar is some hundred pixels wide")]
        let filled = *count as f64 / most as f64;
        bar("drop", &escape(reason), filled, &grouped(*count))
    });
    let bars: String = bars.collect();
    let bars = if bars.is_empty() {
        "<p class=\"soft\">Nothing was refused.</p>\n".to_owned()
    } else {
        format!("<div class=\"bars\">\n{bars}</div>\n")
    };
    format!("<section>\n<h2>Refused, by reason</h2>\n{bars}</section>\n")
}

fn waiting(status: &Status) -> String {
    let queues = &status.queues;
    let rows = [
        ("emissions under way", queues.emissions as u64),
        ("pulls under way", queues.pulls as u64),
        ("frames for the transport", queues.outputs as u64),
        ("changes for the store", queues.commits as u64),
        ("packets from the future", queues.parked as u64),
        ("commits that failed", status.store.commits_failed + status.store.commits_full),
        ("sends that failed", status.counts.sends_failed),
    ];
    figures("What waits, and what failed", rows.into_iter())
}

fn transport(status: &Status) -> String {
    let transport = &status.transport;
    let all = transport.gauges.iter().chain(&transport.counts);
    figures(&format!("Transport: {}", transport.kind), all.map(|(&name, &value)| (name, value)))
}

fn figures<'a>(title: &str, rows: impl Iterator<Item = (&'a str, u64)>) -> String {
    let row = |(name, value): (&str, u64)| {
        format!("<dt>{}</dt><dd>{}</dd>\n", escape(&name.replace('_', " ")), grouped(value))
    };
    let rows: String = rows.map(row).collect();
    let list = if rows.is_empty() {
        "<p class=\"soft\">Nothing to tell.</p>\n".to_owned()
    } else {
        format!("<dl>\n{rows}</dl>\n")
    };
    format!("<section>\n<h2>{}</h2>\n{list}</section>\n", escape(title))
}

/// A name, a bar that is filled to a share, and a number. Name and number are escaped already.
fn bar(class: &str, name: &str, filled: f64, number: &str) -> String {
    let width = if filled.is_finite() { 100.0 * filled.clamp(0.0, 1.0) } else { 0.0 };
    format!(
        "<span>{name}</span><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{number}\">\
         <rect class=\"track\" width=\"100\" height=\"10\"/><rect class=\"{class}\" width=\"{width:.1}\" height=\"10\"/></svg>\
         <span class=\"number\">{number}</span>\n"
    )
}

/// The beginning of a long name of digits, with the whole as its title.
fn short(digits: &str) -> String {
    let shown: String = digits.chars().take(SHOWN_DIGITS).collect();
    format!("<code title=\"{}\">{}</code>", escape(digits), escape(&shown))
}

fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0}", 100.0 * share) } else { "\u{2013}".to_owned() }
}

/// Seconds in the largest unit of which there is one.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn date(seconds: u64) -> String {
    utc::date(seconds).unwrap_or_else(|| "a time to come".to_owned())
}

/// With a narrow space between thousands, at which no line ends.
fn grouped(count: impl Display) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::status::StoreStatus;
    use crate::node::watch::Share;

    const EVIL: &str = "<script>alert(\"x\")</script>&'";

    /// A node of which everything that comes from outside is hostile.
    fn status() -> Status {
        let evil = || EVIL.to_owned();
        let share = |weight| Share { author: evil(), weight, standing: evil() };
        let contributions = vec![share(0.7), share(0.3), share(0.0), share(f64::NAN)];
        let synthesis = LastSynthesis {
            time: 5,
            count: 12_345,
            origins: 2,
            peer_weight: Some(0.25),
            abstained: Some(evil()),
            samples: 4,
            contributions,
        };
        let recent = |kind, delivered| Recent {
            time: 7,
            kind,
            domain: evil(),
            packet: evil(),
            author: Some(evil()),
            delivered,
        };
        let space = SpaceStatus {
            space: evil(),
            domain: Some(evil()),
            near: 1,
            diverse: 2,
            random: 3,
            joining: true,
        };
        Status {
            version: "1",
            author: evil(),
            name: evil(),
            network: evil(),
            address: evil(),
            time: 1_800_000_000,
            uptime_seconds: 100_000,
            not_ready: vec![evil()],
            counts: Default::default(),
            refused: [("forged", 1000), ("expired", 1)].into(),
            queues: Default::default(),
            store: StoreStatus { path: Some(evil()), ..Default::default() },
            overlay: Some(OverlayStatus {
                spaces: vec![space],
                requests: 1,
                answered: 1,
                lookups: 2,
                lookup_requests: 44,
                lookup_rounds: 10,
                dead: 0,
                expired: 0,
                sends_failed: 0,
                state_bytes: 0,
                refused: [(evil(), 1)].into(),
            }),
            transport: Default::default(),
            domains: vec![DomainStatus {
                tag: evil(),
                about: evil(),
                standing: 3,
                synthesis: Some(synthesis),
            }],
            recent: vec![
                recent(Kind::Applied, None),
                recent(Kind::Retracted, None),
                recent(Kind::Emitted, Some((1, 2))),
            ],
        }
    }

    /// Every tag is closed in its turn, and no text has a bare `<` or `&`.
    fn check(page: &str) {
        let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        let mut open: Vec<&str> = Vec::new();
        let mut rest = body;
        while let Some(at) = rest.find('<') {
            for entity in rest[..at].split('&').skip(1) {
                let name = entity.split_once(';').unwrap_or_else(|| panic!("a bare & in {entity}")).0;
                assert!(["amp", "lt", "gt", "quot"].contains(&name), "{name}");
            }
            let end = at + rest[at..].find('>').unwrap();
            let tag = &rest[at + 1..end];
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split_ascii_whitespace().next().unwrap());
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn whatever_comes_from_outside_is_escaped() {
        let page = page(&status());
        check(&page);
        assert!(!page.contains("<script") && !page.contains("alert(\""), "{page}");
        // Tag, author of each share, standing, domain, packets, name, and so on.
        assert!(page.matches("&lt;script&gt;").count() > 20);
        for text in ["12\u{202f}345", "1\u{202f}000", "70 %", "22 requests", "27 h", "2027-01-15T08:00:00Z"] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("NaN"));
        // Nothing is asked of elsewhere.
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("src="));
    }

    #[test]
    fn a_node_that_did_nothing_yet_has_no_empty_drawing() {
        let mut status = status();
        status.not_ready.clear();
        status.refused.clear();
        status.recent.clear();
        status.domains[0].synthesis = None;
        status.overlay = None;
        let page = page(&status);
        check(&page);
        assert!(!page.contains("<svg") && !page.contains("<table"));
        for text in ["Ready", "No synthesis yet", "None yet", "Nothing was refused"] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn times_have_one_unit() {
        assert_eq!([0, 119, 120, 7200, 172_800].map(span), ["0 s", "119 s", "2 min", "2 h", "2 days"]);
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
    }
}
