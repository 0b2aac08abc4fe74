//! `qis attack` as it is run.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;

fn qis(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qis")).arg("attack").args(args).output().unwrap()
}

fn text(args: &[&str]) -> String {
    let output = qis(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const SHORT: [&str; 4] = ["--seeds", "2", "--rounds", "1"];

#[test]
fn a_report_has_its_keys_and_repeats() {
    let args = [&SHORT[..], &["--rule", "weighted-mean", "--attack", "scale", "--fraction", "0.2", "--json"]];
    let first = text(&args.concat());
    assert_eq!(first, text(&args.concat()));
    let report: Value = serde_json::from_str(&first).unwrap();
    let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["accuracy", "attack", "clean_accuracy", "fraction", "rule", "share_of_clean"];
    assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), expected.into());
    let number = |key: &str| report[key].as_f64().unwrap();
    assert_eq!((&report["rule"], &report["attack"]), (&"weighted-mean".into(), &"scale".into()));
    assert_eq!(number("fraction"), 0.2);
    assert!((number("share_of_clean") - number("accuracy") / number("clean_accuracy")).abs() < 1e-12);
    assert!(number("share_of_clean") < 0.6, "{report}");
}

#[test]
fn nobody_who_lies_leaves_the_weighted_mean_as_it_is() {
    let args = [&SHORT[..], &["--rule", "weighted-mean", "--fraction", "0", "--json"]].concat();
    let report: Value = serde_json::from_str(&text(&args)).unwrap();
    assert_eq!(report["share_of_clean"], 1.0);
    let told = text(&[&SHORT[..], &["--rule", "hostile", "--attack", "mimic"]].concat());
    assert!(told.starts_with("hostile, 20 % of the peers lie by mimic\n"), "{told}");
}

#[test]
fn what_is_wrong_is_one_line() {
    for (args, expected) in [
        (&["--rule", "mean"][..], "invalid value 'mean' for '--rule <RULE>'"),
        (&["--attack", "bribe"], "invalid value 'bribe' for '--attack <ATTACK>'"),
        (&["--fraction", "0.6"], "not a share from 0 to 0.5"),
        (&["--fraction", "NaN"], "not a share from 0 to 0.5"),
        (&["--jitter", "11"], "not a share from 0 to 10"),
        (&["--seeds", "0"], "0 is not in 1..=1000"),
        (&["--table", "--rule", "krum"], "cannot be used with"),
    ] {
        let output = qis(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{error}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{args:?}: {error}");
    }
}
