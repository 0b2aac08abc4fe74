//! `qis route` as it is run.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn qis(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qis")).arg("route").args(args).output().unwrap()
}

fn report(args: &[&str]) -> Value {
    let output = qis(&[args, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(args: &[&str]) -> String {
    let output = qis(args);
    assert_eq!(output.stdout, b"");
    String::from_utf8(output.stderr).unwrap()
}

/// A path of a test's own in the folder that cargo gives integration tests.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Rows of signed bytes, no two alike.
fn rows(name: &str, rows: u32, dims: u32) -> PathBuf {
    let path = path(name);
    let code = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8;
    fs::write(&path, (0..rows * dims).map(code).collect::<Vec<u8>>()).unwrap();
    path
}

const SMALL: [&str; 6] = ["--dims", "16", "--queries", "5", "--packets", "5"];

#[test]
fn every_query_of_a_file_gets_the_rows_that_are_nearest() {
    let (file, dump) = (rows("rows.i8", 45, 16), path("found.csv"));
    let (file, dump) = (file.to_str().unwrap(), dump.to_str().unwrap());
    let args = [&SMALL[..], &["--nodes", "40", "--vectors", file, "--dump", dump]].concat();
    let report = report(&args);
    assert_eq!((&report["vectors"], &report["build"]), (&"file".into(), &"join".into()));
    assert_eq!(report["recall_at_20"], 1.0, "{report}");
    for key in ["join_messages_mean", "join_bytes_mean", "load_skew", "delivery_skew", "rpcs_mean"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}: {report}");
    }
    let found = fs::read_to_string(dump).unwrap();
    let queries: Vec<Vec<u32>> =
        found.lines().map(|line| line.split(',').map(|row| row.parse().unwrap()).collect()).collect();
    assert_eq!(queries.iter().map(|query| query[0]).collect::<Vec<_>>(), [40, 41, 42, 43, 44]);
    assert!(queries.iter().all(|query| query.len() == 21 && query[1..].iter().all(|&row| row < 40)));
}

#[test]
fn more_nodes_than_rows_are_said_to_be_made_up() {
    let file = rows("few.i8", 15, 16);
    let args = [&SMALL[..], &["--nodes", "30", "--vectors", file.to_str().unwrap(), "--build", "snapshot"]];
    let report = report(&args.concat());
    assert_eq!((&report["vectors"], &report["build"]), (&"jittered".into(), &"snapshot".into()));
    assert_eq!(report["nodes"], 30);
}

#[test]
fn networks_of_one_two_and_three_nodes_are_measured() {
    for (nodes, found) in [("1", 0.0), ("2", 1.0), ("3", 1.0)] {
        assert_eq!(report(&[&SMALL[..], &["--nodes", nodes]].concat())["recall_at_20"], found, "{nodes}");
    }
}

#[test]
fn a_cold_start_reports_its_rounds() {
    let report = report(&[&SMALL[..], &["--nodes", "30", "--cold-start", "4"]].concat());
    assert_eq!(report["cold_rounds"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(report["build"], "cold");
}

#[test]
fn what_is_wrong_is_one_line() {
    let uneven = rows("uneven.i8", 3, 7);
    let uneven = uneven.to_str().unwrap();
    for (args, expected) in [
        (&["--vectors", uneven, "--dims", "16"][..], "21 bytes are not rows of 16"),
        (&["--vectors", uneven, "--dims", "7", "--queries", "3"], "holds 3 vectors, at least 4 are needed"),
        (&["--vectors", "no such file"], "no such file"),
        (&["--crash", "1.5"], "not a share from 0 to 0.99"),
        (&["--table", "--nodes", "5"], "--table needs --nodes of at least 10"),
    ] {
        let error = refused(args);
        assert!(error.contains(expected) && error.lines().count() == 1, "{args:?}: {error}");
    }
}

#[test]
fn an_attacker_of_one_organisation_gets_its_two_places() {
    let args = [&SMALL[..], &["--nodes", "60", "--sybils", "20", "--organisations", "1"]].concat();
    let siege = report(&args)["siege"].take();
    assert_eq!((&siege["situations"], &siege["selection"]), (&1.into(), &"hostile".into()));
    assert!(siege["captured_slots"].as_f64().unwrap() < 0.06, "{siege}");
    assert!(siege["honest_delivery"].as_f64().unwrap() > 0.98, "{siege}");
    assert!(refused(&["--organisations", "1"]).contains("--sybils"));
}
