//! `qis codec` as it is run.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn qis(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qis")).arg("codec").args(args).output().unwrap()
}

fn report(args: &[&str]) -> Value {
    let output = qis(&[args, &["--json"]].concat());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A path of a test's own in the folder that cargo gives integration tests.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn write(name: &str, values: &[f32]) -> PathBuf {
    let path = path(name);
    fs::write(&path, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    path
}

fn read(path: &PathBuf) -> Vec<f32> {
    fs::read(path).unwrap().as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect()
}

#[test]
fn json_has_every_figure() {
    for source in ["gaussian", "laplace", "student", "sparse", "embedding", "mlp"] {
        let args =
            ["--dims", "16", "--bytes", "12", "--vectors", "3", "--mean-of", "1,4", "--source", source];
        let report = report(&args);
        for key in [
            "nmse",
            "shannon_bound",
            "db_above_bound",
            "cosine",
            "encode_ns",
            "decode_accumulate_ns",
            "cached_accumulate_ns",
            "cached_accumulate_f64_ns",
            "axpy_f64_ns",
        ] {
            assert!(report[key].is_f64(), "{key}: {report}");
        }
        assert_eq!(
            (&report["dims"], &report["bytes"], &report["vectors"]),
            (&16.into(), &12.into(), &3.into())
        );
        assert_eq!(report["source"], source);
        let means = report["n_times_nmse_of_mean"].as_object().unwrap();
        assert_eq!(means.keys().collect::<Vec<_>>(), ["1", "4"]);
        assert!(report["cosine"].as_f64().unwrap() > 0.97, "{report}");
    }
}

#[test]
fn figures_repeat_with_the_seed() {
    let args = |seed| ["--dims", "16", "--bytes", "12", "--vectors", "5", "--mean-of", "1,3", "--seed", seed];
    let figures =
        |seed| ["nmse", "cosine", "n_times_nmse_of_mean"].map(|key| report(&args(seed))[key].clone());
    assert_eq!(figures("1"), figures("1"));
    assert_ne!(figures("1"), figures("2"));
}

#[test]
fn the_vectors_of_a_file_are_decoded_into_another() {
    let values: Vec<f32> = (0..96_u16).map(|i| f32::from(i * 37 % 101) - 50.0).collect();
    let (input, output) = (write("in.f32", &values), path("out.f32"));
    let (from, to) = (input.to_str().unwrap(), output.to_str().unwrap());
    let args = ["--dims", "32", "--bytes", "32", "--mean-of", "1", "--input", from];
    let measured = report(&[&args[..], &["--output", to]].concat());
    assert_eq!((&measured["vectors"], &measured["source"]), (&3.into(), &"input".into()));
    let decoded = read(&output);
    assert_eq!(decoded.len(), 96);
    let errors = decoded.chunks(32).zip(values.chunks(32)).map(|(decoded, values)| {
        let error: f32 = decoded.iter().zip(values).map(|(y, x)| (y - x) * (y - x)).sum();
        error / values.iter().map(|x| x * x).sum::<f32>()
    });
    let nmse = f64::from(errors.sum::<f32>()) / 3.0;
    assert!((nmse / measured["nmse"].as_f64().unwrap() - 1.0).abs() < 1e-3, "{nmse} {measured}");

    // Enough bytes: as they are. Consecutive differences are one fewer.
    let raw = ["--dims", "32", "--bytes", "128", "--mean-of", "1", "--input", from, "--output", to];
    let measured = report(&raw);
    assert_eq!(read(&output), values);
    assert_eq!((&measured["nmse"], &measured["db_above_bound"]), (&0.0.into(), &Value::Null));
    let measured = report(&[&raw[..], &["--source", "embedding"]].concat());
    assert_eq!(measured["vectors"], 2);
    assert_eq!(read(&output)[0], values[32] - values[0]);
}

#[test]
fn bad_files_and_bad_arguments_have_their_exit_codes() {
    let odd = write("odd.f32", &[1.0; 33]);
    let nan = write("nan.f32", &[f32::NAN; 32]);
    let (odd, nan) = (odd.to_str().unwrap(), nan.to_str().unwrap());
    let empty = write("empty.f32", &[]);
    for (args, code, expected) in [
        (&["--dims", "32", "--input", odd][..], 1, "has 132 bytes, no multiple of the 128"),
        (
            &["--dims", "32", "--bytes", "32", "--input", nan],
            1,
            "nan.f32: vector 0 cannot be encoded: coordinate 0 is not finite",
        ),
        (&["--input", empty.to_str().unwrap()], 1, "holds 0 vectors, at least 1 is needed"),
        (
            &["--dims", "33", "--input", odd, "--source", "embedding"],
            1,
            "holds 1 vector, at least 2 are needed",
        ),
        (&["--input", "no such file"], 1, "cannot read no such file"),
        (&["--bytes", "7"], 2, "--bytes 7 is too few for 512 coordinates: at least 8"),
        (&["--source", "embedding", "--dims", "7"], 2, "8 to 4096 coordinates, not 7"),
        (&["--source", "mlp", "--input", odd], 2, "--source mlp is generated and does not go with --input"),
        (&["--dims", "0"], 2, "0 is not in 1..=4096"),
        (&["--dims", "4097"], 2, "4097 is not in 1..=4096"),
        (&["--mean-of", "0"], 2, "0 is not in 1..=100000"),
        (&["--source", "cauchy"], 2, "'cauchy' for '--source <SOURCE>' [possible values: gaussian,"),
        (&["--sauce"], 2, "unexpected argument '--sauce' found"),
        (&["--output", "x"], 2, "--output needs --input"),
        (&["--dims", "32", "--input", "no such file", "--output", "no such file"], 1, "cannot read"),
    ] {
        let output = qis(args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert!(error.contains(expected), "{args:?}: {error}");
        assert!(error.starts_with("error: ") && error.lines().count() == 1, "{args:?}: {error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn zero_vectors_are_left_out() {
    let ones: Vec<f32> = (0..32_u16).map(|i| f32::from(i) - 7.5).collect();
    let (alone, beside) = (write("alone.f32", &ones), write("beside.f32", &[&[0.0; 32], &ones[..]].concat()));
    let args = |path| ["--dims", "32", "--bytes", "12", "--mean-of", "1,5", "--input", path];
    let (alone, beside) = (alone.to_str().unwrap(), beside.to_str().unwrap());
    let (one, two) = (report(&args(alone)), report(&args(beside)));
    assert_eq!(
        (&two["vectors"], &two["zero_vectors"], &two["mean_of_vectors"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(one["zero_vectors"], 0);
    // Other seeds, since it is the second vector; but not half the loss.
    let ratio = two["nmse"].as_f64().unwrap() / one["nmse"].as_f64().unwrap();
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
    assert!(two["cosine"].as_f64().unwrap() < 1.0);

    let out = path("zeros out.f32");
    let table = qis(&[&args(beside)[..], &["--vectors", "9", "--output", out.to_str().unwrap()]].concat());
    let text = String::from_utf8(table.stdout).unwrap();
    let start = "\
32 coordinates in 12 bytes (3.00 bits each), 2 vectors (input)
9 asked for, the file holds 2 vectors
1 of 2 vectors is zero and left out

squared error";
    assert!(
        text.starts_with(start) && text.contains("\n(1 vector)\ntoo few coordinates to tell: some "),
        "{text}"
    );
    assert_eq!(read(&out)[..32], [0.0; 32]);

    let zero = write("zero.f32", &[0.0; 32]);
    let output = qis(&args(zero.to_str().unwrap()));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("every vector is zero\n"));
}

#[test]
fn files_are_not_written_wrong() {
    // Decoded, some of these are above the largest f32.
    let values: Vec<f32> = (0..64).map(|i| if i % 3 == 0 { -3.4e38 } else { 3.4e38 }).collect();
    let (input, output) = (write("large.f32", &values), path("large out.f32"));
    let _ = fs::remove_file(&output);
    let (from, to) = (input.to_str().unwrap(), output.to_str().unwrap());
    let args = ["--dims", "64", "--bytes", "32", "--mean-of", "1", "--input", from];
    assert!(report(&args)["nmse"].as_f64().unwrap() < 0.02);
    let refused = qis(&[&args[..], &["--output", to]].concat());
    let error = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(error.contains("large.f32: vector 0 decodes to") && error.contains("beyond f32"), "{error}");
    assert!(!output.exists());

    let before = fs::read(&input).unwrap();
    let dotted = input.parent().unwrap().join(".").join("large.f32");
    let refused = qis(&[&args[..], &["--output", dotted.to_str().unwrap()]].concat());
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).ends_with("is the file of --input, which would be lost\n")
    );
    assert_eq!(fs::read(&input).unwrap(), before);
}

#[test]
fn means_say_what_chance_does_and_of_which_vectors_they_are() {
    let args = ["--dims", "512", "--bytes", "64", "--vectors", "1", "--mean-of", "1,4"];
    let text = String::from_utf8(qis(&args).stdout).unwrap();
    assert!(text.contains(", 1 vector (gaussian)\n"), "{text}");
    assert!(text.contains("\n(8 vectors, 7 of them generated besides those asked for)\n\n"), "{text}");
    // sqrt(2 * 3/4 / 4096).
    let spread = report(&args)["spread_of_mean"]["4"].as_f64().unwrap();
    assert!((0.018..0.021).contains(&spread), "{spread}");
    assert!(text.contains("±0.019") || text.contains("±0.020"), "{text}");
}

#[test]
fn people_get_a_table() {
    let output = qis(&["--dims", "16", "--bytes", "12", "--vectors", "2", "--mean-of", "1,2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("16 coordinates in 12 bytes (6.00 bits each), 2 vectors (gaussian)\n"),
        "{text}"
    );
    for line in ["above it", "n = 2", "encode", "axpy, f64"] {
        assert!(text.contains(line), "{text}");
    }

    let output = qis(&["--dims", "2", "--bytes", "8", "--vectors", "2", "--mean-of", "1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("nothing is lost") && !text.contains("NaN") && !text.contains("inf"), "{text}");
}
