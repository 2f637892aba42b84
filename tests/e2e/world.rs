//! What most tests begin with: a namespace of their own, a Cognito that notes every call, and an
//! operator that watches that namespace as a process with an identity of its own.

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

use crate::support::{
    AuditQuery, Call, ControlPlane, FaultServer, Leaks, Mark, Operator, OperatorBuilder, Proxy,
    await_resource, client_for, describe, grants, is_list, operator, resource, resources,
    wait_reason,
};

/// The deadline for everything whose duration no test asserts: far more than a busy machine needs. A
/// test that asserts a duration compares it with [`World::usual`].
pub(crate) const SOON: Duration = Duration::from_mins(2);

/// The pool of all users of the fault server.
pub(crate) const POOL: &str = "eu-west-1_AbCdEf123";

/// The annotation that asks for a set now.
pub(crate) const REQUESTED_AT: &str = "cognito-password-operator.io/requestedAt";

/// The one whose calls show that everything before has been seen; see [`World::fence`].
pub(crate) const SENTINEL: &str = "sentinel";

/// A namespace, a Cognito and an identity; the operator is started by [`World::operator`].
pub(crate) struct World<'a> {
    /// Before the end of everything else.
    pub(crate) leaks: Leaks<'a>,
    pub(crate) plane: &'a ControlPlane,
    /// An administrator's.
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
    pub(crate) cognito: Arc<FaultServer>,
    builder: OperatorBuilder<'a>,
    /// Tells the requests of this world's operators from those of all others, which have the same
    /// service account.
    credential: String,
}

/// Whatever the test was about: nothing was asked of AWS that `iam-policy` gives no right to.
impl Drop for World<'_> {
    fn drop(&mut self) {
        let granted = Feature::ALL.iter().flat_map(|feature| feature.actions());
        // Everybody may ask who they are.
        let granted: BTreeSet<_> = granted.copied().chain(["sts:GetCallerIdentity"]).collect();
        let mut asked = self.cognito.actions();
        asked.retain(|action| !granted.contains(&**action));
        if !std::thread::panicking() {
            assert!(asked.is_empty(), "no right of iam-policy's: {asked:?}");
        }
    }
}

impl World<'static> {
    /// On the control plane that most tests share.
    pub(crate) async fn new(prefix: &str) -> Self {
        Self::on(ControlPlane::shared(), prefix).await
    }

    /// On one of two other control planes, on which no other operator runs as long as the guard lives:
    /// for what all operators of a control plane have in common.
    pub(crate) async fn alone(prefix: &str) -> (Self, MutexGuard<'static, ()>) {
        static PLANES: [LazyLock<ControlPlane>; 2] =
            [const { LazyLock::new(ControlPlane::start) }; 2];
        static TURNS: [Mutex<()>; 2] = [const { Mutex::const_new(()) }; 2];
        let (plane, turn) = tokio::select! {
            turn = TURNS[0].lock() => (&*PLANES[0], turn),
            turn = TURNS[1].lock() => (&*PLANES[1], turn),
        };
        plane.install("deploy/");
        // Nobody of an earlier test is let in any more.
        plane.kubectl(&["delete", "cupg", "--all", "--wait=false"]);
        for grant in plane.kubectl(&["get", "cupg", "-o", "name"]).lines() {
            // It may be gone meanwhile.
            let freed = ["--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#];
            let _ = plane.try_kubectl(&[&["patch", grant][..], &freed].concat(), "");
        }
        let world = Self::on(plane, prefix).await;
        // Some of the tests take it away.
        plane.kubectl(&["apply", "-k", "deploy/all-namespaces/"]);
        (world, turn)
    }
}

impl<'a> World<'a> {
    /// On a control plane of one's own.
    pub(crate) async fn on(plane: &'a ControlPlane, prefix: &str) -> Self {
        plane.install("deploy/");
        let namespace = plane.new_namespace(prefix).await;
        let client = plane.client().await;
        // For the operators that watch all namespaces; the others have no grants.
        apply_grant(&client, &grant(&namespace)).await;
        let cognito = Arc::new(FaultServer::start());
        let token = plane.token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
        let kubeconfig = plane.kubeconfig_for_token(&format!("operator-{namespace}"), &token);
        let builder = Operator::builder(plane)
            .kubeconfig(&kubeconfig)
            .cognito(cognito.url())
            // Whatever it can say, it says: see `Leaks`. The third makes the SDK's signer print the
            // body.
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

    /// Makes the grant of this namespace the valid one with this change.
    pub(crate) async fn grant(&self, change: impl FnOnce(&mut Value)) {
        let mut object = grant(&self.namespace);
        change(&mut object);
        apply_grant(&self.client, &object).await;
    }

    /// Takes the grant of this namespace away.
    pub(crate) async fn revoke(&self) {
        grants(&self.client)
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .unwrap_or_else(|error| panic!("could not revoke {}: {error}", self.namespace));
    }

    /// Another namespace of the same world: with the same Cognito, and seen by the same operators
    /// if they watch it.
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

    /// An operator that watches this namespace only, to be adjusted and started.
    pub(crate) fn builder(&self) -> OperatorBuilder<'a> {
        self.cluster_wide().namespaces(&[&self.namespace])
    }

