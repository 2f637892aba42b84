//! Where it is played: a control plane of its own, the fast Cognito, resources with their Secrets, and
//! the operator as it ships.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cognito::Cognito;
use crate::support::operator::{NAMESPACE, SERVICE_ACCOUNT, USER};
use crate::support::{ControlPlane, Mark, Operator, client_for, grants, resources};

pub(crate) const POOL: &str = "eu-west-1_AbCdEf123";

/// As many at a time as the operator has places.
pub(crate) const CONCURRENCY: usize = 32;

/// More calls a second than anybody makes.
pub(crate) const UNLIMITED: u32 = 10_000;

/// Nothing that is waited for takes longer.
const DEADLINE: Duration = Duration::from_mins(10);

pub(crate) struct Stage {
    pub(crate) plane: ControlPlane,
    pub(crate) client: Client,
    pub(crate) cognito: Cognito,
    /// The operator's program.
    operator: PathBuf,
    /// How many resources there are whose passwords are to be set.
    resources: AtomicUsize,
    token: String,
    kubeconfig: PathBuf,
    began: Instant,
}

impl Stage {
    /// With the operator installed, and its grant; nothing else is there.
    pub(crate) async fn set(operator: PathBuf) -> Self {
        let plane = tokio::task::spawn_blocking(|| {
            let plane = ControlPlane::start();
            plane.install("deploy/");
            plane
        });
        let plane = plane.await.expect("the control plane starts");
        let client = plane.client().await;
        let grant = json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1", "kind": "CognitoUserPoolGrant",
            "metadata": { "name": "bench" },
            "spec": {
                "userPoolId": POOL, "usernames": ["*"],
                "namespaces": { "selector": {} },
            },
        });
        grants(&client)
            .patch("bench", &PatchParams::apply("bench"), &Patch::Apply(grant))
            .await
            .expect("a grant");
        let token = plane.token_for(NAMESPACE, SERVICE_ACCOUNT);
        let kubeconfig = plane.kubeconfig_for_token("bench", &token);
        Self {
            plane,
            client,
            cognito: Cognito::start(),
            operator,
            resources: AtomicUsize::new(0),
            token,
            kubeconfig,
            began: Instant::now(),
        }
    }

    #[allow(clippy::print_stderr, reason = "its progress is for whoever waits")]
    pub(crate) fn say(&self, text: &str) {
        eprintln!("{:>7.1} s  {text}", self.began.elapsed().as_secs_f64());
    }

    /// Starts the operator as deployed, with so many calls a second.
    pub(crate) async fn operator(&self, rps: u32) -> Operator {
        self.operator_by(&self.kubeconfig, rps).await
    }

    /// The same, by another way to the API server.
    pub(crate) async fn operator_by(&self, kubeconfig: &Path, rps: u32) -> Operator {
        Operator::builder(&self.plane)
            .binary(&self.operator)
            .kubeconfig(kubeconfig)
            .cognito(self.cognito.url())
            .leader_elect()
            .arg("--cognito-rps")
            .arg(rps.to_string())
            .arg("--cognito-burst")
            .arg(rps.to_string())
            .start()
            .await
    }

    /// Without a limit that could be felt, and everything in sync.
    pub(crate) async fn operator_in_sync(&self) -> Operator {
        let operator = self.operator(UNLIMITED).await;
        self.verified(&operator).await;
        operator
    }

    /// Ends it, so that the next one needn't wait for its lease.
    pub(crate) async fn end(&self, operator: Operator) {
        let exit = operator.terminate(Duration::from_secs(20)).await;
        assert!(exit.success(), "{}", operator.logs());
    }

    /// How many resources there are whose passwords are to be set.
    pub(crate) fn count(&self) -> usize {
        self.resources.load(Ordering::Relaxed)
    }

    /// A client with the operator's rights: the API server does more for those than for an administrator.
    pub(crate) async fn as_operator(&self) -> Client {
        client_for(&self.kubeconfig).await
    }

    /// The operator's token, for a way of one's own to the API server.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Waits until the operator has looked at everything, and all are as their Secrets say.
    pub(crate) async fn verified(&self, operator: &Operator) {
        let count = number(self.count());
        let of = |metrics: &str, name: &str, labels: &[(&str, &str)]| {
            let name = format!("cognito_password_operator_{name}");
            crate::support::metrics::value(metrics, &name, labels).unwrap_or(0.0)
        };
        self.until("everything is in sync", async || {
            if let Some(exit) = operator.exit() {
                panic!("the operator ended, {exit:?}: {}", operator.logs());
            }
            // Not before it has listed and glanced at everything.
            let (status, why) = operator.try_get("/readyz").await?;
            if status != 200 {
                return Err(why);
            }
            let (_, metrics) = operator.try_get("/metrics").await?;
            let set = of(&metrics, "resources", &[("reason", "PasswordSet")]);
            let queue = of(&metrics, "queue_length", &[]) + of(&metrics, "budget_waiting", &[]);
            if (set, queue) == (count, 0.0) {
                return Ok(());
            }
            Err(format!("{set} are set, {queue} wait"))
        })
        .await;
    }

    /// Asks again and again, with hardly a pause.
    pub(crate) async fn until(
        &self,
        what: &str,
        mut check: impl AsyncFnMut() -> Result<(), String>,
    ) {
        let began = Instant::now();
        while let Err(why) = check().await {
            assert!(
                began.elapsed() < DEADLINE,
                "{what}: not after {DEADLINE:?}: {why}"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Makes a namespace with so many Secrets of 2 KB and the resources for them.
    pub(crate) async fn fill(&self, prefix: &str, count: usize, suspend: bool) -> Crowd {
        let namespace = self.plane.new_namespace(prefix).await;
        let names = (0..count).map(|n| format!("{prefix}-{n}")).collect();
        let crowd = Crowd::new(&self.client, namespace, names);
        let began = Instant::now();
        self.make(&crowd, &crowd.names, suspend).await;
        let took = began.elapsed().as_secs_f64();
        self.say(&format!("{count} resources made in {took:.1} s"));
        crowd
    }

    /// Makes Secrets of 2 KB and the resources for them.
    pub(crate) async fn make(&self, crowd: &Crowd, names: &[String], suspend: bool) {
        at_once(names, async |name: &String| crowd.make(name, suspend).await).await;
        if !suspend {
            self.resources.fetch_add(names.len(), Ordering::Relaxed);
        }
    }

    /// Deletes resources that weren't suspended, and their Secrets.
    pub(crate) async fn delete(&self, crowd: &Crowd, names: &[String]) {
        at_once(names, async |name: &String| crowd.delete(name).await).await;
        self.resources.fetch_sub(names.len(), Ordering::Relaxed);
    }

    /// What the operator asked the API server since then: verb, resource, subresource.
    pub(crate) fn asked(&self, since: Mark) -> Vec<Asked> {
        let lines = self.plane.audit_lines(since, &[USER]);
        let events = lines.split(|byte| *byte == b'\n');
        let events = events.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let asked = events.map(|event| {
            let of = |path| {
                event
                    .pointer(path)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            Asked {
                verb: of("/verb").to_owned(),
                resource: of("/objectRef/resource").to_owned(),
                subresource: of("/objectRef/subresource").to_owned(),
                namespace: of("/objectRef/namespace").to_owned(),
            }
        });
        asked.collect()
    }
}

/// One request.
pub(crate) struct Asked {
    verb: String,
    resource: String,
    subresource: String,
    namespace: String,
}

impl Asked {
    /// A Secret's value; not that of the operator's own fingerprint keys.
    pub(crate) fn is_secret_read(&self) -> bool {
        self.resource == "secrets" && self.verb == "get" && self.namespace != NAMESPACE
    }

    pub(crate) fn is_status_write(&self) -> bool {
        self.subresource == "status" && self.resource == "cognitouserpasswords"
    }

    /// What an idle operator does: its watches, and its lease.
    pub(crate) fn is_idle(&self) -> bool {
        self.verb == "watch" || self.resource == "leases"
    }
}

/// Resources with their Secrets, by the same names.
pub(crate) struct Crowd {
    namespace: String,
    pub(crate) secrets: Api<Secret>,
    pub(crate) resources: Api<DynamicObject>,
    pub(crate) names: Vec<String>,
}

impl Crowd {
    fn new(client: &Client, namespace: String, names: Vec<String>) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), &namespace),
            resources: resources(client, &namespace),
            namespace,
            names,
        }
    }

    /// The same, by another client.
    pub(crate) fn by(&self, client: &Client) -> Self {
        Self::new(client, self.namespace.clone(), self.names.clone())
    }

    async fn make(&self, name: &str, suspend: bool) {
        let secret: Secret = from(json!({
            "metadata": { "name": name },
            "stringData": { "password": format!("First-{name}"), "more": "x".repeat(1_900) },
        }));
        let params = PostParams::default();
        let made = self.secrets.create(&params, &secret).await;
        made.expect("a Secret");
        let resource: DynamicObject = from(json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1",
            "kind": "CognitoUserPassword",
            "metadata": { "name": name },
            "spec": {
                "userPoolId": POOL, "username": name, "suspend": suspend,
                "passwordSecretRef": { "name": name },
            },
        }));
        let made = self.resources.create(&params, &resource).await;
        made.expect("a resource");
    }

    async fn delete(&self, name: &str) {
        let params = DeleteParams::default();
        let deleted = self.resources.delete(name, &params).await;
        deleted.expect("the resource can be deleted");
        let deleted = self.secrets.delete(name, &params).await;
        deleted.expect("the Secret can be deleted");
    }

    /// A new value.
    pub(crate) async fn rotate(&self, name: &str, value: &str) {
        let patch = json!({ "stringData": { "password": format!("{value}-{name}") } });
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = self.secrets.patch(name, &params, &patch);
        patched.await.expect("the Secret can be patched");
    }
}

/// All of them, as many at a time as there are places.
pub(crate) async fn at_once<T>(all: &[T], act: impl AsyncFn(&T)) {
    let act = &act;
    stream::iter(all)
        .for_each_concurrent(CONCURRENCY, |one| async move { act(one).await })
        .await;
}

pub(crate) fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("it is well-formed")
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}
