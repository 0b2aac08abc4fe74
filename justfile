# Recipes for work on QIS; `just` lists them.

[private]
default:
    @just --list

# All checks, as CI runs them. Writes to no file of the repository.
verify:
    bash .ci/run

# All tests, doc tests included.
test:
    cargo test --workspace

# Every fuzz target for so many seconds; wants a nightly toolchain.
fuzz SECONDS="60" *TARGETS:
    fuzz/run {{ SECONDS }} {{ TARGETS }}

# Kills `qis node` processes at random and judges what they leave behind; see tests/cluster/README.md.
chaos *ARGS:
    cargo build --release -p qis-cli -p cluster-tests --features qis-cli/node
    "${CARGO_TARGET_DIR:-target}/release/chaos" {{ ARGS }}

# The threads of a node in many orders of their steps.
threads:
    RUSTFLAGS="--cfg shuttle" CARGO_TARGET_DIR=target/shuttle cargo test -p qis --test threads

# The no_std crates' unit tests under AddressSanitizer, and as a big-endian machine in Miri; wants a nightly toolchain with Miri.
memory:
    ci/sanitizers address
    ci/sanitizers miri

# What a node keeps a second, and what a flood does to that; `just load --rate 10000 --seconds 600 --out out`.
load *ARGS:
    cargo run --release -p qis-cli -- load {{ ARGS }}

# All benches, with criterion's comparison to the last run.
bench *ARGS:
    cargo bench --workspace {{ ARGS }}

# The documentation of the crates, warnings denied.
docs *ARGS:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features {{ ARGS }}

# The no_std crates against a library that has its own panic handler.
no-std:
    cargo build --manifest-path ci/no-std/Cargo.toml

# Formats everything; the one recipe that writes.
fmt:
    cargo fmt --all
    cargo fmt --manifest-path fuzz/libfuzzer/Cargo.toml
    cargo fmt --manifest-path ci/no-std/Cargo.toml

# The tools below compile from source for minutes each, so they are no part of `verify`. Install one with
# `cargo install --locked NAME`.

# Run it before a release and when dependencies change.
#
# cargo-deny: known vulnerabilities, doubled versions and odd sources among the dependencies.
deny:
    cargo deny --all-features check advisories bans sources

# Run it before a release; it needs a published one to compare with.
#
# cargo-semver-checks: whether the public API breaks what the last release promised.
semver-checks:
    cargo semver-checks --workspace --exclude examples --exclude benches

# For finding untested branches, not for a number to reach.
#
# cargo-llvm-cov: which lines no test runs.
llvm-cov:
    cargo llvm-cov --workspace --html
