//! Whole nodes in virtual time.

use qis_sim::simulate::{FaultKind, Settings, simulate, simulate_traced};

fn settings(seed: u64) -> Settings {
    Settings { nodes: 4..=6, ..Settings::new(seed) }
}

#[test]
fn what_is_promised_holds_while_everything_goes_wrong() {
    for seed in 0..4 {
        let report = simulate(&settings(seed));
        assert_eq!(report.violation, None, "seed {seed}");
        assert!((4..=6).contains(&report.nodes) && report.applied > 0 && report.periods <= 10);
        assert!(!report.faults.is_empty());
    }
}

#[test]
fn the_same_settings_give_the_same_run_to_the_byte() {
    let (report, lines) = simulate_traced(&settings(7));
    let (again, same) = simulate_traced(&settings(7));
    assert!(lines == same, "the traces differ");
    assert_eq!((report.digest, report.happenings), (again.digest, again.happenings));
    assert_eq!(lines.lines().count() as u64, report.happenings);
    assert_eq!(simulate(&settings(7)).digest, report.digest, "lines are kept or not");
    assert_ne!(simulate(&settings(8)).digest, report.digest);
}

#[test]
fn kinds_of_faults_that_are_left_out_do_not_happen() {
    let without = FaultKind::ALL.iter().copied().collect();
    let report = simulate(&Settings { without, ..settings(3) });
    assert_eq!((report.violation, report.faults.len()), (None, 0));
}

/// Seeds that found something, with the numbers of sites that they found it with.
#[test]
fn what_was_found_once_is_not_there_any_more() {
    for (seed, nodes) in [
        // Neighbours that had asked were forgotten before there was room to ask them, and nobody was looked up in their place.
        (222, 26),
        // A clock was ahead by more than a day; then the store was lost, and what the site said after that was older than what its peers held.
        (598, 2),
    ] {
        let report = simulate(&Settings { nodes: nodes..=nodes, ..Settings::new(seed) });
        assert_eq!(report.violation, None, "seed {seed}");
    }
}
