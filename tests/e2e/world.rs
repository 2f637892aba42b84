//! The setting of most tests: a namespace of its own, a Cognito that records every call, and an operator that
//! watches the namespace, as a process with an identity of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use cognito_password_operator::core::access::iam::Feature;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::kstatus::check_all_versions;
use crate::support::{
    AuditQuery, Call, ControlPlane, FaultServer, Leaks, Mark, Operator, OperatorBuilder, Proxy,
    await_resource, client_for, describe, grants, is_list, operator, resource, resources,
    wait_reason,
};

/// The deadline for everything whose duration no test asserts: far more than a busy machine needs. A test of
/// a duration compares the duration with [`World::usual`].
pub(crate) const SOON: Duration = Duration::from_mins(2);

/// The pool of all users of the fault server.
pub(crate) const POOL: &str = "eu-west-1_AbCdEf123";

/// The annotation that asks for a set now.
pub(crate) const REQUESTED_AT: &str = "cognito-password-operator.io/requestedAt";

/// The resource whose calls show that the operator has seen all earlier events; see [`World::fence`].
pub(crate) const SENTINEL: &str = "sentinel";

/// A namespace, a Cognito and an identity; the operator is started by [`World::operator`].
pub(crate) struct World<'a> {
    /// Dropped before the other fields.
    pub(crate) leaks: Leaks<'a>,
    pub(crate) plane: &'a ControlPlane,
    /// A client of the administrator.
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
    pub(crate) cognito: Arc<FaultServer>,
    builder: OperatorBuilder<'a>,
    /// The id of the token that this world's operators present. All operators share one service account, so
    /// the id tells their requests apart.
    credential: String,
}

/// At the end of every world: the operators called no action of AWS that `iam-policy` does not grant, and kstatus
/// agrees with the conditions of every status.
impl Drop for World<'_> {
    fn drop(&mut self) {
        let granted = Feature::ALL.iter().flat_map(|feature| feature.actions());
        // Every identity may call `GetCallerIdentity`.
        let granted: BTreeSet<_> = granted.copied().chain(["sts:GetCallerIdentity"]).collect();
        let mut asked = self.cognito.actions();
        asked.retain(|action| !granted.contains(&**action));
        if !std::thread::panicking() {
            assert!(asked.is_empty(), "no right of iam-policy's: {asked:?}");
            check_all_versions(self.plane);
        }
    }
}

impl World<'static> {
    /// A world on the control plane that most tests share.
    pub(crate) async fn new(prefix: &str) -> Self {
        Self::on(ControlPlane::shared(), prefix).await
    }

    /// A world on one of two other control planes. While the guard lives, no other operator runs there. For
    /// tests of things that all operators of a control plane share.
    pub(crate) async fn alone(prefix: &str) -> (Self, MutexGuard<'static, ()>) {
        static PLANES: [LazyLock<ControlPlane>; 2] =
            [const { LazyLock::new(ControlPlane::start) }; 2];
        static TURNS: [Mutex<()>; 2] = [const { Mutex::const_new(()) }; 2];
        let (plane, turn) = tokio::select! {
            turn = TURNS[0].lock() => (&*PLANES[0], turn),
            turn = TURNS[1].lock() => (&*PLANES[1], turn),
        };
        plane.install("deploy/");
        // Deletes the resources and grants of an earlier test.
        plane.kubectl(&["delete", "cup", "--all", "-A", "--wait=false"]);
        plane.kubectl(&["delete", "cupg", "--all", "--wait=false"]);
        for grant in plane.kubectl(&["get", "cupg", "-o", "name"]).lines() {
            // The grant may be gone by now.
            let freed = ["--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#];
            let _ = plane.try_kubectl(&[&["patch", grant][..], &freed].concat(), "");
        }
        let world = Self::on(plane, prefix).await;
        // Some tests delete the binding of all namespaces, or change the Deployment.
        plane.kubectl(&["apply", "-k", "deploy/"]);
        (world, turn)
    }
}

