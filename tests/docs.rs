//! Compares the documentation with the code: the pages name every reason, flag and metric, and no removed
//! one. Every link has a target.

use cognito_password_operator::{
    api::{Class, CognitoUserPassword, CognitoUserPoolGrant, REASONS, crds},
    core::access::{grant::Grant, iam::Feature},
    ops::metrics::{
        LeadershipSample, MemorySample, Metrics, OK, RateLimiterSample, ResourcesSample,
    },
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const METRICS_PREFIX: &str = "cognito_password_operator_";

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(checkout().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// All pages, by their path from the checkout's root.
fn pages() -> BTreeMap<String, String> {
    let paths = [
        "README.md",
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ]
    .map(str::to_owned);
    paths
        .into_iter()
        .chain(pages_below("docs"))
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

/// The paths of the pages in a folder and in the folders below it.
fn pages_below(folder: &str) -> Vec<String> {
    files_below(folder, "md")
}

/// The paths of the files with this extension in a folder and in the folders below it.
fn files_below(folder: &str, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(checkout().join(folder)).expect("the folder exists");
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.expect("an entry of the folder");
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            paths.extend(files_below(&path, extension));
        } else if Path::new(&path)
            .extension()
            .is_some_and(|it| it == extension)
        {
            paths.push(path);
        }
    }
    paths
}

/// A page's lines without its code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// A page's code blocks in this language, each with the block before, in any language.
fn code(page: &str, language: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut before = String::new();
    let mut block: Option<(bool, Vec<&str>)> = None;
    for line in page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(its)) => block = Some((its == language, Vec::new())),
            (Some(_), Some(_)) => {
                let (wanted, lines) = block.take().expect("it is open");
                let lines = lines.join("\n");
                blocks.extend(wanted.then(|| (before, lines.clone())));
                before = lines;
            }
            (Some((_, lines)), None) => lines.push(line),
            (None, None) => {}
        }
    }
    assert!(block.is_none(), "a code block isn't closed");
    blocks
}

fn class_word(class: Class) -> &'static str {
    match class {
        Class::Settled => "settled",
        Class::Stalled => "stalled",
        Class::Waiting => "waiting",
        Class::Transient => "transient",
        Class::Unknown => "unknown",
    }
}

#[test]
fn every_reason_is_explained_with_its_class_and_codes_and_no_other_is() {
    let page = read("docs/reasons.md");
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let mut current = None;
    for line in page.lines() {
        if let Some(reason) = line.strip_prefix("### ") {
            let new = sections.insert(reason, String::new()).is_none();
            assert!(new, "{reason} is explained twice");
            current = Some(reason);
        } else if line.starts_with("## ") {
            current = None;
        } else if let Some(section) = current.and_then(|reason| sections.get_mut(reason)) {
            section.push_str(line);
            section.push('\n');
        }
    }
    for entry in REASONS {
        let word = entry.word;
        let section = sections
            .remove(word)
            .unwrap_or_else(|| panic!("docs/reasons.md has no heading ### {word}"));
        let class = format!("Class: {}.", class_word(entry.class));
        assert!(section.contains(&class), "{word}: not '{class}'");
        for code in entry.codes {
            let quoted = format!("`{code}`");
            assert!(section.contains(&quoted), "{word}: no {quoted}");
        }
        assert!(
            entry.cure.is_empty() || section.contains("\nCure: "),
            "{word}: no cure"
        );
    }
    let unknown: Vec<_> = sections.keys().collect();
    assert!(unknown.is_empty(), "no reasons of ours: {unknown:?}");
}

#[test]
fn every_field_of_a_spec_is_in_its_page() {
    let pages = ["docs/tenant.md", "docs/multi-tenancy.md"];
    for (crd, path) in crds().into_iter().zip(pages) {
        let crd = serde_json::to_value(crd).expect("a CRD is JSON");
        let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let fields = crd.pointer(schema).and_then(Value::as_object);
        let page = read(path);
        for (field, schema) in fields.expect("spec has fields") {
            let inner = schema["properties"].as_object();
            let rows = match inner {
                Some(inner) => inner.keys().map(|key| format!("{field}.{key}")).collect(),
                None => vec![field.clone()],
            };
            for row in rows.iter().map(|name| format!("| `{name}` |")) {
                assert!(page.contains(&row), "{path} has no row {row}");
            }
        }
    }
}

