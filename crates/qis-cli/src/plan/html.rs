//! The report as a page that needs nothing else: for those who decide.

use super::charts;
use super::measure::BySize;
use super::report::{Report, Setting};
use super::svg::figure;
use super::verdict::Worth;
use crate::html::escape;
use crate::words::plural;

const STYLE: &str = include_str!("report.css");

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let Setting { file, .. } = &report.setting;
    let verdict = &report.verdict;
    let (class, word) = match verdict.worth {
        Worth::Yes => ("yes", "Yes"),
        Worth::Unsure => ("unsure", "Not reliably"),
        Worth::No => ("no", "No"),
    };
    let last = report.by_n.last();
    let sections = [
        figures(report),
        last.map_or_else(String::new, |last| drawings(report, last)),
        table(report),
        left_out(report),
        method(report),
        caveats(report),
    ];
    let stress = report.setting.stress().map_or_else(String::new, |stress| {
        format!("<p class=\"stress\"><strong>A stress test:</strong> {}.</p>\n", escape(&stress))
    });
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Would these sites gain by learning from each other? {file}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <p class=\"over\">{file}</p>\n<h1>Would these sites gain by learning from each other?</h1>\n\
         <section class=\"verdict {class}\">\n<p class=\"word\">{word}</p>\n<div><p class=\"head\">{}</p>\n<p>{}</p></div>\n</section>\n{stress}{}\
         </main>\n</body>\n</html>\n",
        escape(&verdict.head),
        escape(&verdict.reasons),
        sections.concat(),
        file = escape(file),
    );
    // A number and its sign stay on one line.
    page.replace(" %", "\u{a0}%")
}

/// The few figures that matter most.
fn figures(report: &Report) -> String {
    let Setting { per_site, .. } = report.setting;
    let enough = report.n_min.map_or_else(|| "\u{2013}".to_owned(), |n| n.to_string());
    let most = report
        .curve
        .filter(|curve| curve.g > 0.0)
        .map_or_else(|| "\u{2013}".to_owned(), |curve| format!("{} %", figure(curve.g)));
    let half = report
        .curve
        .filter(|curve| curve.g > 0.0)
        .map_or_else(|| "\u{2013}".to_owned(), |curve| figure(libm::round(curve.h + 1.0).max(2.0)));
    let cards = [
        (enough, "sites from which on 95 % of consortia gain"),
        (most, "fall in error that the curve approaches, however many sites"),
        (half, "sites at which half of that is reached"),
        (per_site.to_string(), "records that each site learned from"),
        (format!("{} bytes", report.max_packet_bytes), "is all that a site sends, at most"),
    ];
    let cards = cards.map(|(number, what)| format!("<div><b>{number}</b><span>{what}</span></div>\n"));
    format!("<section class=\"cards\">\n{}</section>\n", cards.concat())
}

fn drawings(report: &Report, last: &BySize) -> String {
    let figure_of = |title: &str, drawing: String, caption: String| {
        format!("<figure>\n<h2>{title}</h2>\n{drawing}<figcaption>{caption}</figcaption>\n</figure>\n")
    };
    let n = last.n;
    let fitted = if report.curve.is_some() {
        " The line is the fitted curve, from no gain alone to a limit."
    } else {
        ""
    };
    let gain = figure_of(
        "The gain, by the number of sites",
        charts::gain(&report.by_n, report.curve),
        format!("Discs: mean over consortia, with the 95 % interval of the mean.{fitted}"),
    );
    let shares = figure_of(
        "How sure it is to gain",
        charts::shares(&report.by_n),
        "<i class=\"key consortia\"></i> share of consortia whose mean error falls, \
         <i class=\"key sites\"></i> share of single sites whose error falls. Dashed: 95 %."
            .to_owned(),
    );
    let (half, twentieth) = (last.ratio_of(0.5), last.ratio_of(0.95));
    let sites = figure_of(
        &format!("Who gains and who loses, among {n} sites"),
        charts::sites(last),
        format!(
            "Each site of each draw. Half of them have at most {} times the error they had alone, one in twenty has {} times or more, and the \
             worst has {} times.",
            times(half),
            times(twentieth),
            times(last.worst_site_ratio),
        ),
    );
    let comparison = figure_of(
        &format!("Beside other ways, among {n} sites"),
        charts::comparison(last),
        "FedAvg at convergence is one model of all rows together, which nobody may have. The article\u{2019}s rule mixes .7 of what a site believes with .3 \
         of what similar sites believe, each round."
            .to_owned(),
    );
    format!("<section class=\"drawings\">\n{gain}{shares}{sites}{comparison}</section>\n")
}

