use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

const MINIMAL: &str = "[node]\nkey = \"node.key\"\n[[domains]]\ntag = \"a\"\ndims = 3\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("node.toml"))
}

/// What is wrong with a text that begins as it should.
fn refused(more: &str) -> String {
    parse(&format!("{MINIMAL}{more}")).unwrap_err().to_string()
}

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/node.example.toml");
    fs::read_to_string(path).unwrap()
}

/// The example with every setting that is commented out.
fn whole_example() -> String {
    let is_setting = |line: &str| {
        line.starts_with("#[[")
            || line.strip_prefix('#').is_some_and(|rest| {
                let (key, value) = rest.split_once(" = ").unwrap_or_default();
                !value.is_empty() && key.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
            })
    };
    let lines = example();
    let lines = lines.lines().map(|line| if is_setting(line) { &line[1..] } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// The names of all settings, with their tables before them.
fn names(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                names(value, &format!("{path}.{key}"), into);
            }
        }
        Value::Array(tables) if tables.iter().any(Value::is_object) => {
            tables.iter().for_each(|table| names(table, path, into));
        }
        _ => drop(into.insert(path.to_owned())),
    }
}

fn names_of(value: &impl Serialize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    names(&serde_json::to_value(value).unwrap(), "", &mut found);
    found
}

#[test]
fn the_example_documents_every_setting_and_no_other() {
    let documented: toml::Table = toml::from_str(&whole_example()).unwrap();
    // What is not given is null there, so no setting is left out.
    let known = names_of(&parse(&whole_example()).unwrap());
    assert_eq!(names_of(&documented), known);
    assert!(known.len() > 60, "{known:?}");
}

#[test]
fn the_example_has_the_defaults() {
    let whole = serde_json::to_value(parse(&whole_example()).unwrap()).unwrap();
    let default = serde_json::to_value(parse(MINIMAL).unwrap()).unwrap();
    // Those that have no default, so the example shows one of its own.
    let own = [
        "/store/path",
        "/store/secret_key",
        "/transport/advertise",
        "/transport/pre_shared_key",
        "/admission/credential",
        "/control/socket",
    ];
    for table in ["store", "transport", "admission", "overlay", "sync", "limits", "http", "control", "log"] {
        for (key, value) in default[table].as_object().unwrap() {
            let shown = &whole[table][key];
            if own.contains(&format!("/{table}/{key}").as_str()) {
                assert!(value.is_null() && !shown.is_null(), "{table}.{key}");
            } else {
                assert_eq!(shown, value, "{table}.{key}");
            }
        }
    }
    assert_eq!(whole["node"]["network"], default["node"]["network"]);
    assert_eq!(whole["domains"][0]["lifetime_hours"], default["domains"][0]["lifetime_hours"]);
}

#[test]
fn the_example_as_it_is_shipped_is_a_configuration() {
    let config = parse(&example()).unwrap();
    assert_eq!(config.domains[0].describe(), "plain vectors of 3 coordinates, by the rule robust");
    assert_eq!(config.http.address(), Some("127.0.0.1:9464".parse().unwrap()));
}

#[test]
fn the_defaults_are_those_of_the_crates() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.overlay.config(), qis::OverlayConfig::default());
    assert_eq!(config.limits.config(&config.sync), qis::RouterConfig::default());
}

#[test]
fn whatever_is_refused_has_its_line_and_what_is_expected() {
    for (more, place, expected) in [
        ("[cellar]\n", "node.toml:6:2: ", "unknown field `cellar`, expected one of `node`, `store`"),
        (
            "[store]\nfile = \"x\"\n",
            "node.toml:7:1: ",
            "unknown field `file`, expected `path` or `secret_key`",
        ),
        ("\n[http]\nlisten = 9464\n", "node.toml:8:10: ", "expected a string"),
        ("[http]\nlisten = \"here\"\n", "node.toml:7:10: ", "such as \"127.0.0.1:9464\""),
        ("[limits]\nattempts = 17\n", "node.toml:7:12: ", "`17`, expected a whole number from 1 to 16"),
        ("[limits]\nattempts = -1\n", "node.toml:7:12: ", "from 1 to 16"),
        ("[limits]\nretry_after_seconds = 0\n", "node.toml:7:23: ", "more than 0 and at most 86400"),
        ("[limits]\nretry_after_seconds = nan\n", "node.toml:7:23: ", "more than 0"),
        ("[log]\nlevel = \"loud\"\n", "node.toml:7:9: ", "`debug`"),
        ("[transport]\nallow = [\"12\"]\n", "node.toml:7:9: ", "32 hex digits"),
        ("[node]\n", "node.toml:6:2: ", "duplicate key"),
        ("[store\n", "node.toml:6:7: ", ""),
        ("[[domains]]\ntag = \"a\"\ndims = 2\n", "node.toml:6:1: ", "the domain a is there twice"),
        ("[[domains]]\ntag = \"b\"\n", "node.toml:6:1: ", "either `dims`, for plain vectors, or `family`"),
        ("[[domains]]\ntag = \"B\"\ndims = 1\n", "node.toml:6:1: ", "byte 0 of the domain tag"),
        (
            "[[domains]]\ntag = \"b\"\ndims = 1\nrule = \"mean\"\n",
            "node.toml:6:1: ",
            "`rule` is one of ema, ",
        ),
        ("[[domains]]\ntag = \"b\"\nfamily = \"cox\"\n", "node.toml:6:1: ", "needs `features`"),
    ] {
        let error = refused(more);
        assert!(error.starts_with(place) && error.contains(expected), "{more:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let nothing = parse("").unwrap_err().to_string();
    assert!(nothing.starts_with("node.toml:1:1: missing field `node`"), "{nothing}");
    let none = parse("domains = []\n[node]\nkey = \"k\"\n").unwrap_err().to_string();
    assert!(none.starts_with("node.toml:1:1: ") && none.contains("[[domains]]"), "{none}");
}

#[test]
fn paths_start_from_the_folder_of_the_file() {
    let mut config = parse(&format!("{MINIMAL}[store]\npath = \"/var/node.redb\"\n")).unwrap();
    config.start_paths_at(Path::new("/etc/qis"));
    assert_eq!(config.node.key, Path::new("/etc/qis/node.key"));
    assert_eq!(config.store.path.as_deref(), Some(Path::new("/var/node.redb")));
}

#[test]
fn a_domain_of_evidence_has_its_schema_in_its_tag_and_is_found_by_its_name() {
    let text = "[node]\nkey = \"k\"\n[[domains]]\ntag = \"risk\"\nfamily = \"gaussian\"\nfeatures = [\"a\", \"b\"]\n\
                mean = [0.0, 1.0]\nscale = [1.0, 2.0]\noutcome_mean = 3.0\noutcome_scale = 4.0\nmin_records = 5\n";
    let config = parse(text).unwrap();
    let domain = config.domain("risk").unwrap();
    assert_eq!(domain.schema().unwrap().outcome_scaling(), (3.0, 4.0));
    assert!(domain.domain().tag().schema_hash().is_some());
    assert!(config.domain(domain.domain().tag().as_str()).is_some() && config.domain("ris").is_none());
}
