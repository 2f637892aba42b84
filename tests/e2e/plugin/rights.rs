//! Rights taken away one by one: a command without one right ends, names the right in one line, and shows everything
//! else.
//!
//! The rights of a command are those that the API server's audit log shows of a caller who may do everything. A right
//! that a new read needs is tested without a change here.

mod outcome;
mod people;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::installation::{Installation, Said};
use super::plugin;
use crate::support::{AuditQuery, ControlPlane, Operator, eventually, scratch};
use crate::world::{POOL, SOON};
use outcome::{Findings, expected};

const PASSWORD: &str = "Rights-First-Passw0rd";

/// The user whom the callers' rights are taken from; the administrator acts as this user.
const ACTOR: &str = "system:serviceaccount:default:administrator";

/// How long a command may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// How many commands run at a time.
const AT_ONCE: usize = 4;

/// A verb on a kind of objects, for all namespaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Right {
    verb: String,
    group: String,
    /// With the subresource after a slash.
    resource: String,
}

impl Right {
    fn rule(&self) -> Value {
        json!({ "apiGroups": [self.group], "resources": [self.resource], "verbs": [self.verb] })
    }

    /// Whoever has this right may ask for the own rights.
    fn to_ask() -> Self {
        Self {
            verb: "create".to_owned(),
            group: "authorization.k8s.io".to_owned(),
            resource: "selfsubjectaccessreviews".to_owned(),
        }
    }

    /// `get pods/proxy`.
    fn name(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }
}

/// A run of a command by a caller.
struct Run {
    said: Said,
    errors: String,
}

/// The commands that change nothing.
const READING: &[&[&str]] = &[
    &["doctor", "NAMESPACE/bot"],
    &["doctor", "-A"],
    &["doctor", "-n", "NAMESPACE"],
    &[
        "grants",
        "test",
        "-n",
        "NAMESPACE",
        "--user",
        "bot",
        "--pool",
        POOL,
    ],
    &[
        "grants",
        "who",
        "-n",
        "NAMESPACE",
        "--user",
        "bot",
        "--pool",
        POOL,
    ],
    &["grants", "diff", "-n", "NAMESPACE", "--delete", "NAMESPACE"],
    &["set", "--all", "-n", "NAMESPACE", "--dry-run"],
    &["wait", "bot", "-n", "NAMESPACE", "--timeout=60s"],
    &["wait", "absent", "-n", "NAMESPACE", "--timeout=4s"],
    &["report", "-n", "NAMESPACE", "--force", "-o", "FILE"],
    &["check"],
    &["check", "--pre"],
    &["version"],
];

/// The commands that write, each with the suspension before it.
const WRITING: &[(&[&str], bool)] = &[
    (&["set", "bot", "-n", "NAMESPACE"], false),
    (&["set", "--all", "-n", "NAMESPACE"], false),
    (
        &["set", "bot", "-n", "NAMESPACE", "--wait", "--timeout=60s"],
        false,
    ),
    (&["suspend", "bot", "-n", "NAMESPACE"], false),
    (&["suspend", "--all", "-n", "NAMESPACE"], false),
    (&["resume", "bot", "-n", "NAMESPACE"], true),
];

/// Rights that the commands need together, so that an empty log is noticed.
const NEEDED: &[&str] = &[
    "create selfsubjectaccessreviews",
    "create subjectaccessreviews",
    "get cognitouserpasswords",
    "get customresourcedefinitions",
    "get leases",
    "get namespaces",
    "get pods/log",
    "get pods/proxy",
    "get secrets",
    "list cognitouserpasswords",
    "list cognitouserpoolgrants",
    "list deployments",
    "list events",
    "list leases",
    "list namespaces",
    "list pods",
    "list services",
    "patch cognitouserpasswords",
    "watch cognitouserpasswords",
];

/// A control plane on which a right to ask for one's own rights can be taken away too.
struct Scene<'a> {
    it: Installation<'a>,
    operator: Operator,
    files: std::path::PathBuf,
}

