//! Runs Helm, and reads what Helm and kustomize render.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::{
    operator::NAMESPACE,
    scratch,
    tools::{self, Tool},
};

/// The release's name that gives the chart's objects the names of deploy/.
pub(crate) const RELEASE: &str = "cognito-password-operator";

/// The folder of the chart.
pub(crate) fn chart() -> PathBuf {
    tools::checkout().join("charts/cognito-password-operator")
}

/// A file of the chart, as text.
pub(crate) fn read(path: &str) -> String {
    let path = chart().join(path);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{} can't be read: {error}", path.display()))
}

/// A file of the chart, as YAML or JSON.
pub(crate) fn read_yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a tool in the checkout's root. Returns what the tool printed, or what the tool said on standard error.
pub(crate) fn run(tool: Tool, args: &[&str]) -> Result<String, String> {
    run_in(tools::checkout(), tool, args)
}

pub(crate) fn run_in(directory: &Path, tool: Tool, args: &[&str]) -> Result<String, String> {
    let home = scratch("helm");
    let output = Command::new(tools::path(tool))
        .args(args)
        .current_dir(directory)
        .env("HELM_CACHE_HOME", home.join("cache"))
        .env("HELM_CONFIG_HOME", home.join("config"))
        .env("HELM_DATA_HOME", home.join("data"))
        .env("KUBECONFIG", "/dev/null")
        .output()
        .unwrap_or_else(|error| panic!("{tool:?} can't be started: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).expect("the tool writes UTF-8"))
    } else {
        Err(said + &String::from_utf8_lossy(&output.stdout))
    }
}

/// Renders the chart with these values by this Helm. Returns YAML, or the refusal.
pub(crate) fn template_by(helm: Tool, release: &str, values: &Value) -> Result<String, String> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = scratch("values").join(format!("{number}.json"));
    std::fs::write(&file, values.to_string()).expect("the scratch folder can be written");
    let file = file.to_string_lossy().into_owned();
    let chart = chart().to_string_lossy().into_owned();
    let args = [
        "template",
        release,
        &chart,
        "--namespace",
        NAMESPACE,
        "--values",
        &file,
    ];
    run(helm, &args)
}

/// Renders the chart with these values by Helm 4.
pub(crate) fn template(values: &Value) -> Result<String, String> {
    template_by(Tool::Helm, RELEASE, values)
}

/// The objects that the chart renders with these values.
pub(crate) fn objects(values: &Value) -> Vec<Value> {
    let text = template(values).unwrap_or_else(|error| panic!("{values}: {error}"));
    documents(&text)
}

/// The objects of a stream of YAML documents, without empty documents.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let is_there = |object: &Value| !object.is_null();
    documents.into_iter().filter(is_there).collect()
}

/// The only object of a kind.
pub(crate) fn one<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|it| it["kind"] == kind).collect();
    let [object] = found[..] else {
        panic!("{} objects of kind {kind}", found.len());
    };
    object
}

/// The container's arguments.
pub(crate) fn args(objects: &[Value]) -> Vec<String> {
    let container = &one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let args = container["args"].as_array().expect("there are arguments");
    let text = |arg: &Value| arg.as_str().expect("an argument is text").to_owned();
    args.iter().map(text).collect()
}
