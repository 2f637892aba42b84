//! The setting of the scenarios: a control plane, the fast Cognito, resources with their Secrets, and the
//! operator as released.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cognito::Cognito;
use crate::support::operator::{NAMESPACE, OperatorBuilder, SERVICE_ACCOUNT, USER};
use crate::support::{ControlPlane, Mark, Operator, client_for, grants, resources};

/// The grant that exists from the beginning, for every namespace.
pub(crate) const GRANT: &str = "bench";

pub(crate) const POOL: &str = "eu-west-1_AbCdEf123";

/// As many as the operator has slots.
pub(crate) const CONCURRENCY: usize = 32;

/// A rate that no scenario reaches.
pub(crate) const UNLIMITED: u32 = 10_000;

/// The time limit of every wait.
const DEADLINE: Duration = Duration::from_mins(10);

pub(crate) struct Stage {
    pub(crate) plane: ControlPlane,
    pub(crate) client: Client,
    pub(crate) cognito: Cognito,
    /// The path of the operator's program.
    operator: PathBuf,
    /// The number of resources whose passwords the operator must set.
    resources: AtomicUsize,
    token: String,
    kubeconfig: PathBuf,
    began: Instant,
}

impl Stage {
    /// Starts a control plane with the operator's manifests and its grant, and nothing else.
    pub(crate) async fn set(operator: PathBuf) -> Self {
        let plane = tokio::task::spawn_blocking(|| {
            let plane = ControlPlane::start();
            plane.install("deploy/");
            plane
        });
        let plane = plane.await.expect("the control plane starts");
        let client = plane.client().await;
        let everybody = json!({ "selector": {} });
        grant(&client, GRANT, &json!(["*"]), &everybody).await;
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

    /// Starts the operator as deployed, with this limit of calls a second.
    pub(crate) async fn operator(&self, rps: u32) -> Operator {
        self.builder(&self.kubeconfig, rps).start().await
    }

    /// Starts the operator with another kubeconfig.
    pub(crate) async fn operator_by(&self, kubeconfig: &Path, rps: u32) -> Operator {
        self.builder(kubeconfig, rps).start().await
    }

    /// Starts the operator with more arguments.
    pub(crate) async fn operator_with(&self, rps: u32, args: &[&str]) -> Operator {
        let builder = self.builder(&self.kubeconfig, rps);
        let builder = args.iter().fold(builder, |builder, arg| builder.arg(*arg));
        builder.start().await
    }

    /// The same, but the allocator gives each free page back at once. So the memory of two operators can be compared:
    /// pages that are free, and not yet given back, vary by a megabyte from run to run.
    pub(crate) async fn operator_without_free_pages(&self, rps: u32, args: &[&str]) -> Operator {
        let builder = self.builder(&self.kubeconfig, rps);
        let builder = args.iter().fold(builder, |builder, arg| builder.arg(*arg));
        let at_once = "dirty_decay_ms:0,muzzy_decay_ms:0";
        builder.env("_RJEM_MALLOC_CONF", at_once).start().await
    }

    fn builder(&self, kubeconfig: &Path, rps: u32) -> OperatorBuilder<'_> {
        Operator::builder(&self.plane)
            .binary(&self.operator)
            .kubeconfig(kubeconfig)
            .cognito(self.cognito.url())
            .leader_elect()
            .arg("--cognito-rps")
            .arg(rps.to_string())
            .arg("--cognito-burst")
            .arg(rps.to_string())
    }

    /// Starts the operator without a noticeable rate limit, and waits until every resource is in sync.
    pub(crate) async fn operator_in_sync(&self) -> Operator {
        let operator = self.operator(UNLIMITED).await;
        self.verified(&operator).await;
        operator
    }

    /// Ends the operator and waits, so that the next operator need not wait for the lease.
    pub(crate) async fn end(&self, operator: Operator) {
        let exit = operator.terminate(Duration::from_secs(20)).await;
        assert!(exit.success(), "{}", operator.logs());
    }