#[test]
fn every_flag_is_in_the_settings_page_with_its_variable() {
    let help = Command::new(env!("CARGO_BIN_EXE_cognito-password-operator"))
        .args(["run", "--help"])
        .output()
        .expect("the operator runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let after = |start: &str| -> BTreeSet<String> {
        help.match_indices(start)
            .map(|(at, _)| {
                let rest = &help[at + start.len()..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
                format!("{start}{}", &rest[..end.unwrap_or(rest.len())])
            })
            .collect()
    };
    let flags = after("--");
    assert!(flags.contains("--listen"), "{help}");
    let page = read("docs/settings.md");
    for flag in flags.iter().filter(|flag| *flag != "--help") {
        let variable = flag.replacen("--", "CPO_", 1).replace('-', "_");
        let row = format!("| `{flag}` | `{}` |", variable.to_uppercase());
        assert!(page.contains(&row), "docs/settings.md has no row {row}");
    }
    let variables = after("CPO_");
    assert_eq!(variables.len(), flags.len() - 1, "{help}");
    for (path, page) in pages() {
        for (at, _) in page.match_indices("CPO_") {
            let end = page[at..].find(|c: char| !c.is_ascii_uppercase() && c != '_');
            let variable = &page[at..end.map_or(page.len(), |end| at + end)];
            // A variable of the tests, not of the operator.
            if variable == "CPO_TEST_CACHE" {
                continue;
            }
            assert!(
                variables.contains(variable),
                "{path}: {variable} is no variable"
            );
        }
    }
}

#[test]
fn every_code_that_has_a_reason_has_a_label_of_its_own() {
    let metrics = Metrics::new("0.0.0");
    let codes = REASONS.iter().flat_map(|entry| entry.codes);
    for code in codes {
        metrics.cognito_call("AdminSetUserPassword", code, Duration::ZERO);
    }
    let text = metrics.encode();
    assert!(text.contains("code=\"AccessDeniedException\""), "{text}");
    assert!(!text.contains("code=\"Other\""), "{text}");
}

/// Every metric by the name of its samples, with its labels.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let metrics = Metrics::new("0.0.0");
    metrics.cognito_call("AdminSetUserPassword", OK, Duration::ZERO);
    metrics.reconcile("ok", Duration::ZERO);
    metrics.secret_change_to_set(Duration::ZERO);
    metrics.measure_resources_with(|| ResourcesSample {
        by_reason: vec![("PasswordSet", 1)],
        suspended: 0,
        oldest_suspended: Duration::ZERO,
        oldest_unready: vec![("stalled", Duration::ZERO)],
    });
    metrics.count_grants_with(|| vec![("Accepted", 1)]);
    metrics.kubernetes_request("get", "secrets", "2xx");
    metrics.measure_queue_with(|| 1);
    metrics.measure_leadership_with(|| LeadershipSample {
        leads: true,
        transitions: 1,
        failures: 0,
    });
    metrics.unneeded_secret_access("own_namespace", true);
    metrics.measure_rate_limiters_with(|| RateLimiterSample {
        waiting: 1,
        rps: 10.0,
    });
    metrics.measure_look_age_with(|| Duration::ZERO);
    metrics.measure_memory_with(|| MemorySample {
        tasks: 1,
        entries: vec![("resources", 1)],
    });
    let text = metrics.encode();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').expect("a sample");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        let labels = labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(name, _)| name.to_owned())
            .filter(|name| name != "le");
        let known: &mut BTreeSet<_> = found.entry(base.to_owned()).or_default();
        known.extend(labels);
    }
    found
}