    /// An operator that watches all namespaces, to be adjusted and started.
    pub(crate) fn cluster_wide(&self) -> OperatorBuilder<'a> {
        self.builder.clone()
    }

    /// A proxy in front of the API server, and the kubeconfig of an operator behind it.
    pub(crate) fn proxy(&self) -> (Proxy, PathBuf) {
        let proxy = Proxy::start(self.plane);
        let token = (self.plane).token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
        let kubeconfig = proxy.kubeconfig(self.plane, &self.namespace, &token);
        (proxy, kubeconfig)
    }

    /// Starts an operator that watches this namespace only; it is ready.
    pub(crate) async fn operator(&self) -> Operator {
        let operator = self.builder().start().await;
        operator.wait_ready(SOON).await;
        operator
    }

    // Resources. The valid one is of the user and the Secret of the same name.

    /// Creates the resource, or makes it the valid one with this change.
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

    /// Merges a change into the resource as it is.
    pub(crate) async fn patch_resource(&self, name: &str, change: Value) -> DynamicObject {
        resources(&self.client, &self.namespace)
            .patch(name, &PatchParams::default(), &Patch::Merge(&change))
            .await
            .unwrap_or_else(|error| panic!("could not patch {name} with {change}: {error}"))
    }

    /// Asks for a set now, with this value of the annotation.
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

    /// The resource as it is now.
    pub(crate) async fn resource(&self, name: &str) -> DynamicObject {
        resource(&self.client, &self.namespace, name).await
    }

    /// Its status as it is now.
    pub(crate) async fn status(&self, name: &str) -> Value {
        self.resource(name).await.data["status"].clone()
    }

    // Secrets.

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates the Secret, or makes this its only key.
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

    /// Merges a change into the Secret as it is; new values go into `stringData`.
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

    /// Moves a Secret's metadata, and waits until the status of the resource of the same name has the
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

    /// Its events with this reason: one object each, however often it is counted.
    pub(crate) async fn events(&self, name: &str, reason: &str) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let fields = format!("involvedObject.name={name},reason={reason}");
        let list = events.list(&ListParams::default().fields(&fields)).await;
        list.unwrap_or_else(|error| panic!("could not list the events of {name}: {error}"))
            .items
    }

    /// Cognito was called for the resource's user with these passwords, one after the other, and
    /// never otherwise.
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

    // Waiting; whoever waits in vain shows the resource and its events.

    /// Waits for Ready to have this status and reason.
    pub(crate) async fn wait(&self, name: &str, status: &str, reason: &str) -> DynamicObject {
        let name = (&*self.namespace, name);
        wait_reason(&self.client, name, (status, reason), SOON).await
    }

    /// Waits till the resource is as `wanted`.
    pub(crate) async fn wait_for(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        await_resource(&self.client, (&self.namespace, name), SOON, what, wanted).await
    }

    /// Waits till this is the user's password, and the resource says Ready of just this set.
    pub(crate) async fn wait_set(&self, name: &str, password: &str) -> DynamicObject {
        let what = format!("set to {password:?}");
        self.wait_for(name, &what, |resource| {
            let generation = &resource.data["status"]["conditions"][0]["observedGeneration"];
            self.says_set(POOL, resource, password)
                && generation.as_i64() == resource.metadata.generation
        })
        .await
    }

    /// Whether this is the user's password, and the status says so. A watch may still show the status of the set
    /// before, so the time in the status must be after the set.
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

    /// Makes user, Secret and resource of one name, and waits till the status says that the password
    /// is set. The event may come much later: see [`fence_events`](Self::fence_events).
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

    /// Returns when the operator has seen all that happened before: each of its two watches tells
    /// in order, so that a sentinel's later change is seen last, by the watch of Secrets and then by
    /// that of resources. What nothing follows from by then, nothing follows from.
    pub(crate) async fn fence(&self) {
        let value = format!("fence-{:08x}", getrandom::u32().expect("randomness"));
        // One operator may see the sentinels of several worlds: each has a user of its own.
        let username = format!("{SENTINEL}-{}", self.namespace);
        self.in_sync_as(SENTINEL, &username, &value).await;
        let request = format!("since-{:08x}", getrandom::u32().expect("randomness"));
        self.request(SENTINEL, &request).await;
        // Where the pool keeps a history, its answer is that nothing is confirmed.
        self.wait_for(SENTINEL, "the request answered", |resource| {
            resource.data["status"]["lastHandledReconcileAt"] == *request
        })
        .await;
    }

    /// Returns when the operator has written the events of all that happened before. The operator paces
    /// events by how slow the API server is, and writes them in order: a new sentinel's event is the
    /// last. The operator drops an event that the API server doesn't take within 5 s; then the next
    /// sentinel's event is the last.
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

    /// Lets the second call for this user go on, and waits till it has ended.
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

    /// How long a few changes take on this machine now, from the test's write to the operator's. On a
    /// busy machine the operator's promises take longer in the same proportion: [`assert_within`].
    pub(crate) async fn usual(&self) -> Duration {
        let began = Instant::now();
        self.fence().await;
        began.elapsed()
    }

    /// When the operator began the attempt that is open now.
    pub(crate) async fn attempt_since(&self, name: &str) -> SystemTime {
        let status = self.status(name).await;
        let began = status["attempt"]["startedAt"].as_str();
        let began = began.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        began
            .unwrap_or_else(|| panic!("{name} has no open attempt: {status:#}"))
            .into()
    }

    // What was asked of the API server by this world's operators.

    pub(crate) fn mark(&self) -> Mark {
        self.plane.audit_mark()
    }

    /// Every request of theirs since then, whatever the namespace. Left out are the sentinel's, and the
    /// [`questions`](Self::questions), which come at the start, in their own time.
    pub(crate) fn requests(&self, since: Mark) -> Vec<Value> {
        let mut requests = self.all_requests(since);
        requests.retain(|request| !is_question(request));
        requests
    }

    /// What they asked since then about themselves and their own rights.
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

    /// Each of those that is no watch, once, as [`line`] has it.
    pub(crate) fn traffic(&self, since: Mark) -> BTreeSet<String> {
        let requests = self.requests(since);
        let others = requests
            .iter()
            .filter(|request| request["verb"] != "watch" || is_list(request));
        others.map(line).collect()
    }

    /// Those that wrote a status.
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