impl<'a> World<'a> {
    /// A world on a control plane of the test's own.
    pub(crate) async fn on(plane: &'a ControlPlane, prefix: &str) -> Self {
        plane.install("deploy/");
        let namespace = plane.new_namespace(prefix).await;
        let client = plane.client().await;
        // Only operators that watch all namespaces use grants.
        apply_grant(&client, &grant(&namespace)).await;
        let cognito = Arc::new(FaultServer::start());
        let token = plane.token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
        let kubeconfig = plane.kubeconfig_for_token(&format!("operator-{namespace}"), &token);
        let builder = Operator::builder(plane)
            .kubeconfig(&kubeconfig)
            .cognito(cognito.url())
            // The highest log levels, for the search of `Leaks`. The third variable makes the SDK's signer
            // print the request's body.
            .env("CPO_LOG", "trace")
            .env("RUST_LOG", "trace")
            .env("LOG_SIGNABLE_BODY", "true")
            .env("RUST_BACKTRACE", "full");
        let credential = credential_of(&client_for(&kubeconfig).await).await;
        let left = (&cognito, builder.remains());
        Self {
            leaks: Leaks::watch(plane, &namespace, &credential, left),
            plane,
            client,
            credential,
            namespace,
            cognito,
            builder,
        }
    }

    /// Creates or replaces this namespace's grant: the valid grant with this change.
    pub(crate) async fn grant(&self, change: impl FnOnce(&mut Value)) {
        let mut object = grant(&self.namespace);
        change(&mut object);
        apply_grant(&self.client, &object).await;
    }

    /// Deletes this namespace's grant.
    pub(crate) async fn revoke(&self) {
        grants(&self.client)
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .unwrap_or_else(|error| panic!("could not revoke {}: {error}", self.namespace));
    }

    /// Another namespace of the same world, with the same Cognito and the same operators, if these watch that
    /// namespace.
    pub(crate) async fn neighbour(&self, prefix: &str) -> Self {
        let namespace = self.plane.new_namespace(prefix).await;
        apply_grant(&self.client, &grant(&namespace)).await;
        Self {
            leaks: self.leaks.beside(&namespace),
            plane: self.plane,
            client: self.client.clone(),
            namespace,
            cognito: Arc::clone(&self.cognito),
            builder: self.builder.clone(),
            credential: self.credential.clone(),
        }
    }