impl Scene<'_> {
    async fn on(plane: &ControlPlane) -> Scene<'_> {
        let it = Installation::on(plane, "rights").await;
        it.scale(1);
        let builder = it.world.cluster_wide().leader_elect();
        let operator = builder.env("POD_NAME", "pod-a").start().await;
        operator.wait_ready(SOON).await;
        it.pods(&[("pod-a", &operator)]);
        it.world.in_sync("bot", PASSWORD).await;
        it.world
            .grant(|grant| {
                let labels = json!({ "kubernetes.io/metadata.name": it.world.namespace });
                grant["spec"]["namespaces"] = json!({ "selector": { "matchLabels": labels } });
            })
            .await;
        it.is_well("bot").await;
        Scene {
            it,
            operator,
            files: scratch("reports"),
        }
    }

    /// Every authenticated user may ask for the user's own rights. From now on, only those to whom a role says so.
    async fn nobody_may_ask(&self) {
        let nobody = json!({ "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "nobody",
        }] });
        let nobody = nobody.to_string();
        let binding = [
            "patch",
            "clusterrolebinding",
            "system:basic-user",
            "--type=merge",
            "-p",
        ];
        let plane = self.it.plane();
        plane.kubectl(&[&binding[..], &[&nobody]].concat());
        self.decided("nobody", &Right::to_ask(), false).await;
    }

    /// A new user with these rights.
    async fn user(&self, name: &str, rights: &BTreeSet<Right>) {
        let rules: Vec<_> = rights.iter().map(Right::rule).collect();
        self.user_with(name, &json!(rules)).await;
        if let Some(right) = rights.first() {
            self.decided(name, right, true).await;
        }
    }

    async fn user_with(&self, name: &str, rules: &Value) {
        let client = &self.it.world.client;
        let role = json!({ "metadata": { "name": name }, "rules": rules });
        let binding = json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name }],
        });
        let (role, binding) = (
            serde_json::from_value(role).expect("a role"),
            serde_json::from_value(binding).expect("a binding"),
        );
        let params = PostParams::default();
        let api: Api<ClusterRole> = Api::all(client.clone());
        api.create(&params, &role).await.expect("a new role");
        let api: Api<ClusterRoleBinding> = Api::all(client.clone());
        api.create(&params, &binding).await.expect("a new binding");
    }

    /// Returns when the API server knows that the user has the right, or hasn't.
    async fn decided(&self, user: &str, right: &Right, may: bool) {
        let reviews: Api<SubjectAccessReview> = Api::all(self.it.world.client.clone());
        let (resource, subresource) = match right.resource.split_once('/') {
            Some((resource, subresource)) => (resource, subresource),
            None => (&*right.resource, ""),
        };
        let groups = ["system:authenticated"];
        let review = json!({ "spec": { "user": user, "groups": groups, "resourceAttributes": {
            "verb": right.verb, "group": right.group,
            "resource": resource, "subresource": subresource,
        } } });
        let review = serde_json::from_value(review).expect("a review");
        eventually(SOON, async || {
            let answer = reviews.create(&PostParams::default(), &review).await;
            let status = answer.map_err(|error| error.to_string())?.status;
            match status {
                Some(status) if status.allowed == may => Ok(()),
                status => Err(format!("{user}, {}: {status:?}", right.name())),
            }
        })
        .await;
    }

    /// Runs the command as a user.
    async fn run(&self, command: &[&str], user: &str) -> Run {
        let namespace = &*self.it.world.namespace;
        let file = self.files.join(format!("{user}.tar.gz"));
        let file = file.display().to_string();
        let args: Vec<_> = command
            .iter()
            .map(|it| it.replace("NAMESPACE", namespace).replace("FILE", &file))
            .collect();
        let mut args: Vec<_> = args.iter().map(String::as_str).collect();
        args.extend(["--as", user]);
        let run = tokio::time::timeout(PATIENCE, plugin(&self.it.admin, &args)).await;
        let (status, text, errors) = run.unwrap_or_else(|_| panic!("{args:?} never ends"));
        for said in [&text, &errors] {
            assert!(!said.contains("panicked"), "{args:?}: {said}");
            assert!(!said.contains(PASSWORD), "{args:?}");
        }
        Run {
            said: Said { status, text },
            errors,
        }
    }

    /// The rights that a user's requests needed.
    fn used(&self, user: &str) -> BTreeSet<Right> {
        let requests = self.it.plane().audit(&AuditQuery::new().user(ACTOR));
        let of_user = |it: &&Value| it["impersonatedUser"]["username"] == user;
        let part = |request: &Value, name: &str| {
            let part = request["objectRef"][name].as_str();
            part.unwrap_or_default().to_owned()
        };
        requests
            .iter()
            .filter(of_user)
            .filter(|it| it["objectRef"].is_object())
            .map(|it| {
                let (resource, subresource) = (part(it, "resource"), part(it, "subresource"));
                Right {
                    verb: it["verb"].as_str().unwrap_or_default().to_owned(),
                    group: part(it, "apiGroup"),
                    resource: if subresource.is_empty() {
                        resource
                    } else {
                        format!("{resource}/{subresource}")
                    },
                }
            })
            .collect()
    }

    /// The rights that a command needs, with the run of a caller who has exactly these.
    async fn full(&self, command: &[&str], number: usize) -> (BTreeSet<Right>, Run) {
        let everybody = format!("all-{number}");
        let all = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
        self.user_with(&everybody, &all).await;
        let any = Right {
            verb: "get".to_owned(),
            group: String::new(),
            resource: "pods".to_owned(),
        };
        self.decided(&everybody, &any, true).await;
        let of_all = self.run(command, &everybody).await;
        let mut rights = self.used(&everybody);
        assert!(!rights.is_empty(), "{command:?}: no request is in the log");
        // Some commands ask only when a request is refused.
        rights.insert(Right::to_ask());
        let exact = format!("exact-{number}");
        self.user(&exact, &rights).await;
        self.reset(command).await;
        let run = self.run(command, &exact).await;
        // What the caller may install is an answer of its own.
        if !command.contains(&"--pre") {
            let shown = |run: &Run| (run.said.status, Findings::of(&run.said.text));
            assert_eq!(shown(&of_all), shown(&run), "{command:?} with {rights:?}");
        }
        (rights, run)
    }

    /// The resource as it was before a command that writes.
    async fn reset(&self, command: &[&str]) {
        let Some((_, suspended)) = WRITING.iter().find(|(it, _)| *it == command) else {
            return;
        };
        let change = json!({
            "spec": { "suspend": suspended },
        });
        let resources: Api<cognito_password_operator::api::CognitoUserPassword> =
            Api::namespaced(self.it.world.client.clone(), &self.it.world.namespace);
        let patch = Patch::Merge(&change);
        let patched = resources
            .patch("bot", &PatchParams::default(), &patch)
            .await;
        patched.expect("the administrator may");
    }

    /// Runs the command without each of its rights. Returns the names of these rights, and what is wrong.
    async fn without_each(&self, number: usize, command: &[&str]) -> (Vec<String>, Vec<String>) {
        self.reset(command).await;
        let (rights, full) = self.full(command, number).await;
        let mut wrong = Vec::new();
        for (place, right) in rights.iter().enumerate() {
            let user = format!("without-{number}-{place}");
            let mut others = rights.clone();
            others.remove(right);
            self.user(&user, &others).await;
            self.reset(command).await;
            let run = self.run(command, &user).await;
            let what = format!("{} without {}", command.join(" "), right.name());
            let expected = expected(command, &right.name());
            if let Err(why) = expected.fits(&right.name(), &full, &run) {
                let Run { said, errors } = run;
                wrong.push(format!(
                    "{what}: {why} ({expected:?}, status {}):\n{}{errors}",
                    said.status, said.text
                ));
            }
        }
        (rights.iter().map(Right::name).collect(), wrong)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_one_right_names_it_and_shows_the_rest() {
    let plane = ControlPlane::start();
    let scene = Scene::on(&plane).await;
    people::each_is_told(&scene).await;
    scene.nobody_may_ask().await;
    let all = stream::iter(READING.iter().enumerate());
    let read = all.map(|(number, command)| scene.without_each(number, command));
    let mut outcomes: Vec<_> = read.buffer_unordered(AT_ONCE).collect().await;
    // One after another, because all write the same resource.
    for (number, (command, _)) in WRITING.iter().enumerate() {
        let number = READING.len() + number;
        outcomes.push(scene.without_each(number, command).await);
    }
    let (rights, wrong): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let rights = rights.concat();
    let missed = NEEDED
        .iter()
        .find(|it| !rights.iter().any(|right| right == **it));
    assert_eq!(missed, None, "{rights:?}");
    assert_eq!(scene.operator.exit(), None);
}