/// The operator kept a promise in time: within `promised` on an idle machine, and later on a busy one,
/// where a few changes take `usual`.
#[track_caller]
pub(crate) fn assert_within(promised: Duration, took: Duration, usual: Duration) {
    let most = promised + 10 * usual;
    assert!(
        took < most,
        "{took:?}, not within {promised:?} ({usual:?} is usual)"
    );
}

/// Plays a scene in which a call hangs while other things happen. The operator gives up a call of
/// Cognito after 5 s, and STS after 2 s. A busy machine may need longer for the other things: then the
/// scene returns [`Hung::TooShort`], and is played again with another name.
pub(crate) async fn while_call_hangs(mut scene: impl AsyncFnMut(&str) -> Hung) {
    for number in 1..=20 {
        if scene(&format!("bot-{number}")).await == Hung::LongEnough {
            return;
        }
    }
    panic!("each time the operator gave up what hung before the other things had happened");
}

/// The time from one moment to another, which a server of the tests noted.
pub(crate) fn since(began: SystemTime, seen: Instant) -> Duration {
    let seen = SystemTime::now().checked_sub(seen.elapsed());
    let seen = seen.expect("since this process started");
    let since = seen.duration_since(began);
    since.unwrap_or_else(|error| panic!("it came before that: {error}"))
}

/// Whether a time in a status, which the operator's clock gave, is after a moment that a server of the tests
/// noted. The two clocks may differ by a millisecond.
fn is_after(time: &Value, moment: Instant) -> bool {
    let time: Option<Timestamp> = time.as_str().and_then(|time| time.parse().ok());
    let moment = SystemTime::now().checked_sub(moment.elapsed() + Duration::from_millis(1));
    let moment = moment.expect("since this process started");
    let moment = Timestamp::try_from(moment).expect("a time of our own age");
    time.is_some_and(|time| time > moment)
}

/// Whether a call hung until it was released, or the other things had happened.
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

/// Lets a namespace manage all users of the tests' pool; of the same name.
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

/// The id of the token that this client presents, as the audit log has it.
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
