//! Each resource has the series that its status says, and no others.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

use crate::POOL;
use crate::state_metrics::{Series, StateMetrics};
use crate::support::{
    ControlPlane, Fault, FaultServer, Operator, await_resource, condition, eventually, grants,
    resources, wait_reason,
};

/// For what no test measures, on a machine that is busy.
const SOON: Duration = Duration::from_mins(3);

/// The usernames begin with this, and the names of the objects don't.
const USER: &str = "robot-4711-";

fn resource(namespace: &str, name: &str, suspend: bool) -> String {
    let resource = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "userPoolId": POOL,
            "username": format!("{USER}{name}"),
            "passwordSecretRef": { "name": name },
            "suspend": suspend,
        },
    });
    resource.to_string()
}

fn grant() -> String {
    let grant = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPoolGrant",
        "metadata": { "name": "team-a" },
        "spec": {
            "userPoolId": POOL,
            "usernames": [format!("{USER}*")],
            "namespaces": { "names": ["team-a"] },
        },
    });
    grant.to_string()
}

/// Resources of every fate, and the operator that wrote their statuses.
struct Scene {
    operator: Operator,
    plane: ControlPlane,
    cognito: FaultServer,
    client: kube::Client,
}

impl Scene {
    async fn start() -> Self {
        let cognito = FaultServer::start();
        let plane = ControlPlane::start();
        let builder = Operator::builder(&plane).cognito(cognito.url());
        let operator = builder.start().await;
        operator.wait_ready(SOON).await;
        for namespace in ["team-a", "team-b"] {
            plane.kubectl(&["create", "namespace", namespace]);
        }
        let scene = Self {
            client: plane.client().await,
            operator,
            plane,
            cognito,
        };
        scene.apply(&grant());
        for name in ["set", "refused", "later"] {
            scene.cognito.add_user(POOL, &format!("{USER}{name}"));
            scene.secret(name);
        }
        let refusal = Fault::error("InvalidPasswordException", "too short");
        scene
            .cognito
            .always_for((POOL, &format!("{USER}refused")), refusal);
        for name in ["set", "refused", "missing"] {
            scene.apply(&resource("team-a", name, false));
        }
        scene.apply(&resource("team-a", "suspended", true));
        scene.apply(&resource("team-b", "ungranted", false));
        for (namespace, name, status, reason) in [
            ("team-a", "set", "True", "PasswordSet"),
            ("team-a", "refused", "False", "InvalidPassword"),
            ("team-a", "missing", "False", "SecretNotFound"),
            ("team-b", "ungranted", "False", "NotGranted"),
        ] {
            wait_reason(&scene.client, (namespace, name), (status, reason), SOON).await;
        }
        scene.await_suspension("suspended").await;
        scene
    }

    fn apply(&self, object: &str) {
        self.plane.kubectl_stdin(&["apply", "-f", "-"], object);
    }

    fn secret(&self, name: &str) {
        let password = "--from-literal=password=First-Passw0rd";
        let create = [
            "create", "secret", "generic", name, "-n", "team-a", password,
        ];
        self.plane.kubectl(&create);
    }

    async fn await_suspension(&self, name: &str) {
        let is_suspended = |it: &DynamicObject| condition(it, "Suspended").is_some();
        let of = ("team-a", name);
        await_resource(&self.client, of, SOON, "suspended", is_suspended).await;
    }

    /// The series that the objects in the API server should have, by another way than kube-state-metrics goes.
    async fn wanted(&self) -> BTreeMap<Series, f64> {
        let mut wanted = BTreeMap::new();
        let all = ListParams::default();
        let mut objects = Vec::new();
        for namespace in ["team-a", "team-b"] {
            let list = resources(&self.client, namespace).list(&all).await;
            objects.extend(list.expect("the resources can be listed").items);
        }
        for object in objects {
            let labels = base(&object, &["namespace", "name"]);
            let mut info = labels.clone();
            info.insert("pool".to_owned(), POOL.to_owned());
            let suspended = object.data["spec"]["suspend"].to_string();
            info.insert("suspended".to_owned(), suspended);
            add(&mut wanted, "cup", &object, &labels, info);
            if let Some(at) = object.data.pointer("/status/synced/at") {
                let series = ("cup_last_set_timestamp_seconds".to_owned(), labels);
                wanted.insert(series, seconds(at));
            }
        }
        let list = grants(&self.client).list(&all).await;
        for object in list.expect("the grants can be listed").items {
            let labels = base(&object, &["name"]);
            let mut info = labels.clone();
            info.insert("pool".to_owned(), POOL.to_owned());
            add(&mut wanted, "cupg", &object, &labels, info);
            if let Some(count) = object.data["status"]["resources"].as_f64() {
                wanted.insert(("cupg_resources".to_owned(), labels), count);
            }
        }
        wanted
    }

