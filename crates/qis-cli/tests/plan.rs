//! `qis plan` as it is run.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn qis(file: &PathBuf, args: &[&str]) -> Output {
    let target = if args.contains(&"--time") { &[][..] } else { &["--target", "y"] };
    let fixed = [&["--site", "site"], target].concat();
    Command::new(env!("CARGO_BIN_EXE_qis")).arg("plan").arg(file).args(fixed).args(args).output().unwrap()
}

fn report(file: &PathBuf, args: &[&str]) -> Value {
    let output = qis(file, &[args, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A file of a test's own in the folder that cargo gives integration tests.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Numbers that look random, about -1.7 to 1.7 with variance 1.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (f64::from((self.0 >> 33) as u32) / f64::from(1_u32 << 31) - 0.5) * 12.0_f64.sqrt()
    }
}

/// Rows of some sites, whose slopes are these plus `unlike` times a number of the site's own.
fn table(sites: u32, rows: u32, unlike: f64, noise: f64, labels: bool) -> String {
    let mut numbers = Numbers(5);
    let mut text = "site,y,dose,ward,weight\n".to_owned();
    for site in 0..sites {
        let [dose, ward, weight] = [1.0, 0.8, -0.7].map(|slope| slope + unlike * numbers.next());
        for row in 0..rows {
            let (a, b, c) = (numbers.next(), row % 2, numbers.next());
            let y = dose * a + ward * f64::from(b) + weight * c + noise * numbers.next();
            let y = if labels { f64::from(u8::from(y > 0.4)) } else { y };
            let _ = writeln!(text, "s{site},{y},{a},{},{c}", if b == 0 { "north" } else { "south" });
        }
    }
    text
}

fn worth_joining(labels: bool, draws: &str) -> Value {
    let file = file(&format!("alike-{labels}.csv"), &table(9, 40, 0.0, 0.9, labels));
    let report = report(&file, &["--per-site", "6", "--sizes", "2,5,60", "--draws", draws]);
    let counts = ["rows", "sites", "features"].map(|key| report[key].as_u64().unwrap());
    assert_eq!(counts, [360, 9, 3]);
    let by_n = report["by_n"].as_array().unwrap();
    assert_eq!(by_n.iter().map(|size| size["n"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 5]);
    let five = &by_n[1];
    assert!(five["gain_pct"].as_f64().unwrap() > 5.0, "{report}");
    assert_eq!(five["share_consortia_gain"], 1.0, "{report}");
    assert!(report["n_min"].as_u64().unwrap() <= 5, "{report}");
    for key in [
        "share_sites_gain",
        "worst_site_ratio",
        "fedavg_gain_pct",
        "article_1_gain_pct",
        "article_10_gain_pct",
    ] {
        assert!(five[key].is_f64(), "{key}: {report}");
    }
    assert!(report["verdict"].as_str().unwrap().starts_with("Worth joining"), "{report}");
    assert_eq!(report["sizes_left_out"][0], 60);
    assert_eq!(report["setting"]["publish_from_records"], 1);
    assert!(report["max_packet_bytes"].as_u64().unwrap() <= 512);
    report
}

#[test]
fn a_consortium_of_sites_that_are_alike_is_worth_joining() {
    let report = worth_joining(false, "4");
    let [low, high] = [0, 1].map(|end| report["by_n"][1]["gain_ci"][end].as_f64().unwrap());
    let gain = report["by_n"][1]["gain_pct"].as_f64().unwrap();
    assert!(0.0 < low && low < gain && gain < high, "{report}");
    assert!(report["curve"]["g"].as_f64().unwrap() > 5.0 && report["curve"]["h"].is_f64(), "{report}");
}

#[test]
fn so_is_one_with_labels_of_which_one_draw_has_no_interval() {
    let report = worth_joining(true, "1");
    assert_eq!(report["setting"]["family"], "logistic");
    assert_eq!(report["by_n"][1]["gain_ci"], Value::Null);
}

#[test]
fn a_consortium_of_sites_that_have_nothing_in_common_is_not() {
    let file = file("unlike.csv", &table(9, 30, 4.0, 0.3, false));
    let report = report(&file, &["--per-site", "14", "--sizes", "5", "--draws", "3"]);
    assert!(report["verdict"].as_str().unwrap().starts_with("Not worth it."), "{report}");
    // And averaging would have been a disaster.
    let five = &report["by_n"][0];
    assert!(five["gain_pct"].as_f64().unwrap() > -10.0, "{report}");
    assert!(five["fedavg_gain_pct"].as_f64().unwrap() < -200.0, "{report}");
}

#[test]
fn survival_is_planned_too() {
    // The log of the time is the outcome, turned around; every fifth is cut off.
    let linear = table(6, 30, 0.0, 0.9, false);
    let mut text = "site,months,died,dose,ward,weight\n".to_owned();
    for (at, line) in linear.lines().skip(1).enumerate() {
        let (site, rest) = line.split_once(',').unwrap();
        let (y, features) = rest.split_once(',').unwrap();
        let months = (-y.parse::<f64>().unwrap()).exp();
        let _ = writeln!(text, "{site},{months},{},{features}", if at % 5 == 0 { "no" } else { "yes" });
    }
    let survival = ["--time", "months", "--event", "died"];
    let sizes = ["--per-site", "10", "--sizes", "4", "--draws", "2"];
    let report = report(&file("survival.csv", &text), &[&survival[..], &sizes].concat());
    assert_eq!(
        (&report["setting"]["family"], &report["setting"]["positive"]),
        (&"Cox".into(), &"yes".into())
    );
    assert!(report["by_n"][0]["gain_pct"].as_f64().unwrap() > 2.0, "{report}");
    assert_eq!(report["curve"]["g"], Value::Null);
    let bad = file("negative.csv", &text.replacen("s3,", "s3,-", 1));
    let error = String::from_utf8(qis(&bad, &survival).stderr).unwrap();
    assert!(error.contains("line 92, column \"months\": -") && error.contains("is before zero"), "{error}");
}

#[test]
fn liars_and_opposite_sites_are_told_of() {
    let file = file("stress.csv", &table(8, 12, 0.0, 0.9, false));
    let args = [
        "--per-site",
        "6",
        "--sizes",
        "5",
        "--draws",
        "2",
        "--flip-half",
        "--liars",
        "0.4",
        "--lie",
        "ipm:0.5",
    ];
    let told = report(&file, &args);
    assert!(told["by_n"][0]["neighbour_purity"].as_f64().unwrap() > 0.0, "{told}");
    assert_eq!(told["setting"]["lie"], "-0.5 times the mean of the honest");
    let text = String::from_utf8(qis(&file, &args).stdout).unwrap();
    assert!(
        text.contains("stress: the outcomes of half of the sites turned around, 40 % of the sites lying"),
        "{text}"
    );
}

#[test]
fn the_same_seed_gives_the_same_figures_and_another_seed_others() {
    let file = file("seeds.csv", &table(5, 10, 0.5, 0.9, false));
    let figures = |seed| {
        let report = report(&file, &["--per-site", "4", "--sizes", "3", "--draws", "2", "--seed", seed]);
        report["by_n"].to_string()
    };
    let first = figures("1");
    assert_eq!(first, figures("1"));
    assert_ne!(first, figures("2"));
}

#[test]
fn the_page_holds_all_it_needs() {
    let file = file("page.csv", &table(5, 10, 0.5, 0.9, false).replace("dose", "<dose & co>"));
    let page = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page.html");
    let output =
        qis(&file, &["--per-site", "4", "--sizes", "2,4", "--draws", "2", "--html", page.to_str().unwrap()]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("sites publish from 1 record on")
            && text.contains("left out") == text.contains("rows with a missing"),
        "{text}"
    );
    let page = fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("<svg").count(), 4);
    assert_eq!(page.matches("<figure>").count(), page.matches("</figure>").count());
    assert!(page.contains("&lt;dose &amp; co&gt;") && !page.contains("<dose"));
    for outside in ["src=", "href=", "url(", "@import", "<script", "NaN", "inf"] {
        assert!(!page.replace("http://www.w3.org/2000/svg", "").contains(outside), "{outside}");
    }
}

#[test]
fn what_is_wrong_is_one_line_that_names_the_place() {
    let rows = |header: &str, rows: &[&str]| format!("{header}\n{}\n", rows.join("\n"));
    let small = ["--per-site", "1", "--min-rows", "1"];
    for (name, text, args, expected) in [
        ("ragged", rows("site,y,a", &["p,1,2", "p,1"]), &[][..], "line 3 has 2 fields, the header has 3"),
        (
            "column",
            rows("site,y,a", &["p,1,2"]),
            &["--features", "b"],
            "there is no column \"b\"; the columns are site, y, a",
        ),
        ("no-site", rows("y,a", &["1,2"]), &[], "there is no column \"site\""),
        (
            "class",
            rows("site,y,a", &["p,1,2", "p,1,3", "q,1,3", "q,1,4"]),
            &[],
            "the column \"y\" has one value only, \"1\"",
        ),
        (
            "classes",
            rows("site,y,a", &["p,1,2", "p,2,3", "q,3,3", "q,1,4"]),
            &["--family", "logistic"],
            "\"y\" has 3 different values",
        ),
        (
            "one-site",
            rows("site,y,a", &["p,1,2", "p,2,3"]),
            &[],
            "the column \"site\" names one site only, \"p\"",
        ),
        (
            "few",
            rows("site,y,a", &["p,1,2", "p,2,3", "q,1,1"]),
            &[],
            "1 of 2 sites have the 2 complete rows it takes",
        ),
        (
            "wide",
            rows("site,y,a,b,c,d", &["p,1,2,3,4,6", "p,2,3,5,4,9", "q,3,1,1,2,1", "q,9,2,3,3,5"]),
            &[],
            "4 features are more than 4 rows can tell apart",
        ),
        (
            "nan",
            rows("site,y,a", &["p,1,2", "p,2,NaN", "q,3,3", "q,1,4"]),
            &[],
            "line 3, column \"a\": \"NaN\" is not finite",
        ),
        (
            "nan-y",
            rows("site,y,a", &["p,1,2", "p,nan,1", "q,3,3", "q,1,4"]),
            &[],
            "line 3, column \"y\": \"nan\" is not finite",
        ),
        (
            "inf",
            rows("site,y,a", &["p,1,2", "p,inf,1", "q,3,3", "q,1,4"]),
            &[],
            "line 3, column \"y\": \"inf\" is not finite",
        ),
        (
            "text",
            rows("site,y,a", &["p,1,2", "p,2,3", "q,x,3", "q,1,4"]),
            &[],
            "line 4, column \"y\": \"x\" is not a number",
        ),
        (
            "log",
            rows("site,y,a", &["p,1,2", "p,2,0", "q,3,3", "q,1,4"]),
            &["--features", "log:a"],
            "line 3, column \"log:a\": 0 has no logarithm",
        ),
        (
            "same",
            rows("site,y,a", &["p,1,2", "p,2,2", "q,3,2", "q,1,2"]),
            &[],
            "the column \"a\" is the same in all rows",
        ),
        (
            "twice",
            rows("site,y,a,b", &["p,1,2,4", "p,2,1,2", "q,3,5,10", "q,1,4,8"]),
            &[],
            "the column \"b\" follows from the columns before it",
        ),
        (
            "missing",
            rows("site,y,a", &["p,1,", "p,2,NA", "q,3,?", "q,1,."]),
            &[],
            "no row is complete: the column \"a\" is empty in 4 of 4",
        ),
        ("empty", "site,y,a\n".to_owned(), &[], "there are no rows"),
        (
            "role",
            rows("site,y,a", &["p,1,2"]),
            &["--features", "a,y"],
            "the column \"y\" is both a feature and the target",
        ),
        (
            "sizes",
            rows("site,y,a", &["p,1,2", "p,2,3", "q,3,3", "q,1,4"]),
            &["--sizes", "5"],
            "none of --sizes is possible with 2 sites",
        ),
        (
            "huge",
            rows("site,y,a", &["p,1,1e308", "p,2,-1e308", "q,3,1e308", "q,1,0"]),
            &[],
            "feature `a` cannot be scaled",
        ),
    ] {
        let path = file(&format!("{name}.csv"), &text);
        let output = qis(&path, &[&small[..], args].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{name}: {error}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{name}: {error}");
    }
    let missing = qis(&PathBuf::from("no such file"), &[]);
    assert!(String::from_utf8(missing.stderr).unwrap().contains("no such file"));
    let table = file("arguments.csv", "site,y,a\n");
    for args in
        [&["--sizes", "1"][..], &["--liars", "0.5"], &["--lie", "ipm"], &["--liars", "0.2", "--lie", "x"]]
    {
        assert_eq!(qis(&table, args).status.code(), Some(2), "{args:?}");
    }
}
