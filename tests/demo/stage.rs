//! The setting of the story: the API server, moto, the operator, and the ways to query them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject};
use kube::runtime::wait::await_condition;
use serde_json::Value;

use crate::Step;
use crate::metrics::Metrics;
use crate::say::Say;
use crate::support::{
    AuditQuery, ControlPlane, Mark, Moto, Operator, SignIn, condition, describe, grants, operator,
    resources,
};

/// The namespace of most chapters.
pub(crate) const NAMESPACE: &str = "team-a";
/// The namespace of the second team.
pub(crate) const OTHER: &str = "team-b";
/// The resources of the story, in order of appearance.
const RESOURCES: [(&str, &str); 3] = [
    (NAMESPACE, "ci-bot"),
    (NAMESPACE, "deploy-bot"),
    (OTHER, "report-bot"),
];
/// Much longer than any step takes, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);

const CALLS: &str = "cognito_password_operator_cognito_calls_total";
const KNOWN: &str = "cognito_password_operator_resources";

pub(crate) struct Stage {
    // Fields drop in this order: the operator before the servers that the operator uses.
    pub(crate) operator: Operator,
    /// With `METRICS=1`.
    pub(crate) metrics: Option<Metrics>,
    pub(crate) moto: Moto,
    pub(crate) plane: ControlPlane,
    binary: PathBuf,
    client: kube::Client,
    /// The logs of operators that have ended.
    earlier_logs: String,
    /// The namespace of the current scene.
    pub(crate) namespace: &'static str,
    pub(crate) pool: String,
    pub(crate) application: String,
}

impl Stage {
    /// Starts everything.
    pub(crate) async fn set(say: &mut Say) -> Step<Self> {
        say.chapter("Everything starts, on this machine and for this demo only");
        let binary = operators_binary()?;
        let progress = say.begin("A Kubernetes API server with its etcd");
        let plane = ControlPlane::start();
        progress.done();
        let progress = say.begin("moto, in the place of Amazon Cognito");
        let moto = Moto::start().await;
        progress.done();
        let progress = say.begin("kubectl apply -k deploy/: CRDs, service account, RBAC");
        plane.install("deploy/");
        progress.done();
        let progress = say.begin("The operator, with its service account's token and rights");
        let operator = start(&plane, &moto, &binary).await;
        progress.done();
        let client = plane.client().await;
        Ok(Self {
            operator,
            metrics: None,
            moto,
            plane,
            binary,
            client,
            earlier_logs: String::new(),
            namespace: NAMESPACE,
            pool: String::new(),
            application: String::new(),
        })
    }

    /// Starts the operator again, after it has ended.
    pub(crate) async fn start_operator(&mut self) {
        self.earlier_logs += &self.operator.logs();
        self.operator = start(&self.plane, &self.moto, &self.binary).await;
    }

    /// Starts another replica of the operator, which stands by.
    pub(crate) async fn start_replica(&self) -> Operator {
        start(&self.plane, &self.moto, &self.binary).await
    }

    /// Runs kubectl in view of the audience, outside of any namespace.
    pub(crate) fn kubectl_globally(&self, say: &Say, args: &[&str]) -> Step {
        self.run_kubectl(say, args, "")
    }

    /// The same in the scene's namespace.
    pub(crate) fn kubectl(&self, say: &Say, args: &[&str]) -> Step {
        let args = [&["-n", self.namespace], args].concat();
        self.run_kubectl(say, &args, "")
    }

    /// Shows and applies a manifest of a cluster-scoped object.
    pub(crate) fn apply_globally(&self, say: &Say, manifest: &str) -> Step {
        say.gap();
        say.output(manifest);
        say.gap();
        self.run_kubectl(say, &["apply", "-f", "-"], manifest)
    }

    /// Applies a manifest in the scene's namespace.
    pub(crate) fn apply(&self, say: &Say, manifest: &str) -> Step {
        let args = ["-n", self.namespace, "apply", "-f", "-"];
        self.run_kubectl(say, &args, manifest)
    }

    fn run_kubectl(&self, say: &Say, args: &[&str], stdin: &str) -> Step {
        say.command(&shell_line("kubectl", args));
        say.output(&self.plane.try_kubectl(args, stdin)?);
        Ok(())
    }