    /// A builder for an operator that watches only this namespace.
    pub(crate) fn builder(&self) -> OperatorBuilder<'a> {
        self.cluster_wide().namespaces(&[&self.namespace])
    }

    /// A builder for an operator that watches all namespaces.
    pub(crate) fn cluster_wide(&self) -> OperatorBuilder<'a> {
        self.builder.clone()
    }

    /// A proxy in front of the API server, and a kubeconfig for an operator behind the proxy.
    pub(crate) fn proxy(&self) -> (Proxy, PathBuf) {
        let proxy = Proxy::start(self.plane);
        let token = (self.plane).token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
        let kubeconfig = proxy.kubeconfig(self.plane, &self.namespace, &token);
        (proxy, kubeconfig)
    }

    /// Starts an operator that watches only this namespace, and waits until the operator is ready.
    pub(crate) async fn operator(&self) -> Operator {
        let operator = self.builder().start().await;
        operator.wait_ready(SOON).await;
        operator
    }

    // Resources. The valid resource names the user and the Secret of its own name.

    /// Creates or replaces the resource: the valid resource with this change.
    pub(crate) async fn apply_resource(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1",
            "kind": "CognitoUserPassword",
            "metadata": { "name": name },
            "spec": {
                "userPoolId": POOL,
                "username": name,
                "passwordSecretRef": { "name": name },
            },
        });
        change(&mut object);
        resources(&self.client, &self.namespace)
            .patch(name, &applying(), &Patch::Apply(&object))
            .await
            .unwrap_or_else(|error| panic!("could not apply {object}: {error}"));
    }

    /// Merges a change into the present resource.
    pub(crate) async fn patch_resource(&self, name: &str, change: Value) -> DynamicObject {
        resources(&self.client, &self.namespace)
            .patch(name, &PatchParams::default(), &Patch::Merge(&change))
            .await
            .unwrap_or_else(|error| panic!("could not patch {name} with {change}: {error}"))
    }

    /// Requests a set, with this value of the annotation.
    pub(crate) async fn request(&self, name: &str, at: &str) {
        let change = json!({ "metadata": { "annotations": { REQUESTED_AT: at } } });
        self.patch_resource(name, change).await;
    }

    pub(crate) async fn delete_resource(&self, name: &str) {
        resources(&self.client, &self.namespace)
            .delete(name, &DeleteParams::default())
            .await
            .unwrap_or_else(|error| panic!("could not delete {name}: {error}"));
    }

    /// The present resource.
    pub(crate) async fn resource(&self, name: &str) -> DynamicObject {
        resource(&self.client, &self.namespace, name).await
    }

    /// The present status of a resource.
    pub(crate) async fn status(&self, name: &str) -> Value {
        self.resource(name).await.data["status"].clone()
    }

    // Secrets.

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates the Secret, or gives an existing Secret this key only.
    pub(crate) async fn apply_secret(&self, name: &str, key: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.leaks.note(value);
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        secret.data = Some([(key.to_owned(), ByteString(value.to_vec()))].into());
        self.secrets()
            .patch(name, &applying(), &Patch::Apply(&secret))
            .await
            .unwrap_or_else(|error| panic!("could not apply Secret {name}: {error}"));
    }

    /// Merges a change into the present Secret. New values go into `stringData`.
    pub(crate) async fn patch_secret(&self, name: &str, change: Value) -> Secret {
        let values = change["stringData"].as_object().into_iter().flatten();
        for value in values.filter_map(|(_, value)| value.as_str()) {
            self.leaks.note(value.as_bytes());
        }
        self.secrets()
            .patch(name, &PatchParams::default(), &Patch::Merge(&change))
            .await
            .unwrap_or_else(|error| panic!("could not patch Secret {name}: {error}"))
    }

    /// Changes a Secret's metadata, and waits until the status of the resource of the same name has the new
    /// version.
    pub(crate) async fn move_secret(&self, name: &str, change: Value) {
        let moved = self.patch_secret(name, change).await;
        let version = moved.metadata.resource_version.expect("a version");
        self.wait_for(name, "the version recorded", |resource| {
            resource.data["status"]["synced"]["secretResourceVersion"] == *version
        })
        .await;
    }

    pub(crate) async fn delete_secret(&self, name: &str) {
        self.secrets()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap_or_else(|error| panic!("could not delete Secret {name}: {error}"));
    }

    /// A resource's Events with this reason: one object each, however often the Event occurred.
    pub(crate) async fn events(&self, name: &str, reason: &str) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let fields = format!("involvedObject.name={name},reason={reason}");
        let list = events.list(&ListParams::default().fields(&fields)).await;
        list.unwrap_or_else(|error| panic!("could not list the events of {name}: {error}"))
            .items
    }

    /// Checks the calls for the resource's user: exactly these passwords, in this order.
    pub(crate) async fn assert_calls(&self, name: &str, wanted: &[&str]) {
        let resource = self.resource(name).await;
        let username = resource.data["spec"]["username"].as_str();
        let calls = self.cognito.calls_for(POOL, username.unwrap_or_default());
        let passwords: Vec<_> = calls.iter().map(|call| &*call.password).collect();
        if passwords != wanted {
            let state = describe(&self.client, &self.namespace, name).await;
            panic!("called with {passwords:?} instead of {wanted:?}: {calls:#?}\n{state}");
        }
    }

    // Waits. A wait that times out shows the resource and its Events.

    /// Waits until Ready has this status and reason.
    pub(crate) async fn wait(&self, name: &str, status: &str, reason: &str) -> DynamicObject {
        let name = (&*self.namespace, name);
        wait_reason(&self.client, name, (status, reason), SOON).await
    }

    /// Waits until the resource satisfies `wanted`.
    pub(crate) async fn wait_for(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        await_resource(&self.client, (&self.namespace, name), SOON, what, wanted).await
    }

    /// Waits until this is the user's password and the status reports this set.
    pub(crate) async fn wait_set(&self, name: &str, password: &str) -> DynamicObject {
        let what = format!("set to {password:?}");
        self.wait_for(name, &what, |resource| {
            let generation = &resource.data["status"]["conditions"][0]["observedGeneration"];
            self.says_set(POOL, resource, password)
                && generation.as_i64() == resource.metadata.generation
        })
        .await
    }

    /// Whether this is the user's password and the status says so. A watch may still show the status of an
    /// earlier set, so the time in the status must be after the set.
    pub(crate) fn says_set(&self, pool: &str, resource: &DynamicObject, password: &str) -> bool {
        let username = resource.data["spec"]["username"].as_str();
        let log = self
            .cognito
            .password_log(pool, username.unwrap_or_default());
        let status = &resource.data["status"];
        log.last().is_some_and(|(set_at, current)| {
            current == password && is_after(&status["synced"]["at"], *set_at)
        }) && status["attempt"].is_null()
            && status["conditions"][0]["reason"] == "PasswordSet"
    }

    /// Makes user, Secret and resource of one name, and waits until the status reports the set. The Event may
    /// come much later: see [`fence_events`](Self::fence_events).
    pub(crate) async fn in_sync(&self, name: &str, password: &str) -> DynamicObject {
        self.in_sync_as(name, name, password).await
    }

    async fn in_sync_as(&self, name: &str, username: &str, password: &str) -> DynamicObject {
        self.cognito.add_user(POOL, username);
        self.apply_secret(name, "password", password).await;
        let as_user = |object: &mut Value| object["spec"]["username"] = username.into();
        self.apply_resource(name, as_user).await;
        self.wait_set(name, password).await
    }

    /// Returns when the operator has seen everything that happened before. Each of its two watches keeps the
    /// order, so a later change of a sentinel comes last: first by the watch of Secrets, then by the watch of
    /// resources. An earlier event without an effect by then has no effect.
    pub(crate) async fn fence(&self) {
        let value = format!("fence-{:08x}", getrandom::u32().expect("randomness"));
        // One operator may see the sentinels of several worlds, so each sentinel has a user of its own.
        let username = format!("{SENTINEL}-{}", self.namespace);
        self.in_sync_as(SENTINEL, &username, &value).await;
        let request = format!("since-{:08x}", getrandom::u32().expect("randomness"));
        self.request(SENTINEL, &request).await;
        // If the pool has a history, the answer to the request is `NotConfirmed`.
        self.wait_for(SENTINEL, "the request answered", |resource| {
            resource.data["status"]["lastHandledReconcileAt"] == *request
        })
        .await;
    }

    /// Returns when the operator has written the Events of everything that happened before. The operator
    /// paces Events by the speed of the API server, and keeps their order, so a new sentinel's Event comes
    /// last. The operator drops an Event that the API server doesn't take within 5 s; then the next
    /// sentinel's Event comes last.
    pub(crate) async fn fence_events(&self) {
        const LOST: Duration = Duration::from_secs(30);
        self.fence().await;
        let mut number = 0;
        let told = async {
            loop {
                number += 1;
                let name = format!(
                    "{SENTINEL}-{number}-{:08x}",
                    getrandom::u32().expect("randomness")
                );
                self.in_sync(&name, &format!("fence-of-{name}")).await;
                let began = Instant::now();
                let mut is_told = false;
                while !is_told && began.elapsed() < LOST {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    is_told = !self.events(&name, "PasswordSet").await.is_empty();
                }
                self.delete_resource(&name).await;
                self.delete_secret(&name).await;
                if is_told {
                    return;
                }
            }
        };
        let told = tokio::time::timeout(5 * SOON, told).await;
        assert!(told.is_ok(), "no event of any sentinel is told");
        // The operator has also seen the deletion of the sentinel.
        self.fence().await;
    }

    /// Releases the second call for this user, and waits until the call has ended.
    pub(crate) async fn release_second_call(&self, username: &str) -> Hung {
        self.cognito.release();
        let second = |calls: &[Call]| {
            let mut calls = calls.iter().filter(|call| call.username == username);
            calls.nth(1).filter(|call| call.ended.is_some()).cloned()
        };
        let has_ended = |calls: &[Call]| second(calls).is_some();
        let cognito = &self.cognito;
        cognito
            .wait_until("end of the second call", SOON, has_ended)
            .await;
        match second(&cognito.calls()) {
            Some(call) if !call.abandoned => Hung::LongEnough,
            _ => Hung::TooShort,
        }
    }

    /// How long a few changes take on this machine now, from the test's write to the operator's write. On a
    /// busy machine the operator's promises take longer in the same proportion: [`assert_within`].
    pub(crate) async fn usual(&self) -> Duration {
        let began = Instant::now();
        self.fence().await;
        began.elapsed()
    }

    /// When the operator began the present open attempt.
    pub(crate) async fn attempt_since(&self, name: &str) -> SystemTime {
        let status = self.status(name).await;
        let began = status["attempt"]["startedAt"].as_str();
        let began = began.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        began
            .unwrap_or_else(|| panic!("{name} has no open attempt: {status:#}"))
            .into()
    }

    // Requests of this world's operators to the API server.

    pub(crate) fn mark(&self) -> Mark {
        self.plane.audit_mark()
    }

    /// Every request of this world's operators since the mark, in any namespace. Leaves out the sentinel's
    /// requests, and the [`questions`](Self::questions), which come at the start, at any time.
    pub(crate) fn requests(&self, since: Mark) -> Vec<Value> {
        let mut requests = self.all_requests(since);
        requests.retain(|request| !is_question(request));
        requests
    }

    /// The operators' requests since the mark about their own identity and rights.
    pub(crate) fn questions(&self, since: Mark) -> Vec<Value> {
        let mut requests = self.all_requests(since);
        requests.retain(is_question);
        requests
    }

    fn all_requests(&self, since: Mark) -> Vec<Value> {
        let query = AuditQuery::new().since(since).user(operator::USER);
        let mut requests = self.plane.audit(&query);
        requests.retain(|request| {
            let credential = request
                .pointer("/user/extra/authentication.kubernetes.io~1credential-id/0")
                .and_then(Value::as_str);
            let name = request.pointer("/objectRef/name").and_then(Value::as_str);
            credential == Some(&*self.credential)
                && !name.is_some_and(|name| name.starts_with(SENTINEL))
        });
        requests
    }

    /// Each request except watches, once, as [`line`] formats a request.
    pub(crate) fn traffic(&self, since: Mark) -> BTreeSet<String> {
        let requests = self.requests(since);
        let others = requests
            .iter()
            .filter(|request| request["verb"] != "watch" || is_list(request));
        others.map(line).collect()
    }

    /// The requests that wrote a status.
    pub(crate) fn status_writes(&self, since: Mark) -> Vec<Value> {
        let mut requests = self.requests(since);
        requests
            .retain(|request| request.pointer("/objectRef/subresource") == Some(&json!("status")));
        requests
    }
}

