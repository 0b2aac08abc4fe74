//! `qis simulate` as it is run.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn qis(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qis")).arg("simulate").args(args).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = qis(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_report_counts_seeds_faults_and_packets() {
    let report = json(&["--seeds", "2", "--seed-base", "5", "--nodes", "3..4", "--twice", "--json"]);
    assert_eq!((&report["seeds"], &report["failed"]), (&2.into(), &0.into()));
    assert!(report["packets_applied"].as_u64().unwrap() > 0, "{report}");
    assert!(report["simulated_hours"].as_f64().unwrap() > 0.1 && report["seconds"].as_f64().unwrap() > 0.0);
    assert!(!report["faults_injected"].as_object().unwrap().is_empty());
}

#[test]
fn a_trace_is_the_same_each_time() {
    let path = std::env::temp_dir().join(format!("qis-trace-{}", std::process::id()));
    let trace = || {
        json(&["--seed", "5", "--nodes", "3", "--trace", path.to_str().unwrap(), "--json"]);
        fs::read(&path).unwrap()
    };
    let first = trace();
    assert!(first == trace() && first.starts_with(b"0."));
    fs::remove_file(&path).unwrap();
}

#[test]
fn what_is_wrong_is_one_line() {
    for (args, expected) in [
        (&["--nodes", "1"][..], "not a number from 2 to 200"),
        (&["--without", "rain"], "\"rain\" is no kind of fault"),
        (&["--trace", "x"], "--seed <SEED>"),
        (&["--seed", "1", "--twice"], "cannot be used with"),
    ] {
        let output = qis(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{error}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{args:?}: {error}");
    }
}
