//! `qis inspect` as it is run.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{Draft, Epoch, Identity, NetworkId, Order, Seal, SiteSecret, Timestamp, Trailer};
use serde_json::Value;

/// The test vector of `docs/wire-format.md`.
const GOLDEN: &str = concat!(
    "0111fe812c12f3ab4ce6ac5db69ac352f906ac0201c0843dd00503612f62ff00",
    "7b17ef41a01cc2ec5ba7dd04f79f317bb1ac83b1e3df88a0f41addd15b39151c",
    "1044fab70202010201040000803f",
    "4e48fba980983686872b4cbed0e0ee8fe5203055f0e577fa85c801aa911cac11",
    "4c84edd91668da8a7ed168db0242492271b2e0e9eb3e02e7008e27369ad97b00",
);

const TABLE: &str = "\
offset bytes  field              hex                               meaning
     0     1  version            01                                version 1
     1     1  flags              11                                delta, raw, signed
     2    16  author             fe812c12f3ab4ce6ac5db69ac352f906  hash of the author's key
    18     2  incarnation        ac02                              300
    20     1  sequence           01                                1
    21     3  time               c0843d                            1970-01-12T13:46:40Z
    24     2  lifetime           d005                              720 hours, until 1970-02-11T13:46:40Z
    26     1  domain length      03                                3 bytes
    27     3  domain             612f62                            a/b
    30     1  confidence         ff                                255/255 = 1.000
    31     1  support            00                                unknown
    32    32  commitment         7b17ef41a01cc2ec5ba7dd04f79f317b… to the provenance; its author can open it
    64     4  space              1044fab7                          1044fab7
    68     1  fingerprint dims   02                                2 dimensions
    69     1  fingerprint length 02                                2 bytes
    70     2  fingerprint        0102                              1, 2
    72     1  dims               01                                1
    73     1  payload length     04                                4 bytes
    74     4  payload            0000803f                          norm 1.0000: 1.0000
    78    64  signature          4e48fba980983686872b4cbed0e0ee8f… by the author, for one network

packet id  4361436888ab4bf0e93d83f3a7f87fcb1d29ba0fe521103d6291358602a415ff
signature  not checked: say --network NAME
";