    /// The number of resources whose passwords the operator must set.
    pub(crate) fn count(&self) -> usize {
        self.resources.load(Ordering::Relaxed)
    }

    /// A client with the operator's rights. The API server does more work for such a client than for an
    /// administrator.
    pub(crate) async fn as_operator(&self) -> Client {
        client_for(&self.kubeconfig).await
    }

    /// The operator's token, for a separate connection to the API server.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Waits until the operator has processed every resource, and every resource is in sync.
    pub(crate) async fn verified(&self, operator: &Operator) {
        self.settled(operator, &[("PasswordSet", self.count())])
            .await;
    }

    /// Waits until the operator has processed every resource, and these numbers of resources have these
    /// reasons.
    pub(crate) async fn settled(&self, operator: &Operator, expected: &[(&str, usize)]) {
        let of = |metrics: &str, name: &str, labels: &[(&str, &str)]| {
            let name = format!("cognito_password_operator_{name}");
            crate::support::metrics::value(metrics, &name, labels).unwrap_or(0.0)
        };
        self.until("everything is looked at", async || {
            if let Some(exit) = operator.exit() {
                panic!("the operator ended, {exit:?}: {}", operator.logs());
            }
            // Ready only once the watches are listed and every resource was triaged.
            let (status, why) = operator.try_get("/readyz").await?;
            if status != 200 {
                return Err(why);
            }
            let (_, metrics) = operator.try_get("/metrics").await?;
            let queue = of(&metrics, "queue_length", &[]) + of(&metrics, "budget_waiting", &[]);
            let say = |reason: &str| of(&metrics, "resources", &[("reason", reason)]);
            let unlike = expected.iter().find(|(reason, count)| {
                say(reason) < number(*count) || say(reason) > number(*count)
            });
            match unlike {
                None if queue == 0.0 => Ok(()),
                Some((reason, count)) => {
                    let now = say(reason);
                    Err(format!("{now} and not {count} say {reason}, {queue} wait"))
                }
                None => Err(format!("{queue} wait")),
            }
        })
        .await;
    }

    /// Repeats a check with almost no pause, until the check passes.
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

    /// Waits for a call for the user after `since`. Returns the time of the call.
    pub(crate) async fn called(&self, user: &str, since: Instant) -> Instant {
        let mut at = since;
        self.until("the value is set", async || {
            at = self.cognito.called(user, since).ok_or_else(String::new)?;
            Ok(())
        })
        .await;
        at
    }

    /// Writes a grant of the pool.
    pub(crate) async fn grant(&self, name: &str, usernames: &Value, namespaces: &Value) {
        grant(&self.client, name, usernames, namespaces).await;
    }

    /// Waits until a grant's status has the grant's current generation.
    pub(crate) async fn grant_told(&self, name: &str) {
        self.until("the grant's status is up to date", async || {
            let grant = grants(&self.client).get(name).await;
            let grant = grant.map_err(|error| error.to_string())?;
            let observed = grant.data["status"]["observedGeneration"].as_i64();
            if observed == grant.metadata.generation {
                return Ok(());
            }
            Err(format!("it is of {observed:?}"))
        })
        .await;
    }

    /// Makes an empty namespace.
    pub(crate) async fn crowd(&self, prefix: &str) -> Crowd {
        let namespace = self.plane.new_namespace(prefix).await;
        Crowd::new(&self.client, namespace, Vec::new())
    }

    /// Makes a namespace with this many Secrets of 2 KB and their resources.
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

    /// Makes Secrets of 2 KB and their resources.
    pub(crate) async fn make(&self, crowd: &Crowd, names: &[String], suspend: bool) {
        at_once(names, async |name: &String| crowd.make(name, suspend).await).await;
        if !suspend {
            self.resources.fetch_add(names.len(), Ordering::Relaxed);
        }
    }

    /// Deletes resources that were not suspended, and their Secrets.
    pub(crate) async fn delete(&self, crowd: &Crowd, names: &[String]) {
        at_once(names, async |name: &String| crowd.delete(name).await).await;
        self.resources.fetch_sub(names.len(), Ordering::Relaxed);
    }

