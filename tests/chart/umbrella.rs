//! The chart as a dependency of an umbrella chart.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::render::{chart, documents, run};
use crate::support::{scratch, tools::Tool};

/// An umbrella chart with the chart under two aliases, as people write aliases: without a dash, so that templates
/// can name the values.
fn umbrella() -> PathBuf {
    let directory = scratch("umbrella");
    let dependency = |alias: &str| json!({ "name": "cognito-password-operator", "version": ">=0.0.0-0", "alias": alias, "condition": format!("{alias}.enabled"), "tags": ["identity"] });
    let metadata = json!({ "apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency("cognitoEu"), dependency("cognito_us")] });
    fs::create_dir_all(directory.join("charts")).expect("the scratch folder can be written");
    fs::write(directory.join("Chart.yaml"), metadata.to_string())
        .expect("the scratch folder can be written");
    let archives = directory.join("charts").to_string_lossy().into_owned();
    let chart = chart().to_string_lossy().into_owned();
    run(Tool::Helm, &["package", &chart, "--destination", &archives])
        .unwrap_or_else(|said| panic!("{said}"));
    directory
}

fn render(release: &str, values: &Value) -> Result<Vec<Value>, String> {
    let directory = umbrella();
    let file = directory.join("its-values.json");
    fs::write(&file, values.to_string()).expect("the scratch folder can be written");
    let (file, directory) = (file.to_string_lossy(), directory.to_string_lossy());
    let args = [
        "template",
        release,
        &directory,
        "--namespace=platform",
        "--values",
        &file,
    ];
    run(Tool::Helm, &args).map(|text| documents(&text))
}

fn two() -> Value {
    json!({
        "global": { "imageRegistry": "mirror.example.com:5000", "imagePullSecrets": ["mirror"], "storageClass": "fast" },
        "tags": { "identity": true },
        "cognitoEu": { "enabled": true, "settings": { "watchNamespaces": ["eu"] } },
        "cognito_us": { "crds": { "enabled": false }, "settings": { "watchNamespaces": ["us"] } },
    })
}

#[test]
fn two_aliases_make_two_operators_that_share_nothing() {
    // With the second name, the objects' names are as long as names may get.
    for release in [
        "platform",
        "platform-of-the-whole-company-in-frankfurt-12345",
    ] {
        let objects = render(release, &two()).unwrap_or_else(|said| panic!("{said}"));
        let mut names = BTreeSet::new();
        let (mut selectors, mut leases) = (BTreeSet::new(), BTreeSet::new());
        for object in &objects {
            let name = object["metadata"]["name"].as_str().expect("a name");
            let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let is_crd = object["kind"] == "CustomResourceDefinition";
            assert!(
                is_crd || (name.chars().all(label) && name.len() <= 63),
                "{name}"
            );
            let key = format!(
                "{} {}/{name}",
                object["kind"], object["metadata"]["namespace"]
            );
            assert!(names.insert(key.clone()), "{key} is there twice");
            if object["kind"] == "Deployment" {
                let pod = &object["spec"]["template"]["spec"];
                let container = &pod["containers"][0];
                assert_eq!(
                    container["image"],
                    "mirror.example.com:5000/cognito-password-operator:0.1.0"
                );
                assert_eq!(pod["imagePullSecrets"], json!([{ "name": "mirror" }]));
                selectors.insert(object["spec"]["selector"].to_string());
                leases.insert(container["args"].to_string());
            }
        }
        assert_eq!((selectors.len(), leases.len()), (2, 2), "{names:?}");
    }
}

#[test]
fn condition_and_tags_switch_a_dependency_off() {
    let count = |values: &Value| {
        let objects = render("platform", values).unwrap_or_else(|said| panic!("{said}"));
        objects
            .iter()
            .filter(|it| it["kind"] == "Deployment")
            .count()
    };
    let mut values = two();
    values["cognito_us"]["enabled"] = json!(false);
    assert_eq!(count(&values), 1);
    // The condition of the other wins over the tag.
    let mut values = two();
    values["tags"]["identity"] = json!(false);
    assert_eq!(count(&values), 1);
}

#[test]
fn null_in_the_umbrellas_values_does_what_null_does_without_an_umbrella() {
    let mut values = two();
    values["global"]["imageRegistry"] = Value::Null;
    values["cognitoEu"]["nodeSelector"] = Value::Null;
    values["cognito_us"]["settings"]["secretSelector"] = Value::Null;
    render("platform", &values).unwrap_or_else(|said| panic!("{said}"));
    values["cognitoEu"]["settings"]["port"] = Value::Null;
    let refusal = render("platform", &values).expect_err("the port has no default now");
    assert!(refusal.contains("\nsettings.port: "), "{refusal}");
}
