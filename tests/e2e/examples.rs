//! The examples of docs/recipes.md. Where another tool would make the resource, the test makes what the tool
//! would make, and the API server must accept the result.

mod eventbridge;
mod job;
mod wait;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{ControlPlane, tools};

/// The pool that the other tools know.
const POOL: &str = "eu-west-1_Elsewhere";

/// The YAML files in `deploy/examples`, with those in folders.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&folder(), &mut found);
    assert!(found.len() > 10, "{found:?}");
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the checkout") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "yaml") {
            found.push(path);
        }
    }
}

fn folder() -> PathBuf {
    tools::checkout().join("deploy/examples")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn objects(name: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The only object of a kind.
fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "two of kind {kind}");
    object
}

/// The element of a list with this value in a field.
fn named<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    let list = list.as_array().expect("a list");
    let found = list.iter().find(|element| element[field] == value);
    found.unwrap_or_else(|| panic!("nothing with {field} {value} in {list:#?}"))
}

/// The value at a path of fields, such as `spec.username`.
fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |inner, field| &inner[field])
}

/// The text with each `${expression}` replaced by its value.
fn interpolate(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = text.split("${");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (expression, rest) = part.split_once('}').expect("an expression ends");
        result.push_str(&value(expression));
        result.push_str(rest);
    }
    result
}

/// Asserts that the API server would create this object, in a namespace of the test.
async fn accepted(mut object: Value) {
    let plane = ControlPlane::shared();
    plane.install("deploy/");
    if object["metadata"]["namespace"].is_string() {
        object["metadata"]["namespace"] = plane.new_namespace("examples").await.into();
    }
    let create = ["create", "--dry-run=server", "-f", "-"];
    let created = plane.try_kubectl(&create, &object.to_string());
    created.unwrap_or_else(|error| panic!("{error}\n{object:#}"));
}

#[tokio::test]
async fn kustomize_copies_the_pools_id_into_grants_and_resources() {
    let plane = ControlPlane::shared();
    let built = plane.kubectl(&["kustomize", "deploy/examples/pool-id-kustomize"]);
    let objects: Vec<Value> = serde_saphyr::from_multiple(&built).expect("kubectl writes YAML");
    let pool = &self::objects("pool-id-kustomize/pool.yaml")[0]["data"]["userPoolId"];
    assert!(pool.is_string(), "{pool}");
    // The ConfigMap isn't applied.
    assert_eq!(objects.len(), 2, "{built}");
    for kind in ["CognitoUserPoolGrant", "CognitoUserPassword"] {
        let object = only(&objects, kind);
        assert_eq!(&object["spec"]["userPoolId"], pool, "{kind}");
        accepted(object.clone()).await;
    }
}

#[tokio::test]
async fn terraforms_manifest_names_the_user_that_terraform_makes() {
    let text = read("terraform.tf");
    let (_, manifest) = text.split_once("<<-YAML\n").expect("a manifest");
    let (manifest, _) = manifest.split_once("    YAML\n").expect("its end");
    let (_, user) = text
        .split_once("resource \"aws_cognito_user\" \"ci_bot\" {")
        .expect("a user");
    let (user, _) = user.split_once("\n}").expect("its end");
    // A line such as `username     = "ci-bot"`.
    let argument = |name: &str| {
        let mut lines = user.lines().map(|line| line.split_once('='));
        let found = lines.find_map(|line| line.filter(|(it, _)| it.trim() == name));
        found.map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    assert_eq!(argument("message_action").as_deref(), Some("SUPPRESS"));
    assert_eq!(argument("password"), None);
    assert_eq!(argument("temporary_password"), None);
    let manifest = interpolate(manifest, |expression| {
        let name = expression.strip_prefix("aws_cognito_user.ci_bot.");
        match name.expect("it is about the user") {
            "user_pool_id" => POOL.to_owned(),
            name => argument(name).unwrap_or_else(|| panic!("the user has no {name}")),
        }
    });
    let resource: Value = serde_saphyr::from_str(&manifest).expect("the manifest is YAML");
    assert_eq!(resource["spec"]["userPoolId"], POOL);
    assert_eq!(resource["spec"]["username"], "ci-bot");
    accepted(resource).await;
}

#[tokio::test]
async fn kros_template_makes_a_resource_in_the_pool_that_kro_makes() {
    let objects = objects("kro.yaml");
    let definition = only(&objects, "ResourceGraphDefinition");
    let instance = only(&objects, "BotPool");
    let fields = &definition["spec"]["schema"]["spec"];
    let pool = json!({ "status": { "id": POOL } });
    let template = &named(&definition["spec"]["resources"], "id", "password")["template"];
    let resource = interpolate(&template.to_string(), |expression| {
        let (root, path) = expression.split_once('.').expect("a path");
        let value = match root {
            "schema" => at(instance, path),
            "pool" => at(&pool, path),
            _ => panic!("{root} is no resource"),
        };
        if let Some(field) = path.strip_prefix("spec.") {
            assert_eq!(fields[field], "string", "the schema has no {field}");
        }
        let value = value.as_str();
        value
            .unwrap_or_else(|| panic!("no {expression}"))
            .to_owned()
    });
    let resource: Value = serde_json::from_str(&resource).expect("it is JSON");
    assert_eq!(resource["spec"]["userPoolId"], POOL);
    accepted(resource).await;
}

/// What function-patch-and-transform makes of one resource of a composition: the base, with each value that a
/// patch copies from the composite resource. `None` while a required value is missing.
fn composed(resource: &Value, composite: &Value) -> Option<Value> {
    let mut made = resource["base"].clone();
    for patch in resource["patches"].as_array().expect("patches") {
        if patch["type"] != "FromCompositeFieldPath" {
            continue;
        }
        let path = |field: &str| patch[field].as_str().expect("a path").to_owned();
        let value = at(composite, &path("fromFieldPath"));
        if value.is_null() {
            assert_eq!(patch["policy"]["fromFieldPath"], "Required", "{patch}");
            return None;
        }
        let to = path("toFieldPath");
        let place = to
            .split('.')
            .fold(&mut made, |inner, field| &mut inner[field]);
        *place = value.clone();
    }
    Some(made)
}

#[tokio::test]
async fn a_composition_makes_a_resource_once_the_pools_id_is_known() {
    let objects = objects("crossplane.yaml");
    let mut bot = only(&objects, "Bot").clone();
    let composition = only(&objects, "Composition");
    let resources = &composition["spec"]["pipeline"][0]["input"]["resources"];
    let password = named(resources, "name", "password");
    assert_eq!(composed(password, &bot), None);

    // Every path of the patches is a field of the definition.
    let definition = only(&objects, "CompositeResourceDefinition");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for resource in resources.as_array().expect("resources") {
        for patch in resource["patches"].as_array().expect("patches") {
            let from = patch["type"] == "FromCompositeFieldPath";
            let side = if from { "fromFieldPath" } else { "toFieldPath" };
            let path = patch[side].as_str().expect("a path");
            let place = path
                .split('.')
                .fold(schema, |it, field| &it["properties"][field]);
            assert_eq!(place["type"], "string", "{path}");
        }
    }

    // What the other patch copies from the user's status.
    bot["status"] = json!({ "userPoolId": POOL });
    let mut resource = composed(password, &bot).expect("nothing is missing");
    assert_eq!(resource["spec"]["userPoolId"], POOL);
    // Crossplane chooses name and namespace.
    resource["metadata"] = json!({ "name": "ci-bot-5f2b9", "namespace": "team-a" });
    accepted(resource).await;
    accepted(only(&objects, "ClusterRole").clone()).await;
}