    /// Waits until the page has exactly the series that the objects should have.
    async fn await_series(&self, metrics: &StateMetrics) -> BTreeMap<Series, f64> {
        eventually(SOON, async || {
            let found = metrics.series().await?;
            let wanted = self.wanted().await;
            if found == wanted {
                Ok(found)
            } else {
                let log = metrics.log();
                Err(format!("found {found:#?}\nwanted {wanted:#?}\n{log}"))
            }
        })
        .await
    }
}

fn base(object: &DynamicObject, names: &[&str]) -> BTreeMap<String, String> {
    let value = |name: &str| match name {
        "namespace" => object.metadata.namespace.clone(),
        _ => object.metadata.name.clone(),
    };
    let label = |name: &&str| ((*name).to_owned(), value(name).expect("it has one"));
    names.iter().map(label).collect()
}

/// The series of a status's conditions, and the info, which has the condition Ready.
fn add(
    wanted: &mut BTreeMap<Series, f64>,
    prefix: &str,
    object: &DynamicObject,
    labels: &BTreeMap<String, String>,
    mut info: BTreeMap<String, String>,
) {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let conditions = object.data.pointer("/status/conditions");
    for condition in conditions.and_then(Value::as_array).into_iter().flatten() {
        let mut labels = labels.clone();
        for field in ["type", "status", "reason"] {
            labels.insert(field.to_owned(), text(&condition[field]));
        }
        if condition["type"] == "Ready" {
            info.insert("ready".to_owned(), text(&condition["status"]));
            info.insert("reason".to_owned(), text(&condition["reason"]));
        }
        let name = format!("{prefix}_condition_last_transition_timestamp_seconds");
        wanted.insert((name, labels), seconds(&condition["lastTransitionTime"]));
    }
    wanted.insert((format!("{prefix}_info"), info), 1.0);
}

fn seconds(time: &Value) -> f64 {
    let time: jiff::Timestamp = time.as_str().expect("a time").parse().expect("a time");
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let seconds = time.as_second() as f64;
    seconds
}

/// What the series of one resource say of the condition Ready.
fn info<'a>(series: &'a BTreeMap<Series, f64>, name: &str) -> &'a BTreeMap<String, String> {
    let is_info = |(series, labels): &&Series| series == "cup_info" && labels["name"] == name;
    let found: Vec<_> = series.keys().filter(is_info).collect();
    let [(_, labels)] = found[..] else {
        panic!("{name} has {} series cup_info", found.len());
    };
    labels
}

#[tokio::test]
async fn each_resource_has_its_series_and_a_deleted_one_has_none() {
    let scene = Scene::start().await;
    let metrics = StateMetrics::start(&scene.plane);
    let series = scene.await_series(&metrics).await;
    assert_eq!(info(&series, "set")["ready"], "True");
    assert_eq!(info(&series, "refused")["reason"], "InvalidPassword");
    assert_eq!(info(&series, "missing")["reason"], "SecretNotFound");
    assert_eq!(info(&series, "ungranted")["namespace"], "team-b");
    assert_eq!(info(&series, "suspended")["suspended"], "true");
    let granted = |(name, labels): &Series| name == "cupg_info" && labels["ready"] == "True";
    assert!(series.keys().any(granted), "{series:#?}");

    // Changes: suspended, resumed, set, deleted.
    scene.apply(&resource("team-a", "set", true));
    scene.await_suspension("set").await;
    scene.secret("missing");
    let client = &scene.client;
    wait_reason(
        client,
        ("team-a", "missing"),
        ("False", "UserNotFound"),
        SOON,
    )
    .await;
    scene.apply(&resource("team-a", "later", false));
    wait_reason(client, ("team-a", "later"), ("True", "PasswordSet"), SOON).await;
    scene
        .plane
        .kubectl(&["delete", "cup", "refused", "-n", "team-a"]);
    let series = scene.await_series(&metrics).await;
    assert_eq!(info(&series, "set")["suspended"], "true");
    assert_eq!(info(&series, "set")["ready"], "True");
    assert_eq!(info(&series, "missing")["reason"], "UserNotFound");
    let deleted = |(_, labels): &Series| labels["name"] == "refused";
    assert!(!series.keys().any(deleted), "{series:#?}");

    // A resource that no operator handles.
    assert!(scene.operator.terminate(SOON).await.success());
    scene.apply(&resource("team-b", "unhandled", false));
    let series = scene.await_series(&metrics).await;
    let unhandled = info(&series, "unhandled");
    assert!(!unhandled.contains_key("ready"), "{unhandled:?}");

    let page = metrics.page().await.expect("the page");
    assert!(!page.contains(USER), "a username is in the page:\n{page}");
    crate::promtool::assert_labels_of_the_tests(&series);
}
