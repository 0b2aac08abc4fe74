//! `qis load` as it is run.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn qis(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qis")).arg("load").args(args).output().unwrap()
}

fn report(args: &[&str]) -> Value {
    let output = qis(&[&["--seconds", "1", "--authors", "20", "--json"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("{key}: {report}"))
}

/// A path of a test's own in the folder that cargo gives integration tests.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn every_packet_that_is_due_is_kept_when_the_node_has_time() {
    let report = report(&["--rate", "100", "--burst", "10"]);
    assert_eq!(count(&report, "due"), 100);
    assert!(count(&report, "kept") == count(&report, "packets"), "{report}");
    // A machine that stands still for the last of the second loses what was due then.
    assert!(count(&report, "kept") >= 10, "{report}");
    assert_eq!(report["refused"], serde_json::json!({}));
    assert_eq!(report["samples"].as_array().unwrap().len(), 1);
    let latency = &report["latency_us"];
    let [p50, p999, most] = ["p50", "p999", "most"].map(|key| count(latency, key));
    assert!(p50 <= p999 && p999 <= most, "{report}");
}

#[test]
fn strangers_are_refused_for_what_they_send_and_at_the_rate_of_their_address() {
    let report = report(&["--rate", "100", "--overload", "50", "--strangers", "2"]);
    let flood = count(&report, "flood");
    let refused = |why: &str| report["refused"][why].as_u64().unwrap_or(0);
    // Of two addresses 500 frames at once and 50 a second are read.
    assert!(refused("peer rate") > flood / 2, "{report}");
    for why in ["forged", "full", "malformed"] {
        assert!(refused(why) > 0, "{why}: {report}");
    }
    let all: u64 = report["refused"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    let packets = count(&report, "packets") - count(&report, "kept");
    assert_eq!(all + count(&report, "known"), flood + packets, "{report}");
    assert_eq!(packets, 0, "none of the authors is held up: {report}");
}

#[test]
fn a_file_keeps_them_too_and_is_not_written_twice() {
    let (file, out) = (path("load.redb"), path("load"));
    // Of an earlier run of this test.
    let _ = fs::remove_file(&file);
    let (file, out) = (file.to_str().unwrap(), out.to_str().unwrap());
    let report = report(&["--store", file, "--in-flight", "32", "--out", out]);
    assert_eq!(report["store"], "file");
    assert!(count(&report, "kept") > 20, "{report}");
    for picture in report["pictures"].as_array().unwrap() {
        assert!(fs::metadata(picture.as_str().unwrap()).unwrap().len() > 1000, "{picture}");
    }
    let output = qis(&["--store", file]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("exists") && error.lines().count() == 1, "{error}");
}

#[test]
fn a_flood_is_a_multiple_of_a_rate() {
    for args in [&["--overload", "10"][..], &["--burst", "10"], &["--rate", "10", "--in-flight", "5"]] {
        assert_eq!(qis(args).status.code(), Some(2), "{args:?}");
    }
}
