//! An installation as a stranger meets one: pods that answer, an administrator who reaches the pods through the API
//! server, and a shell with `kubectl` and the plugin.
//!
//! No kubelet and no controller of Deployments runs. Processes play the pods, and the test plays what the controllers
//! do.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use super::{OPERATOR, bash, plugin};
use crate::support::{ControlPlane, Operator, Proxy, eventually, operator};
use crate::world::{SOON, World};

/// The name of the operator's Deployment and of its namespace.
pub(super) const NAME: &str = operator::NAMESPACE;

/// A run of a command of the plugin.
pub(super) struct Said {
    pub(super) status: i32,
    pub(super) text: String,
}

impl Said {
    /// The exit status, and words that the output has, wherever its lines end.
    #[track_caller]
    pub(super) fn assert(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.text);
        for words in words {
            assert!(self.has(words), "no {words:?}:\n{}", self.text);
        }
    }

    /// Whether the output has these words, wherever its lines end.
    pub(super) fn has(&self, words: &str) -> bool {
        self.on_one_line().contains(words)
    }

    pub(super) fn on_one_line(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// Everything that a stranger has.
pub(super) struct Installation<'a> {
    pub(super) world: World<'a>,
    pub(super) proxy: Proxy,
    /// An administrator, by way of the proxy that plays the pods.
    pub(super) admin: PathBuf,
    /// What all commands said, for the search for passwords.
    outputs: RefCell<String>,
}

impl<'a> Installation<'a> {
    /// `deploy/`, without a pod so far.
    pub(super) async fn on(plane: &'a ControlPlane, prefix: &str) -> Self {
        let world = World::on(plane, prefix).await;
        let (proxy, _) = world.proxy();
        plane.kubectl(&["create", "serviceaccount", "administrator", "-n", "default"]);
        let (role, account) = (
            "--clusterrole=cluster-admin",
            "--serviceaccount=default:administrator",
        );
        plane.kubectl(&[
            "create",
            "clusterrolebinding",
            "administrator",
            role,
            account,
        ]);
        let token = plane.token_for("default", "administrator");
        let admin = proxy.kubeconfig(plane, &format!("{prefix}-administrator"), &token);
        Self {
            world,
            proxy,
            admin,
            outputs: RefCell::default(),
        }
    }