#[test]
fn every_metric_is_in_the_monitoring_page_with_its_labels_and_no_other_anywhere() {
    let metrics = metrics();
    let page = read("docs/metrics.md");
    for (name, labels) in &metrics {
        let start = format!("| `{name}` |");
        let row = page
            .lines()
            .find(|line| line.starts_with(&start))
            .unwrap_or_else(|| panic!("docs/metrics.md has no row {start}"));
        let told: BTreeSet<_> = row
            .split('|')
            .nth(3)
            .into_iter()
            .flat_map(|cell| cell.split(','))
            .map(|label| label.trim().trim_matches('`').to_owned())
            .filter(|label| !label.is_empty())
            .collect();
        assert_eq!(&told, labels, "the labels of {name}");
    }
    for (path, page) in pages() {
        for (at, _) in page.match_indices(METRICS_PREFIX) {
            let rest = &page[at..];
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            let known = metrics.contains_key(name)
                || ["_bucket", "_sum", "_count"].iter().any(|s| {
                    name.strip_suffix(s)
                        .is_some_and(|n| metrics.contains_key(n))
                });
            assert!(known, "{path}: {name} is no metric");
        }
    }
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    prose(page)
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn no_link_leads_nowhere() {
    let pages = pages();
    for (path, page) in &pages {
        let text = prose(page).collect::<Vec<_>>().join("\n");
        for (at, _) in text.match_indices("](") {
            let link = &text[at + 2..];
            let link = &link[..link.find(')').expect("a link ends")];
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let here = Path::new(path).parent().unwrap_or(Path::new(""));
            let target = if file.is_empty() {
                PathBuf::from(path)
            } else {
                normal(&here.join(file))
            };
            assert!(checkout().join(&target).exists(), "{path}: {link}");
            if !anchor.is_empty() {
                let page = pages
                    .get(&*target.to_string_lossy())
                    .unwrap_or_else(|| panic!("{path}: {link} has an anchor and is no page"));
                assert!(anchors(page).contains(anchor), "{path}: {link}");
            }
        }
    }
}

/// The path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            assert!(normal.pop(), "{} leaves the checkout", path.display());
        } else {
            normal.push(part);
        }
    }
    normal
}

#[test]
fn examples_are_well_formed() {
    let pages = pages();
    let in_pages = pages.iter().flat_map(|(path, page)| {
        let blocks = code(page, "yaml").into_iter();
        blocks.map(|(_, block)| (path.clone(), block))
    });
    let examples = files_below("deploy/examples", "yaml");
    let examples = [examples, files_below("gitops/flux", "yaml")].concat();
    let in_files = examples.into_iter().map(|path| {
        let text = read(&path);
        (path, text)
    });
    for (path, block) in in_pages.chain(in_files) {
        let parsed = serde_saphyr::from_multiple::<Value>(&block);
        let objects = parsed.unwrap_or_else(|e| panic!("{path}: {e}\n{block}"));
        for object in objects {
            if object["kind"] == "CognitoUserPassword" {
                let ours = serde_json::from_value::<CognitoUserPassword>(object);
                assert!(ours.is_ok(), "{path}: {ours:?}\n{block}");
            } else if object["kind"] == "CognitoUserPoolGrant" {
                let ours = serde_json::from_value::<CognitoUserPoolGrant>(object);
                let ours = ours.unwrap_or_else(|e| panic!("{path}: {e}\n{block}"));
                let grant = Grant::parse(&ours.spec);
                assert!(grant.is_ok(), "{path}: {grant:?}\n{block}");
            }
        }
    }
    for (path, page) in &pages {
        for (_, block) in code(page, "json") {
            let parsed = serde_json::from_str::<Value>(&block);
            assert!(parsed.is_ok(), "{path}: {parsed:?}\n{block}");
        }
    }
}

/// The output of this command, which a page shows.
fn printed(command: &str) -> String {
    let command = command.replace("\\\n", " ");
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("cognito-password-operator"), "{command}");
    let output = Command::new(env!("CARGO_BIN_EXE_cognito-password-operator"))
        .args(words)
        .output()
        .expect("the operator runs");
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_iam_policy_is_what_the_command_above_it_prints() {
    let mut actions = BTreeSet::new();
    for (path, page) in pages() {
        for (command, block) in code(&page, "json") {
            let json: Value = serde_json::from_str(&block).expect("JSON");
            if json["Version"] != "2012-10-17" {
                continue;
            }
            assert_eq!(printed(&command), format!("{block}\n"), "{path}: {command}");
            // Statements of rights. Statements of trust have a principal.
            let statements = json["Statement"].as_array().into_iter().flatten();
            let rights = statements.filter(|statement| statement["Principal"].is_null());
            for action in rights.flat_map(|s| s["Action"].as_array().into_iter().flatten()) {
                actions.insert(action.as_str().unwrap_or_default().to_owned());
            }
        }
    }
    let known = Feature::ALL.iter().flat_map(|feature| feature.actions());
    let known: BTreeSet<_> = known.map(|action| (*action).to_owned()).collect();
    assert_eq!(actions, known, "each that there is, is explained");
}

