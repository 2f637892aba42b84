//! The chart's texts for people: README, notes, and the facts for Artifact Hub.

use std::fs;

use serde_json::{Value, json};

use crate::render::{RELEASE, chart, objects, read, read_yaml, run, run_in, template};
use crate::support::{
    scratch,
    tools::{self, Tool},
};

#[test]
fn the_readme_is_what_helm_docs_writes_from_the_values() {
    let copy = scratch("helm-docs");
    for file in ["Chart.yaml", "values.yaml", "README.md.gotmpl"] {
        fs::copy(chart().join(file), copy.join(file)).expect("a file of the chart can be copied");
    }
    run_in(&copy, Tool::HelmDocs, &["--log-level=warning"]).unwrap_or_else(|said| panic!("{said}"));
    let written = fs::read_to_string(copy.join("README.md")).expect("helm-docs wrote a README");
    assert_eq!(read("README.md"), written, "run `make chart-files`");
}

#[test]
fn the_chart_has_the_versions_of_the_operator() {
    let chart = read_yaml("Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_annotations_for_artifact_hub_are_true() {
    let annotations = &read_yaml("Chart.yaml")["annotations"];
    let of = |name: &str| -> Value {
        let text = annotations[format!("artifacthub.io/{name}")].as_str();
        serde_saphyr::from_str(text.unwrap_or_else(|| panic!("no artifacthub.io/{name}")))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let images = of("images");
    let version = env!("CARGO_PKG_VERSION");
    let image = format!("cognito-password-operator:{version}");
    assert_eq!(images[0]["image"], image, "as the chart renders it");
    assert_eq!(
        objects(&json!({}))
            .iter()
            .filter(|it| it["kind"] == "Deployment")
            .map(|it| &it["spec"]["template"]["spec"]["containers"][0]["image"])
            .collect::<Vec<_>>(),
        [&images[0]["image"]]
    );
    for change in of("changes").as_array().expect("a list") {
        let kinds = [
            "added",
            "changed",
            "deprecated",
            "removed",
            "fixed",
            "security",
        ];
        let kind = change["kind"].as_str().unwrap_or_default();
        assert!(kinds.contains(&kind), "{change}");
    }
    let crds = of("crds");
    let kinds: Vec<_> = crds
        .as_array()
        .expect("a list")
        .iter()
        .map(|crd| &crd["kind"])
        .collect();
    assert_eq!(kinds, ["CognitoUserPassword", "CognitoUserPoolGrant"]);
    let examples = of("crdsExamples");
    let kinds: Vec<_> = examples
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["kind"])
        .collect();
    assert_eq!(kinds, ["CognitoUserPassword", "CognitoUserPoolGrant"]);
    assert_eq!(
        annotations["artifacthub.io/license"],
        env!("CARGO_PKG_LICENSE")
    );
}

/// The notes that Helm prints after an install with these values.
fn notes(values: &Value) -> String {
    let file = scratch("notes").join("values.json");
    fs::write(&file, values.to_string()).expect("the scratch folder can be written");
    let (file, chart) = (
        file.to_string_lossy().into_owned(),
        chart().to_string_lossy().into_owned(),
    );
    let args = [
        "install",
        RELEASE,
        &chart,
        "--dry-run=client",
        "--namespace=cognito",
        "--values",
        &file,
    ];
    let said = run(Tool::Helm, &args).unwrap_or_else(|said| panic!("{said}"));
    let (_, notes) = said.split_once("NOTES:").expect("there are notes");
    notes.to_owned()
}

#[test]
fn the_notes_warn_of_what_is_missing_and_of_nothing_else() {
    let role = "arn:aws:iam::111122223333:role/cognito-password-operator";
    let well = json!({ "aws": { "roleArn": role } });
    let said = notes(&well);
    assert!(!said.contains("WARNING"), "{said}");
    assert!(
        said.contains("cognito/cognito-password-operator"),
        "the trust policy's subject: {said}"
    );
    let table = [
        (json!({}), "aws eks create-pod-identity-association"),
        (
            json!({ "aws": { "roleArn": role }, "replicas": 1 }),
            "with one replica",
        ),
        (
            json!({ "aws": { "roleArn": role }, "settings": { "ungranted": "allow" } }),
            "settings.ungranted is allow",
        ),
        (
            json!({ "aws": { "roleArn": role }, "crds": { "keep": false } }),
            "crds.keep is false",
        ),
        (
            json!({ "aws": { "roleArn": role }, "replicas": 0 }),
            "replicas is 0",
        ),
        (
            json!({ "aws": { "roleArn": role }, "podDisruptionBudget": { "minAvailable": 2 } }),
            "lets no pod go",
        ),
        (
            json!({ "aws": { "roleArn": role }, "podDisruptionBudget": { "maxUnavailable": 0 } }),
            "lets no pod go",
        ),
    ];
    for (values, words) in table {
        let said = notes(&values);
        assert!(said.contains(words), "{values}: {said}");
        assert_eq!(said.matches("WARNING").count(), 1, "{values}: {said}");
    }
    // These go with an empty aws.roleArn, which is a warning of its own.
    let table = [
        (
            json!({ "serviceAccount": { "create": false } }),
            "the ServiceAccount default",
        ),
        (
            json!({ "proxy": { "https": "http://proxy.example.com" } }),
            "add 169.254.170.23 to proxy.noProxy",
        ),
    ];
    for (values, words) in table {
        let said = notes(&values);
        assert!(said.contains(words), "{values}: {said}");
        assert_eq!(said.matches("WARNING").count(), 2, "{values}: {said}");
    }
    let well = json!({ "aws": { "roleArn": role }, "podDisruptionBudget": { "minAvailable": 1 }, "proxy": { "https": "http://proxy.example.com" } });
    assert!(!notes(&well).contains("WARNING"));
}

#[test]
fn the_readmes_examples_of_values_fit_the_chart() {
    let readme = read("README.md");
    let blocks: Vec<&str> = readme
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(blocks.len() >= 5, "{blocks:?}");
    for block in blocks {
        let mut values: Value = serde_saphyr::from_str(block).expect("an example is YAML");
        // An umbrella chart's values hold those of the chart.
        if let Some(own) = values["cognito-password-operator"].as_object().cloned() {
            let global = values["global"].take();
            values = Value::Object(own);
            values["global"] = global;
        }
        template(&values).unwrap_or_else(|said| panic!("{block}: {said}"));
    }
}

#[test]
fn the_application_for_argo_cd_has_values_that_the_chart_takes() {
    let file = tools::checkout().join("gitops/argocd/operator.yaml");
    let text = std::fs::read_to_string(file).expect("the example can be read");
    let application: Value = serde_saphyr::from_str(&text).expect("the example is YAML");
    let helm = &application["spec"]["source"]["helm"];
    assert_eq!(helm["releaseName"], RELEASE);
    let objects = objects(&helm["valuesObject"]);
    let of_kind = |kind: &'static str| objects.iter().filter(move |it| it["kind"] == kind);
    // Argo CD must never delete a CustomResourceDefinition.
    assert_eq!(of_kind("CustomResourceDefinition").count(), 2);
    for crd in of_kind("CustomResourceDefinition") {
        let options = &crd["metadata"]["annotations"]["argocd.argoproj.io/sync-options"];
        assert_eq!(options, "Prune=false,Delete=false");
    }
    let account = of_kind("ServiceAccount").next().expect("an account");
    let role = &account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"];
    assert!(role.is_string(), "{account:#}");
    assert_eq!(of_kind("Pod").count(), 0, "Argo CD runs no tests of Helm");
}
