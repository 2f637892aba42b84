//! The keys for k9s: the shape that k9s reads, keys that are free, and commands that exist.

use super::{PLUGIN, read, text};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, process::Command};

/// Whether a value has the type of a field.
type Fits = fn(&Value) -> bool;

/// The fields of a plugin that k9s knows, with the type of each.
const FIELDS: &[(&str, Fits)] = &[
    ("args", Value::is_array),
    ("background", Value::is_boolean),
    ("command", Value::is_string),
    ("confirm", Value::is_boolean),
    ("dangerous", Value::is_boolean),
    ("description", Value::is_string),
    ("override", Value::is_boolean),
    ("overwriteOutput", Value::is_boolean),
    ("scopes", Value::is_array),
    ("shortCut", Value::is_string),
];

/// Keys of k9s in every list of resources: sort by name, age and namespace. k9s refuses a second meaning, or binds
/// its own again at each refresh.
const TAKEN: [&str; 3] = ["Shift-N", "Shift-A", "Shift-P"];

fn plugins() -> Map<String, Value> {
    let file: Value = serde_saphyr::from_str(&read("extras/k9s/plugins.yaml")).expect("YAML");
    let file = file.as_object().expect("an object");
    assert_eq!(file.keys().collect::<Vec<_>>(), ["plugins"]);
    file["plugins"]
        .as_object()
        .expect("plugins by name")
        .clone()
}

fn field<'a>(plugin: &'a Value, name: &str) -> &'a str {
    plugin[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} of {plugin}"))
}

#[test]
fn every_key_has_the_shape_that_k9s_reads() {
    let mut keys = BTreeSet::new();
    for (name, plugin) in plugins() {
        for (field, value) in plugin.as_object().expect("an object") {
            let known = FIELDS.iter().find(|(known, _)| known == field);
            assert!(
                known.is_some_and(|(_, fits)| fits(value)),
                "{name}: {field}: {value}"
            );
        }
        assert_eq!(
            plugin["scopes"],
            serde_json::json!(["cognitouserpasswords"]),
            "{name}"
        );
        let key = field(&plugin, "shortCut").to_owned();
        let letter = key.strip_prefix("Shift-").expect("with Shift");
        assert!(
            letter.len() == 1 && letter.chars().all(|c| c.is_ascii_uppercase()),
            "{key}"
        );
        assert!(!TAKEN.contains(&&*key), "{key} is k9s' own");
        assert!(keys.insert(key), "{name}: another plugin has the key");
        assert!(!field(&plugin, "description").is_empty() && !field(&plugin, "command").is_empty());
    }
    assert_eq!(
        keys,
        ["Shift-D", "Shift-R", "Shift-S", "Shift-U"]
            .map(str::to_owned)
            .into()
    );
}

#[test]
fn what_writes_is_off_in_read_only_mode_and_asks_first() {
    for (name, plugin) in plugins() {
        let writes = name != "cognito-password-doctor";
        assert_eq!(plugin["dangerous"] == true, writes, "{name}");
        let script = plugin["args"][1].as_str().expect("a script");
        let asks = plugin["confirm"] == true || script.contains("read -r");
        assert_eq!(asks, writes, "{name}");
    }
}

#[test]
fn the_script_gets_names_as_arguments_and_calls_a_command_that_exists() {
    for (name, plugin) in plugins() {
        assert_eq!(plugin["command"], "sh", "{name}");
        let args = plugin["args"].as_array().expect("a list");
        let args: Vec<_> = args.iter().map(|it| it.as_str().expect("text")).collect();
        let ["-c", script, "k9s", "$CONTEXT", "$NAMESPACE", "$NAME"] = args[..] else {
            panic!("{name}: {args:?}");
        };
        let read = Command::new("sh")
            .args(["-n", "-c", script])
            .output()
            .expect("sh runs");
        assert!(read.status.success(), "{name}: {}", text(&read));
        // sh runs the script for a resource, with a kubectl that prints its arguments, and without less.
        let stub = "kubectl() { printf '<%s>' \"$@\"; }; less() { cat; };";
        let said = Command::new("sh")
            .args(["-c", &format!("{stub} echo 'a reason' | {{ {script}; }}")])
            .args(["k9s", "a context", "team-a", "ci-bot"])
            .output()
            .expect("sh runs");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let command = name.strip_prefix("cognito-password-").expect("our prefix");
        let called = format!("<cognito-password><{command}><ci-bot>");
        assert!(said.contains(&called), "{name}: {said}");
        assert!(
            said.ends_with("<--context><a context><-n><team-a>"),
            "{name}: {said}"
        );
        // The flags are those of the command.
        let call = &said[said.find('<').expect("a call")..];
        let words = call.trim_matches(['<', '>']).split("><").skip(1);
        let parsed = Command::new(PLUGIN)
            .args(words.clone().take(1))
            .arg("--help")
            .output()
            .expect("the plugin runs");
        let help = String::from_utf8_lossy(&parsed.stdout).into_owned();
        assert!(parsed.status.success(), "{name}: {}", text(&parsed));
        for flag in words.filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "{name}: {flag} isn't a flag:\n{help}");
        }
    }
}