    /// Prints the message of the Ready condition, by kubectl.
    pub(crate) fn show_message(&self, say: &Say, resource: &str) -> Step {
        let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].message}"#;
        let args = ["-n", self.namespace, "get", "cup", resource, "-o", path];
        say.command(&shell_line("kubectl", &args));
        say.wrapped(&self.plane.try_kubectl(&args, "")?);
        Ok(())
    }

    /// Signs in as the user would. Fails if the sign-in succeeds without `lets_in`, or fails with it.
    pub(crate) async fn sign_in(
        &self,
        say: &Say,
        user: &str,
        password: &str,
        lets_in: bool,
    ) -> Step {
        let moto = &self.moto;
        let ended = moto
            .sign_in(&self.pool, &self.application, user, password)
            .await;
        let told = match &ended {
            SignIn::Ok => "signed in, tokens were issued".to_owned(),
            SignIn::Challenge(name) => format!("the password is right, and {name} is asked for"),
            SignIn::Refused(code) => format!("refused, {code}"),
        };
        let told = format!("sign-in as {user} with {password}: {told}");
        if lets_in == (ended == SignIn::Ok) {
            say.good(&told);
            Ok(())
        } else {
            Err(format!("this should have ended otherwise: {told}"))
        }
    }

    /// Waits until the status says that the Secret's present value is set.
    pub(crate) async fn wait_set(&self, resource: &str, secret: &str) -> Step<DynamicObject> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace);
        let now = secrets.get(secret).await.map_err(|e| e.to_string())?;
        let version = now.metadata.resource_version.unwrap_or_default();
        let what = format!("Ready=True for what the Secret {secret} holds now");
        self.wait(self.resources(), resource, &what, |object| {
            let synced = object.data.pointer("/status/synced/secretResourceVersion");
            says(object, "True", "PasswordSet") && synced.and_then(Value::as_str) == Some(&version)
        })
        .await
    }

    /// Waits until Ready is False for this reason.
    pub(crate) async fn wait_not(&self, resource: &str, reason: &str) -> Step {
        let what = format!("Ready=False for {reason}");
        let refused = |object: &DynamicObject| says(object, "False", reason);
        self.wait(self.resources(), resource, &what, refused)
            .await
            .map(drop)
    }

    /// Waits until the grant is Ready and admits one resource.
    pub(crate) async fn wait_grant(&self, grant: &str) -> Step {
        let what = "Ready=True for one resource";
        let granted = |object: &DynamicObject| {
            says(object, "True", "Accepted") && object.data["status"]["resources"] == 1
        };
        self.wait(grants(&self.client), grant, what, granted)
            .await
            .map(drop)
    }

    fn resources(&self) -> Api<DynamicObject> {
        resources(&self.client, self.namespace)
    }

    async fn wait(
        &self,
        api: Api<DynamicObject>,
        name: &str,
        what: &str,
        wanted: impl Fn(&DynamicObject) -> bool,
    ) -> Step<DynamicObject> {
        let wanted = |object: Option<&DynamicObject>| object.is_some_and(&wanted);
        let seen = match tokio::time::timeout(DEADLINE, await_condition(api, name, wanted)).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => return Err(format!("the watch of {name} failed: {error}")),
            Err(_) => None,
        };
        seen.ok_or_else(|| format!("{name} does not say {what} within {} s", DEADLINE.as_secs()))
    }

    /// Now, for [`took`](Self::took).
    pub(crate) fn mark(&self) -> Mark {
        self.plane.audit_mark()
    }

    /// The time from the answer to the demo's last write of an object until the answer to the write of
    /// `resource`'s present status, by the API server's audit log. The time does not begin at the demo's
    /// request: the first object of a new CRD takes the API server 2 s.
    pub(crate) async fn took(
        &self,
        since: Mark,
        (plural, name): (&str, &str),
        resource: &DynamicObject,
    ) -> Step<Duration> {
        let ours = AuditQuery::new().user("admin").resource(plural).name(name);
        let its = AuditQuery::new()
            .user(operator::USER)
            .resource("cognitouserpasswords")
            .subresource("status");
        let version = resource.metadata.resource_version.as_deref();
        let said = |request: &Value| {
            let written = request.pointer("/responseObject/metadata/resourceVersion");
            written.and_then(Value::as_str) == version
        };
        let changed = |request: &Value| request["verb"] == "create" || request["verb"] == "patch";
        let (changed, said) = tokio::join!(
            self.logged(ours.subresource("").since(since), changed),
            self.logged(its.since(since), said)
        );
        let took = said?.duration_since(changed?);
        // Negative if the operator was faster than the answer to the demo.
        Ok(Duration::try_from(took).unwrap_or_default())
    }

    /// The time of the answer to the last matching request. A watch may show an effect before the log has the
    /// request.
    async fn logged(&self, query: AuditQuery, wanted: impl Fn(&Value) -> bool) -> Step<Timestamp> {
        let mut at = None;
        let in_log = async {
            while at.is_none() {
                at = (self.plane.audit(&query).iter().rev())
                    .find(|request| wanted(request))
                    .and_then(|request| request["stageTimestamp"].as_str()?.parse().ok());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let otherwise = "a request is not in the API server's audit log";
        in_time(in_log, otherwise).await?;
        at.ok_or_else(|| otherwise.to_owned())
    }

    /// How often the running operator has called Cognito.
    pub(crate) async fn calls(&self) -> f64 {
        self.operator.metric(CALLS, &[]).await
    }

    /// Waits until the running operator counts `wanted` resources as set. The operator is ready, so it has
    /// listed and triaged every resource.
    pub(crate) async fn wait_in_sync(&self, wanted: f64) -> Step {
        let set = [("reason", "PasswordSet")];
        let reached = async {
            while self.operator.metric(KNOWN, &set).await < wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        in_time(reached, "the operator did not find all in sync").await
    }

    /// Waits until the operator has read the Secret's value.
    pub(crate) async fn wait_read(&self, since: Mark) -> Step {
        let read = async {
            while self.asked(since, "get", "secrets") == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        in_time(read, "the operator did not look at the Secret").await
    }

    /// The number of requests of one kind that the operator made in the scene's namespace since the mark.
    pub(crate) fn asked(&self, since: Mark, verb: &str, plural: &str) -> usize {
        let query = AuditQuery::new()
            .since(since)
            .user(operator::USER)
            .verb(verb)
            .resource(plural)
            .namespace(self.namespace);
        self.plane.audit(&query).len()
    }

    /// Everything that other users may read: resources and grants with their statuses, the Events, the log.
    pub(crate) fn what_others_may_read(&self) -> Step<String> {
        let kinds = "cognitouserpasswords,cognitouserpoolgrants,events";
        let objects = self
            .plane
            .try_kubectl(&["get", kinds, "-A", "-o", "yaml"], "")?;
        Ok(objects + &self.earlier_logs + &self.operator.logs())
    }

    /// The facts for finding the cause of a failure.
    pub(crate) async fn evidence(&self) -> String {
        let mut evidence = String::new();
        for (namespace, name) in RESOURCES {
            let described = describe(&self.client, namespace, name).await;
            // Resources that later chapters create are no evidence.
            if !described.contains("NotFound") {
                evidence.push_str(&described);
                evidence.push('\n');
            }
        }
        let logs = self.operator.logs();
        let lines: Vec<_> = logs.lines().collect();
        let tail = &lines[lines.len().saturating_sub(40)..];
        evidence + "The end of the operator's log:\n" + &tail.join("\n")
    }
}

async fn start(plane: &ControlPlane, moto: &Moto, binary: &Path) -> Operator {
    let operator = Operator::builder(plane)
        .binary(binary)
        .cognito(moto.url())
        .leader_elect()
        .start()
        .await;
    operator.wait_ready(DEADLINE).await;
    operator
}

async fn in_time(what: impl Future<Output = ()>, otherwise: &str) -> Step {
    tokio::time::timeout(DEADLINE, what)
        .await
        .map_err(|_| format!("{otherwise} within {} s", DEADLINE.as_secs()))
}

/// Cargo puts examples into a directory beside the binaries.
fn operators_binary() -> Step<PathBuf> {
    let own = std::env::current_exe().map_err(|e| format!("where this program is: {e}"))?;
    let binary = own
        .ancestors()
        .nth(2)
        .map(|directory| directory.join("cognito-password-operator"))
        .filter(|binary| binary.is_file());
    binary.ok_or_else(|| "the operator isn't built: run `make demo`".to_owned())
}

fn says(object: &DynamicObject, status: &str, reason: &str) -> bool {
    condition(object, "Ready").is_some_and(|ready| {
        ready["status"] == status
            && ready["reason"] == reason
            && ready["observedGeneration"].as_i64() == object.metadata.generation
    })
}

/// A command, ready to be typed.
pub(crate) fn shell_line(program: &str, args: &[&str]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@".contains(c);
    let quoted = |arg: &str| {
        if !arg.is_empty() && arg.chars().all(plain) {
            arg.to_owned()
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        }
    };
    let args = args.iter().map(|arg| quoted(arg));
    std::iter::once(program.to_owned())
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}