    pub(super) fn plane(&self) -> &'a ControlPlane {
        self.world.plane
    }

    /// Runs a command of the plugin as the administrator.
    pub(super) async fn run(&self, args: &[&str]) -> Said {
        let (status, text, errors) = plugin(&self.admin, args).await;
        assert_eq!(errors, "", "{text}");
        self.outputs.borrow_mut().push_str(&text);
        Said { status, text }
    }

    /// `doctor` of a resource in the world's namespace.
    pub(super) async fn doctor(&self, name: &str) -> Said {
        let name = format!("{}/{name}", self.world.namespace);
        self.run(&["doctor", &name]).await
    }

    /// `doctor` of a resource, for programs.
    pub(super) async fn report(&self, name: &str) -> Value {
        let name = format!("{}/{name}", self.world.namespace);
        let said = self.run(&["doctor", &name, "-o", "json"]).await;
        said.json()["resources"][0].clone()
    }

    /// Asks until the output is as it must be. What the operator writes and what the API server caches comes later
    /// than its cause.
    pub(super) async fn said(&self, args: &[&str], status: i32, words: &[&str]) -> Said {
        eventually(SOON, async || {
            let said = self.run(args).await;
            let missing = words.iter().find(|words| !said.has(words));
            if said.status == status && missing.is_none() {
                return Ok(said);
            }
            Err(format!("{}, no {missing:?}:\n{}", said.status, said.text))
        })
        .await
    }

    /// Starts an operator, whose process plays the only pod, and sets the password of `bot`. All is well then.
    pub(super) async fn start(&self, password: &str) -> Operator {
        self.scale(1);
        let builder = self.world.cluster_wide().leader_elect();
        let operator = builder.env("POD_NAME", "pod-a").start().await;
        operator.wait_ready(SOON).await;
        self.pods(&[("pod-a", &operator)]);
        self.world.in_sync("bot", password).await;
        self.is_well("bot").await;
        operator
    }

    /// All that a stranger asks, when all is well.
    pub(super) async fn is_well(&self, name: &str) {
        let full = format!("{}/{name}", self.world.namespace);
        self.said(&["doctor", &full], 0, &["Ready=True PasswordSet"])
            .await;
        self.said(&["doctor", "-A"], 0, &["✓ Ready"]).await;
        self.said(&["check"], 0, &[]).await;
    }

    /// Runs a command that a cure printed.
    pub(super) async fn cure(&self, command: &str) {
        let output = self.shell(command).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
    }

    /// Runs a command in the checkout, with `kubectl` and the plugin on the PATH.
    pub(super) async fn shell(&self, command: &str) -> Output {
        let output = bash(&self.admin, &by_hand(command)).output();
        output.await.expect("bash starts")
    }

    /// Plays the controllers: the Deployment has exactly these pods, all are ready, and the processes play them.
    pub(super) fn pods(&self, pods: &[(&str, &Operator)]) {
        self.pods_of((NAME, NAME), pods);
        let ports: Vec<_> = pods.iter().map(|(name, it)| (*name, it.port())).collect();
        self.proxy.play_pods(&ports);
    }

    /// Plays the controllers for a Deployment, of a namespace and a name.
    pub(super) fn pods_of(&self, (namespace, name): (&str, &str), pods: &[(&str, &Operator)]) {
        let plane = self.plane();
        let deployment = ["get", "deployment", name, "-n", namespace, "-o", "json"];
        let deployment: Value = serde_json::from_str(&plane.kubectl(&deployment)).expect("JSON");
        let old = ["delete", "pods", "--all", "--force", "-n", namespace];
        plane.kubectl(&old);
        for (pod, _) in pods {
            let mut object = deployment["spec"]["template"].clone();
            object["apiVersion"] = "v1".into();
            object["kind"] = "Pod".into();
            object["metadata"]["name"] = (*pod).into();
            object["metadata"]["namespace"] = namespace.into();
            plane.kubectl_stdin(&["create", "-f", "-"], &object.to_string());
        }
        let number = pods.len();
        let status = json!({
            "replicas": number, "readyReplicas": number, "availableReplicas": number,
        });
        let status = json!({ "status": status }).to_string();
        let patch = ["patch", "deployment", name, "--subresource=status"];
        let patch = [
            &patch[..],
            &["-n", namespace, "--type=merge", "-p", &status],
        ]
        .concat();
        plane.kubectl(&patch);
    }

    /// The number of pods that the Deployment wants.
    pub(super) fn scale(&self, pods: usize) {
        let pods = format!("--replicas={pods}");
        self.plane()
            .kubectl(&["scale", "deployment", NAME, "-n", NAME, &pods]);
    }

    /// At the end of a test: no command printed a password.
    pub(super) fn assert_silent(&self, passwords: &[&str]) {
        let outputs = self.outputs.borrow();
        for password in passwords {
            assert!(!outputs.contains(password), "{password} is in the output");
        }
    }
}

/// The command as it runs without a kubelet: the operator's program runs here, and not in a pod.
fn by_hand(command: &str) -> String {
    const PROGRAM: &str = " -- /cognito-password-operator ";
    match command.split_once(PROGRAM) {
        Some((exec, rest)) if exec.starts_with("kubectl exec -n ") => format!("{OPERATOR} {rest}"),
        _ => command.to_owned(),
    }
}

/// The commands of a cure.
pub(super) fn commands(cure: &Value) -> Vec<String> {
    let commands = cure["commands"].as_array().into_iter().flatten();
    commands
        .filter_map(|it| Some(it.as_str()?.to_owned()))
        .collect()
}

/// The commands of a cure, and those of the cures that may take its place.
pub(super) fn all_commands(cure: &Value) -> Vec<String> {
    let others = cure["alternatives"].as_array().into_iter().flatten();
    let others = others.flat_map(commands);
    commands(cure).into_iter().chain(others).collect()
}

/// The only finding on a subject with this level, in a list of findings.
#[track_caller]
pub(super) fn finding(findings: &Value, subject: &str, level: &str) -> Value {
    let all = findings.as_array().expect("findings");
    let fits = |it: &&Value| it["subject"] == subject && it["level"] == level;
    match all.iter().filter(fits).collect::<Vec<_>>().as_slice() {
        [only] => (*only).clone(),
        other => panic!("{subject} {level}: {other:#?} in {findings:#}"),
    }
}