fn inspect(input: &[u8], args: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_qis"))
        .args(["inspect", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What is too large is refused before it is all read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// The golden vector's bytes.
fn golden() -> Vec<u8> {
    let digits = GOLDEN.as_bytes().as_chunks::<2>().0;
    digits.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A packet in the trellis mode, with its key in the trailer.
fn trellis() -> Vec<u8> {
    sealed(Trailer::SignatureAndKey)
}

fn sealed(trailer: Trailer) -> Vec<u8> {
    let identity = Identity::from_seed([7; 32]);
    let fingerprint = Fingerprint::from_codes(SpaceId::new("test", 8), vec![1, 2]).unwrap();
    let values: Vec<f32> = (0..512_u16).map(|i| f32::from(i % 7) - 3.0).collect();
    let seal = Seal {
        identity: &identity,
        network: NetworkId::new("test"),
        secret: &SiteSecret::new(Epoch::from_index(0), [1; 32]),
        node: "clinic",
        source: "ward-3",
        order: Order { incarnation: 300, sequence: 1 },
        time: Timestamp::from_unix_seconds(1_000_000),
        trailer,
    };
    let draft = Draft::delta("a/b".parse().unwrap(), fingerprint, &values);
    draft.seal(&seal).unwrap().as_bytes().to_vec()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The exit code, the standard error, and what follows the last field of the table.
fn refusal(input: &[u8]) -> (i32, String, String) {
    let output = inspect(input, &[]);
    let shown = text(&output.stdout);
    let (_, after) = shown.split_once("\n\n").unwrap();
    (output.status.code().unwrap(), text(&output.stderr), after.to_owned())
}

#[test]
fn a_packet_is_shown_field_by_field() {
    let spaced = format!("{}\n  {}", &GOLDEN[..64], &GOLDEN[64..]);
    let colons: Vec<String> = golden().iter().map(|byte| format!("{byte:02X}")).collect();
    let prefixed: Vec<String> = golden().iter().map(|byte| format!("0x{byte:02x}")).collect();
    let texts = [GOLDEN.to_owned(), spaced, colons.join(":"), prefixed.join(" "), prefixed.join(", ")];
    for input in texts.map(String::into_bytes).into_iter().chain([golden()]) {
        let output = inspect(&input, &[]);
        assert_eq!(text(&output.stdout), TABLE);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    }
}

#[test]
fn json_says_the_same() {
    let report = json(&inspect(&golden(), &["--json"]));
    assert_eq!(
        (&report["form"], &report["encoding"], &report["bytes"]),
        (&"packet".into(), &"raw".into(), &142.into())
    );
    assert_eq!(report["fields"].as_array().unwrap().len(), 20);
    assert_eq!(report["error"], Value::Null);
    let packet = &report["packet"];
    assert_eq!(packet["flags"], serde_json::json!(["delta", "raw", "signed"]));
    assert_eq!(packet["time_utc"], "1970-01-12T13:46:40Z");
    assert_eq!(packet["fingerprint"]["codes"], serde_json::json!([1, 2]));
    assert_eq!(packet["payload"]["delta"], serde_json::json!({"norm": 1.0, "first": [1.0]}));
    assert_eq!(packet["signature"], serde_json::json!({"status": "unchecked"}));

    let wrong = json(&inspect(&golden()[..30], &["--json"]));
    assert_eq!(wrong["packet"], Value::Null);
    let expected = serde_json::json!({
        "offset": 30, "field": "confidence", "message": "the bytes end here, expected 1 more", "byte": null,
    });
    assert_eq!(wrong["error"], expected);
}

#[test]
fn signatures_are_checked_in_the_network_that_is_named() {
    let status = |input: &[u8], network: &[&str]| {
        let output = inspect(input, &[&["--json"], network].concat());
        let status = json(&output)["packet"]["signature"]["status"].as_str().unwrap().to_owned();
        (status, output.status.code().unwrap())
    };
    let (test, other) = (&["--network", "test"][..], &["--network", "other"][..]);
    assert_eq!(status(&trellis(), test), ("valid".into(), 0));
    assert_eq!(status(&trellis(), other), ("invalid".into(), 1));
    assert_eq!(status(&trellis(), &[]), ("unchecked".into(), 0));
    // Asked whether it is valid, to not know is no yes.
    assert_eq!(status(&golden(), test), ("key-unknown".into(), 1));
    let said = text(&inspect(&golden(), test).stderr);
    assert_eq!(
        said,
        "error: the packet is well formed but nothing shows who made it: its author's key is not in the input, give it by --key\n"
    );

    // In a frame the key may be beside the packet.
    let key = Identity::from_seed([7; 32]).public_key().to_bytes();
    let with_key = [&[0][..], &[7; 8], &[1], &key, &golden()].concat();
    assert_eq!(status(&with_key, test), ("valid".into(), 0));
    assert_eq!(status(&with_key, other), ("invalid".into(), 1));
    let without = [&[0][..], &[7; 8], &[0], &golden()].concat();
    assert_eq!(status(&without, test), ("key-unknown".into(), 1));
    let unsigned = sealed(Trailer::None);
    assert_eq!(status(&unsigned, test), ("unsigned".into(), 1));
    assert_eq!(status(&unsigned, &[]), ("unsigned".into(), 0));
    let report = json(&inspect(&without, &["--json"]));
    assert_eq!((&report["form"], &report["fields"][3]["offset"]), (&"frame".into(), &10.into()));
}

#[test]
fn a_refusal_points_at_the_byte() {
    let mut longer = golden();
    longer.splice(18..20, [0xac, 0x82, 0]);
    let (code, error, shown) = refusal(&longer);
    assert_eq!(code, 1);
    assert_eq!(
        error,
        "error: not a packet: byte 20, incarnation: expected the shortest form of 300, this byte adds nothing to it\n"
    );
    assert_eq!(
        shown,
        "\
00000000  01 11 fe 81 2c 12 f3 ab 4c e6 ac 5d b6 9a c3 52
00000010  f9 06 ac 82 00 01 c0 84 3d d0 05 03 61 2f 62 ff
                      ^^
"
    );

    let mut tag = golden();
    tag[28] = b' ';
    let (_, error, shown) = refusal(&tag);
    assert!(
        error.ends_with("byte 28, domain: expected one of a-z 0-9 . _ / @ -, found 32 (0x20)\n"),
        "{error}"
    );
    assert_eq!(
        shown,
        "\
00000000  01 11 fe 81 2c 12 f3 ab 4c e6 ac 5d b6 9a c3 52
00000010  f9 06 ac 02 01 c0 84 3d d0 05 03 61 20 62 ff 00
                                              ^^
"
    );

    let (code, error, shown) = refusal(&[&golden()[..], b"\n"].concat());
    assert_eq!(code, 1);
    assert!(error.ends_with("byte 142, end: expected the end, surplus bytes: 1\n"), "{error}");
    assert_eq!(
        shown,
        "\
00000070  ed d9 16 68 da 8a 7e d1 68 db 02 42 49 22 71 b2
00000080  e0 e9 eb 3e 02 e7 00 8e 27 36 9a d9 7b 00 0a
                                                    ^^
"
    );

    let too_large = inspect(&[1; 513], &[]);
    assert!(
        text(&too_large.stderr).contains("byte 512, end: expected the end, a packet has at most 512 bytes")
    );
    let (_, error, _) = refusal(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 2]);
    assert_eq!(error, "error: not a packet: byte 9, key option: expected 0 (no key) or 1 (a key follows)\n");
    let (_, error, _) = refusal(&[0, 1, 2]);
    assert_eq!(error, "error: not a packet: byte 3, nonce: the bytes end here, expected 6 more\n");
}

#[test]
fn flags_are_refused_by_their_bits() {
    for (flags, expected) in [
        (0x0c_u8, "expected a kind of 0, 1 or 2, found 3 in bits 2-3"),
        (0x30, "expected a mode of 0, 1 or 2, found 3 in bits 4-5"),
        (0x14, "expected mode 0 of what is no delta, found 1 in bits 4-5"),
        (0x02, "expected the flag of the signature beside that of the key, found 2 in bits 0-1"),
        (0x48, "expected a retraction that is not derived, found 1 in bit 6"),
    ] {
        let (code, error, _) = refusal(&[1, flags]);
        assert_eq!((code, error), (1, format!("error: not a packet: byte 1, flags: {expected}\n")));
    }
}

#[test]
fn frames_are_told_by_their_kind() {
    let key = Identity::from_seed([7; 32]).public_key().to_bytes();
    let check = ["--json", "--network", "test"];
    let answer = [&[4][..], &[7; 8], &[1, 3, 1], &key, &golden()].concat();
    let output = inspect(&answer, &check);
    let report = json(&output);
    assert_eq!((output.status.code(), &report["form"]), (Some(0), &"frame".into()));
    assert_eq!(report["packet"]["signature"]["status"], "valid");
    let fields: Vec<&str> = report["fields"]
        .as_array()
        .unwrap()
        .iter()
        .take(7)
        .map(|row| row["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["frame kind", "nonce", "index", "total", "key option", "key", "version"]);

    // Without a packet in it.
    let none = [&[4][..], &[7; 8], &[0, 0, 0]].concat();
    let acknowledgement = [&[1][..], &[7; 8], &[0]].concat();
    for (frame, args) in [(&none, &[][..]), (&acknowledgement, &["--frame"])] {
        let output = inspect(frame, args);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
        let output = inspect(frame, &[args, &check].concat());
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            text(&output.stderr),
            "error: the frame is well formed but there is no packet in it to check\n"
        );
    }
    let instead = [&[1][..], &[7; 8], &[1], &golden()].concat();
    assert_eq!(json(&inspect(&instead, &["--frame", "--json"]))["packet"]["sequence"], 1);
    for frame in [&acknowledgement, &instead] {
        let (code, error, _) = refusal(frame);
        assert!(error.ends_with("; as a frame it is an acknowledgement, say --frame\n"), "{error}");
        assert_eq!(code, 1);
    }

    for (frame, args, expected) in [
        (&[2, 6, 0, 2, 9][..], &[][..], "frame kind 2, a fragment: put the parts together first"),
        (&[3], &[], "frame kind 3, a query: it asks for packets and holds none"),
        (&[5], &[], "frame kind 5, an overlay message: reserved, this version reads none"),
        (&[6], &[], "frame kind 6, a sync message: reserved, this version reads none"),
        (&[7], &[], "frame kind 7, a rotation statement: it is about keys and holds no packet"),
        (&[8], &["--frame"], "frames of kind 8 are not known here"),
        (&[], &["--frame"], "not a packet: byte 0, frame kind: the bytes end here, expected 1 more"),
        (
            &[1, 0, 0, 0, 0, 0, 0, 0, 0, 6],
            &["--frame"],
            "not a packet: byte 9, status: expected a status of 0 to 5",
        ),
        (
            &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &["--frame"],
            "not a packet: byte 10, end: expected the end, only the status 1 has a packet after it",
        ),
        (
            &[4, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 0],
            &[],
            "not a packet: byte 9, index: expected an index below the total",
        ),
        (
            &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 33],
            &[],
            "not a packet: byte 10, total: expected a total of 0 to 32",
        ),
        (
            &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[],
            "not a packet: byte 12, end: expected the end, a total of 0 has no packet after it",
        ),
    ] {
        let output = inspect(frame, args);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), format!("error: {expected}\n")));
        assert!(!text(&output.stdout).contains(expected), "{expected}");
    }
}

#[test]
fn a_key_may_be_given() {
    let hex = |seed| Identity::from_seed([seed; 32]).public_key().to_string();
    let checked = |input: &[u8], key: &str| {
        let output = inspect(input, &["--network", "test", "--key", key]);
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    for input in [golden(), trellis()] {
        let (code, shown, error) = checked(&input, &hex(7));
        assert_eq!((code, error.as_str()), (0, ""));
        assert!(shown.ends_with("\nsignature  valid in this network\n"), "{shown}");
        let (code, shown, error) = checked(&input, &hex(8));
        assert_eq!(code, 1);
        assert!(shown.ends_with("\nsignature  INVALID\n"), "{shown}");
        assert!(error.contains(&format!("the key {} is not that of author", hex(8))), "{error}");
    }
    let (code, _, error) = checked(&golden(), "0x12");
    assert_eq!(code, 2);
    assert_eq!(error, "error: invalid value '0x12' for '--key <HEX>': expected 32 bytes in hex\n");
    let alone = inspect(&golden(), &["--key", &hex(7)]);
    assert_eq!(
        (alone.status.code(), text(&alone.stderr)),
        (Some(2), "error: --key needs --network\n".into())
    );
}

#[test]
fn every_damaged_byte_and_truncation_is_told_inside_or_just_past_the_end() {
    let check = |bytes: &[u8]| {
        let output = inspect(bytes, &["--json"]);
        let error = text(&output.stderr);
        assert!(!error.contains("panic"), "{error}");
        let report = json(&output);
        let refused = report["error"]["offset"].as_u64();
        assert!(refused.is_none_or(|offset| offset <= bytes.len() as u64), "{report}");
        let code = output.status.code().unwrap();
        assert_eq!(code == 0, error.is_empty());
        assert!(code == 1 || (refused.is_none() && code == 0), "{code} {report}");
        refused.is_some()
    };
    for (packet, step) in [(golden(), 1), (trellis(), 7)] {
        for index in (0..packet.len()).step_by(step) {
            let mut bytes = packet.clone();
            bytes[index] ^= 0xff;
            check(&bytes);
            assert!(check(&packet[..index]));
        }
    }
}

#[test]
fn other_inputs_are_refused_in_one_line() {
    for (input, expected) in [
        (&b"01 0g"[..], "error: - is text but not hex: character 4 is 'g'\n"),
        (b"01 0", "error: - is hex text with an odd number of digits, 3\n"),
        (&[b' '; 70_000], "error: - is larger than the 65536 bytes that a frame in hex could take\n"),
    ] {
        let output = inspect(input, &[]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), expected.to_owned()));
    }
    let missing = Command::new(env!("CARGO_BIN_EXE_qis")).args(["inspect", "no such file"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).starts_with("error: cannot read no such file: "));
    assert_eq!(text(&missing.stderr).lines().count(), 1);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_qis"))
        .args(["inspect", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(GOLDEN.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}