fn is_question(request: &Value) -> bool {
    let resource = request["objectRef"]["resource"].as_str();
    resource.is_some_and(|resource| resource.starts_with("selfsubject"))
}

/// Checks that a duration is within `promised` on an idle machine, and longer in proportion on a busy
/// machine, on which a few changes take `usual`.
#[track_caller]
pub(crate) fn assert_within(promised: Duration, took: Duration, usual: Duration) {
    let most = promised + 10 * usual;
    assert!(
        took < most,
        "{took:?}, not within {promised:?} ({usual:?} is usual)"
    );
}

/// Plays a scene in which a call hangs while other steps happen. The operator gives up a call of Cognito
/// after 5 s, and of STS after 2 s. A busy machine may need longer for the other steps: then the scene
/// returns [`Hung::TooShort`], and is repeated with another name.
pub(crate) async fn while_call_hangs(mut scene: impl AsyncFnMut(&str) -> Hung) {
    for number in 1..=20 {
        if scene(&format!("bot-{number}")).await == Hung::LongEnough {
            return;
        }
    }
    panic!("each time the operator gave up what hung before the other things had happened");
}

/// The time between two moments that servers of the tests recorded.
pub(crate) fn since(began: SystemTime, seen: Instant) -> Duration {
    let seen = SystemTime::now().checked_sub(seen.elapsed());
    let seen = seen.expect("since this process started");
    let since = seen.duration_since(began);
    since.unwrap_or_else(|error| panic!("it came before that: {error}"))
}