fn table(report: &Report) -> String {
    let row = |size: &BySize| {
        let interval = size.gain_ci.map_or_else(
            || "\u{2013}".to_owned(),
            |[low, high]| format!("{} to {}", figure(low), figure(high)),
        );
        let cells = [
            size.n.to_string(),
            figure(size.gain_pct),
            interval,
            format!("{:.0} %", 100.0 * size.share_consortia_gain),
            format!("{:.0} %", 100.0 * size.share_sites_gain),
            times(size.worst_site_ratio),
            figure(size.fedavg_gain_pct),
            figure(size.article_1_gain_pct),
            figure(size.article_10_gain_pct),
        ];
        format!("<tr>{}</tr>\n", cells.map(|cell| format!("<td>{cell}</td>")).concat())
    };
    let rows: String = report.by_n.iter().map(row).collect();
    let heads = [
        "sites",
        "gain, %",
        "95 % interval",
        "consortia that gain",
        "sites that gain",
        "worst site, times its error alone",
        "FedAvg, %",
        "article, 1 round, %",
        "article, 10 rounds, %",
    ];
    let heads = heads.map(|head| format!("<th>{head}</th>")).concat();
    format!(
        "<section>\n<h2>The figures</h2>\n<div class=\"wide\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n\
         </section>\n"
    )
}

fn left_out(report: &Report) -> String {
    let parts = report.left_out();
    let list: String = parts.iter().map(|part| format!("<li>{}</li>\n", escape(part))).collect();
    let list = if parts.is_empty() {
        "<p>Nothing: all rows and all sites take part.</p>\n".to_owned()
    } else {
        format!("<ul>\n{list}</ul>\n")
    };
    format!("<section>\n<h2>What was left out</h2>\n{list}</section>\n")
}

fn method(report: &Report) -> String {
    let Setting {
        site,
        target,
        event,
        positive,
        family,
        feature_names,
        per_site,
        draws,
        seed,
        publish_from_records,
        ..
    } = &report.setting;
    let until = event.as_ref().map_or_else(String::new, |event| format!(" until <q>{}</q>", escape(event)));
    let positive =
        positive.as_ref().map_or_else(String::new, |value| format!(" being <q>{}</q>", escape(value)));
    let error = match *family {
        "Cox" => "the negative log partial likelihood that rows add to that of the rows learned from",
        "logistic" => "the negative logarithm of the probability given to what was the case",
        _ => "the squared difference, in variances of the target",
    };
    let names: Vec<String> = feature_names.iter().map(|name| format!("<q>{}</q>", escape(name))).collect();
    format!(
        "<section>\n<h2>How it was measured</h2>\n\
         <p>{} of {} (<q>{}</q>) take part. <q>{}</q>{until}{positive} is predicted by {family} regression on {}: {}.</p>\n\
         <p>For each size, {draws} consortia of random sites were drawn. In each, every site learned from {per_site} of its rows, and was judged on its \
         other rows. A site\u{2019}s rows became a summary, the summary a signed packet, and the packets went to the 20 most similar sites and to 20 others, \
         which verified, read and weighed them. Every figure of the method comes out of such packets. Sites publish from {} on here; nodes ask for 20 by \
         default, since the summary of one record is that record.</p>\n\
         <p>The error is {error}. The gain is by how much the mean error over sites is smaller than that of the stronger of two models that each site can \
         make alone: ridge regression whose strength is cross-validated, and ridge regressions averaged by their evidence. Seed {seed}; \
         {:.0} seconds.</p>\n</section>\n",
        plural(report.rows as u64, "row"),
        plural(report.sites as u64, "site"),
        escape(site),
        escape(target),
        plural(report.features as u64, "feature"),
        names.join(", "),
        plural(*publish_from_records as u64, "record"),
        report.seconds,
    )
}

fn caveats(report: &Report) -> String {
    let Setting { per_site, min_rows, .. } = report.setting;
    let largest = report.by_n.last().map_or(0, |size| size.n);
    let alike = if largest * 2 > report.sites {
        format!(
            "<li>There are {} only: consortia of {largest} share most of their sites, so the intervals tell of the luck of the sample, not of other sites.</li>\n",
            plural(report.sites as u64, "site")
        )
    } else {
        String::new()
    };
    format!(
        "<section>\n<h2>What this does not say</h2>\n<ul>\n\
         <li>It is about these sites and these columns. Other sites may be less alike, and a better choice of columns makes a site stronger alone.</li>\n\
         <li>The gain depends on how much a site has: with more than {per_site} records each, there is less to gain. Try <code>--per-site</code> with what your sites really \
         have.</li>\n\
         <li>The gain levels off. It does not grow with the number of pairs of sites, whatever is said of networks.</li>\n\
         <li>A mean gain is not everybody\u{2019}s. A site with few records cannot show that it is different, and is then drawn towards the others. The worst site is \
         judged by as few as {} here, so its figure is a matter of luck too.</li>\n{alike}\
         <li>Mean and spread of the columns were taken from all rows that take part, and counted as published. A real consortium has to agree on them.</li>\n\
         <li>It assumes that sites measure the same things in the same way, and tell the truth; <code>--liars</code> tries what happens if they do not.</li>\n\
         </ul>\n</section>\n",
        plural(min_rows as u64, "record"),
    )
}

fn times(ratio: f64) -> String {
    if ratio >= 9.95 { figure(ratio) } else { format!("{ratio:.2}") }
}