#[test]
fn the_config_map_for_argo_cd_has_the_scripts_as_they_are() {
    let output = Command::new("bash")
        .arg(checkout().join("gitops/argocd/generate.sh"))
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{output:?}");
    let generated = String::from_utf8(output.stdout).expect("text");
    assert_eq!(
        read("gitops/argocd/argocd-cm.yaml"),
        generated,
        "argocd-cm.yaml is old: make gitops-files"
    );
    // What YAML has is what the files have, and nothing was lost by the indentation.
    let config_map: Value = serde_saphyr::from_str(&generated).expect("YAML");
    let scripts = "gitops/argocd/resource_customizations/cognito-password-operator.io";
    for kind in ["CognitoUserPassword", "CognitoUserPoolGrant"] {
        let key = format!("resource.customizations.health.cognito-password-operator.io_{kind}");
        let script = read(&format!("{scripts}/{kind}/health.lua"));
        assert_eq!(config_map["data"][&key], script, "{key}");
    }
    let key = "resource.customizations.actions.cognito-password-operator.io_CognitoUserPassword";
    let actions = config_map["data"][key].as_str().expect("there are actions");
    let actions: Value = serde_saphyr::from_str(actions).expect("YAML");
    let folder = format!("{scripts}/CognitoUserPassword/actions");
    assert_eq!(
        actions["discovery.lua"],
        read(&format!("{folder}/discovery.lua"))
    );
    for action in ["set", "suspend", "resume"] {
        let definitions = actions["definitions"].as_array().expect("a list");
        let found = definitions.iter().find(|it| it["name"] == action);
        let script = read(&format!("{folder}/{action}/action.lua"));
        assert_eq!(found.expect(action)["action.lua"], script, "{action}");
    }
}

/// The help of a command of the plugin.
fn plugin_help(words: &[&str]) -> String {
    let help = Command::new(env!("CARGO_BIN_EXE_kubectl-cognito_password"))
        .args(words)
        .arg("--help")
        .output()
        .expect("the plugin runs");
    String::from_utf8(help.stdout).expect("text")
}

/// The commands that a help lists.
fn plugin_commands(help: &str) -> Vec<&str> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    commands
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.strip_prefix("  ").filter(|it| !it.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}

/// The flags that a help lists: long, and perhaps short.
fn plugin_flags(help: &str) -> impl Iterator<Item = (String, Option<&str>)> {
    help.lines().map(str::trim_start).filter_map(|line| {
        let mut words = line.split([' ', ',']).filter(|word| !word.is_empty());
        let first = words.next()?;
        if first.starts_with("--") {
            return Some((first.to_owned(), None));
        }
        let long = words.next().filter(|word| word.starts_with("--"))?;
        let is_short = first.len() == 2 && first.starts_with('-');
        is_short.then(|| (long.to_owned(), Some(first)))
    })
}

#[test]
fn every_command_of_the_plugin_has_a_section_with_its_flags() {
    let page = read("docs/plugin.md");
    let mut sections: BTreeMap<&str, &str> = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (heading, text) = section.split_once('\n').expect("a heading");
        sections.insert(heading, text);
    }
    // The flags of every command.
    let general = plugin_help(&[]);
    let general: Vec<_> = plugin_flags(&general).map(|flag| flag.0).collect();
    let cli = plugin_help(&[]);
    for command in plugin_commands(&cli) {
        let section = match command {
            "completion" => sections["Completion"],
            _ => sections
                .get(command)
                .unwrap_or_else(|| panic!("docs/plugin.md has no section ## {command}")),
        };
        let help = plugin_help(&[command]);
        let inner = plugin_commands(&help);
        let helps = inner.iter().map(|inner| plugin_help(&[command, inner]));
        for help in helps.chain([help.clone()]) {
            for flag in plugin_flags(&help).filter(|flag| !general.contains(&flag.0)) {
                let short = flag.1.map(|short| format!("`{short}"));
                let is_named = section.contains(&flag.0)
                    || short.is_some_and(|short| section.contains(&short));
                assert!(is_named, "docs/plugin.md: {command} {flag:?}");
            }
        }
        for inner in inner {
            let call = format!("{command} {inner}");
            assert!(section.contains(&call), "docs/plugin.md: {call}");
        }
    }
}

#[test]
fn every_kind_of_json_is_in_the_plugins_page() {
    let page = read("docs/plugin.md");
    let mut kinds = 0;
    for path in files_below("src/command", "rs") {
        let source = read(&path);
        for (at, call) in source.match_indices(".print(") {
            let arguments = source[at + call.len()..].trim_start();
            let Some(kind) = arguments.strip_prefix('"') else {
                continue;
            };
            let kind = kind.split('"').next().expect("a literal ends");
            kinds += 1;
            assert!(
                page.contains(&format!("`{kind}`")),
                "docs/plugin.md: {path}: {kind}"
            );
        }
    }
    assert!(kinds > 0, "no command prints JSON");
}