    /// The operator's requests to the API server since the mark.
    pub(crate) fn asked(&self, since: Mark) -> Vec<AuditedRequest> {
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
            AuditedRequest {
                verb: of("/verb").to_owned(),
                resource: of("/objectRef/resource").to_owned(),
                subresource: of("/objectRef/subresource").to_owned(),
                namespace: of("/objectRef/namespace").to_owned(),
            }
        });
        asked.collect()
    }
}

/// One request of the audit log.
pub(crate) struct AuditedRequest {
    verb: String,
    resource: String,
    subresource: String,
    namespace: String,
}

impl AuditedRequest {
    /// Whether the request reads a Secret's value, other than the operator's own fingerprint keys.
    pub(crate) fn is_secret_read(&self) -> bool {
        self.resource == "secrets" && self.verb == "get" && self.namespace != NAMESPACE
    }

    pub(crate) fn is_status_write(&self) -> bool {
        self.subresource == "status" && self.resource == "cognitouserpasswords"
    }

    /// Whether an idle operator sends this request: a watch, or a renewal of the lease.
    pub(crate) fn is_idle(&self) -> bool {
        self.verb == "watch" || self.resource == "leases"
    }
}

/// Resources and their Secrets, with the same names.
pub(crate) struct Crowd {
    pub(crate) namespace: String,
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

    /// The same crowd with another client.
    pub(crate) fn by(&self, client: &Client) -> Self {
        Self::new(client, self.namespace.clone(), self.names.clone())
    }

    async fn make(&self, name: &str, suspend: bool) {
        self.make_secret(name).await;
        let mut resource = resource(name, POOL, name, name);
        resource.data["spec"]["suspend"] = json!(suspend);
        self.make_resource(&resource).await;
    }

    /// Makes a Secret of 2 KB.
    pub(crate) async fn make_secret(&self, name: &str) {
        let secret: Secret = from(json!({
            "metadata": { "name": name },
            "stringData": { "password": format!("First-{name}"), "more": "x".repeat(1_900) },
        }));
        let made = self.secrets.create(&PostParams::default(), &secret).await;
        made.expect("a Secret");
    }

    /// Creates a resource.
    pub(crate) async fn make_resource(&self, resource: &DynamicObject) {
        let made = self
            .resources
            .create(&PostParams::default(), resource)
            .await;
        made.expect("a resource");
    }

    pub(crate) async fn delete(&self, name: &str) {
        let params = DeleteParams::default();
        let deleted = self.resources.delete(name, &params).await;
        deleted.expect("the resource can be deleted");
        let deleted = self.secrets.delete(name, &params).await;
        deleted.expect("the Secret can be deleted");
    }

    /// Writes a new value into a Secret.
    pub(crate) async fn rotate(&self, name: &str, value: &str) {
        let patch = json!({ "stringData": { "password": format!("{value}-{name}") } });
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = self.secrets.patch(name, &params, &patch);
        patched.await.expect("the Secret can be patched");
    }
}

/// A resource for a user of a pool.
pub(crate) fn resource(name: &str, pool: &str, username: &str, secret: &str) -> DynamicObject {
    from(json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": { "name": name },
        "spec": {
            "userPoolId": pool, "username": username,
            "passwordSecretRef": { "name": secret },
        },
    }))
}

/// Writes a grant of the pool.
async fn grant(client: &Client, name: &str, usernames: &Value, namespaces: &Value) {
    let grant = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1", "kind": "CognitoUserPoolGrant",
        "metadata": { "name": name },
        "spec": { "userPoolId": POOL, "usernames": usernames, "namespaces": namespaces },
    });
    let params = PatchParams::apply("bench").force();
    let written = grants(client)
        .patch(name, &params, &Patch::Apply(grant))
        .await;
    written.expect("a grant");
}

/// Runs `act` for all, with [`CONCURRENCY`] at a time.
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
