//! `qis` with arguments that are no command.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::process::Command;

fn qis(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_qis")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn errors_are_one_line() {
    for (args, expected) in [
        (&["measure"][..], "error: unrecognized subcommand 'measure'\n"),
        (&["inspect"], "error: the following required arguments were not provided: <FILE>\n"),
        (
            &["codec", "--dims", "x"],
            "error: invalid value 'x' for '--dims <N>': invalid digit found in string\n",
        ),
    ] {
        assert_eq!(qis(args), (2, String::new(), expected.to_owned()));
    }
}

#[test]
fn help_is_printed_whole() {
    for args in [&["--help"][..], &["help", "codec"], &["inspect", "--help"]] {
        let (code, out, error) = qis(args);
        assert_eq!((code, error.as_str()), (0, ""));
        assert!(out.contains("Usage: qis") && out.contains("Examples:"), "{out}");
    }
    assert_eq!(qis(&["--version"]).1, concat!("qis ", env!("CARGO_PKG_VERSION"), "\n"));
    let (code, out, error) = qis(&[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("Usage: qis"), "{error}");
}