/// Whether a time in a status is after a moment that a server of the tests recorded. The two clocks may
/// differ by a millisecond.
fn is_after(time: &Value, moment: Instant) -> bool {
    let time: Option<Timestamp> = time.as_str().and_then(|time| time.parse().ok());
    let moment = SystemTime::now().checked_sub(moment.elapsed() + Duration::from_millis(1));
    let moment = moment.expect("since this process started");
    let moment = Timestamp::try_from(moment).expect("a time of our own age");
    time.is_some_and(|time| time > moment)
}

/// Whether the call hung until its release, so that all other steps happened during the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hung {
    LongEnough,
    TooShort,
}

/// `patch cognitouserpasswords/status bot`: a request in one line.
pub(crate) fn line(request: &Value) -> String {
    let part = |pointer| request.pointer(pointer).and_then(Value::as_str);
    let verb = part("/verb").unwrap_or_default();
    let mut line = format!(
        "{} {}",
        if is_list(request) { "list" } else { verb },
        part("/objectRef/resource").unwrap_or_default()
    );
    if let Some(subresource) = part("/objectRef/subresource") {
        line = format!("{line}/{subresource}");
    }
    if let Some(name) = part("/objectRef/name") {
        line = format!("{line} {name}");
    }
    line
}

/// A grant that lets a namespace manage all users of the tests' pool. The grant has the name of the
/// namespace.
fn grant(namespace: &str) -> Value {
    json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPoolGrant",
        "metadata": { "name": namespace },
        "spec": {
            "userPoolId": POOL,
            "usernames": ["*"],
            "namespaces": { "names": [namespace] },
        },
    })
}

async fn apply_grant(client: &kube::Client, grant: &Value) {
    let name = grant["metadata"]["name"].as_str().expect("it has a name");
    grants(client)
        .patch(name, &applying(), &Patch::Apply(grant))
        .await
        .unwrap_or_else(|error| panic!("could not apply {grant}: {error}"));
}

fn applying() -> PatchParams {
    PatchParams::apply("tests").force()
}

/// The id of the token that this client presents, as in the audit log.
async fn credential_of(client: &kube::Client) -> String {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .unwrap_or_else(|error| panic!("the API server doesn't say who we are: {error}"));
    review
        .status
        .and_then(|status| status.user_info?.extra)
        .and_then(|mut extra| extra.remove("authentication.kubernetes.io/credential-id"))
        .and_then(|mut ids| ids.pop())
        .expect("every token has an id")
}
