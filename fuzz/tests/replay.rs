//! What the fuzz targets were once given: seeds, and what they found worth keeping.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use qis_fuzz::{TARGETS, Target};

/// The entries of a folder of this package, in the order of their names.
fn entries(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_target_takes_its_seeds_and_corpus() {
    for Target(name, run) in TARGETS {
        for folder in ["seeds", "corpus"] {
            let inputs = entries(&format!("{folder}/{name}"));
            assert!(!inputs.is_empty(), "{name} has none in {folder}");
            for input in inputs {
                let bytes = fs::read(&input).unwrap();
                // Told when it panics, so that it is known by which.
                println!("{}", input.display());
                run(&bytes);
            }
        }
    }
}

#[test]
fn every_target_has_a_program_and_every_folder_a_target() {
    let names: Vec<&str> = TARGETS.iter().map(|Target(name, _)| *name).collect();
    for folder in ["seeds", "corpus", "libfuzzer/src/bin"] {
        let found = entries(folder);
        let found: Vec<&str> = found.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
        assert_eq!(found, names, "{folder}");
    }
}
