//! The scene of the stories: one operator, which reaches the fault server as if it were AWS, and a person who asks
//! `doctor` and runs the commands that `doctor` prints.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use cognito_password_operator::api::{REASONS, Reason};
use serde_json::{Value, json};
use tokio::sync::{MutexGuard, Semaphore};

use super::super::doctor::{delete_lease, encode, ready_pods};
use super::super::{PLUGIN, bash, command, read};
use super::case::Case;
use crate::closed_port::ClosedPort;
use crate::support::tools::{self, Tool};
use crate::support::{
    Moto, Operation, Operator, OperatorBuilder, Script, TlsFront, operator, scratch,
};
use crate::world::World;

/// Longer than two looks at a user take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(200);

/// The password of most Secrets before the cure.
pub(super) const OLD: &str = "Old-Passw0rd";

/// The password that a person has in the shell's variable `PASSWORD`. Fits every policy.
pub(super) const NEW: &str = "New-And-Long-Passw0rd";

/// The operator's setting, in its own command line and in the Deployment, where `doctor` reads it. A pool that no
/// grant names may be in no Region.
const UNGRANTED: &str = "--ungranted=allow";
const ARGS: &str = "/spec/template/spec/containers/0/args/-";

/// The commands that run at the same time.
const AT_ONCE: usize = 4;

pub(super) struct Scene {
    pub(super) world: World<'static>,
    pub(super) moto: &'static Moto,
    front: TlsFront,
    admin: PathBuf,
    path: String,
    /// What all commands printed, for the search for passwords.
    outputs: RefCell<String>,
    turns: Semaphore,
    /// The reasons that were explained, and ended.
    pub(super) told: RefCell<BTreeSet<Reason>>,
}

impl Scene {
    pub(super) async fn new() -> (Self, MutexGuard<'static, ()>) {
        let (world, turn) = World::alone("cures").await;
        delete_lease(world.plane);
        let argument = json!([{ "op": "add", "path": ARGS, "value": UNGRANTED }]);
        world.plane.kubectl(&[
            "patch",
            "deployment",
            "cognito-password-operator",
            "-n",
            operator::NAMESPACE,
            "--type=json",
            "-p",
            &argument.to_string(),
        ]);
        ready_pods(world.plane, 2);
        let scene = Self {
            front: TlsFront::proxy(world.plane, &world.cognito.url()),
            moto: Moto::shared().await,
            admin: world.plane.kubeconfig_path(),
            path: path(),
            outputs: RefCell::default(),
            turns: Semaphore::new(AT_ONCE),
            told: RefCell::default(),
            world,
        };
        scene.world.leaks.note(NEW.as_bytes());
        (scene, turn)
    }

    // The operator.

    /// A builder for an operator that calls AWS's own hosts, by the proxy at this URL.
    fn builder(&self, proxy: &str) -> OperatorBuilder<'static> {
        self.world
            .cluster_wide()
            .leader_elect()
            .env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
            .env("HTTPS_PROXY", proxy)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("AWS_CA_BUNDLE", self.front.ca())
            .arg(UNGRANTED)
            // Limits that no story reaches.
            .arg("--cognito-rps=400")
            .arg("--cognito-burst=400")
    }

    pub(super) async fn operator(&self) -> Operator {
        let operator = self.builder(&self.front.proxy_url()).start().await;
        operator.wait_ready(PATIENCE).await;
        operator
    }

    /// An operator whose proxy refuses connections, until [`open`](Self::open).
    pub(super) async fn cut_off(&self) -> (Operator, ClosedPort) {
        let port = ClosedPort::reserve();
        let proxy = format!("http://{}", port.address());
        let operator = self.builder(&proxy).start().await;
        operator.wait_ready(PATIENCE).await;
        (operator, port)
    }

    pub(super) fn open(&self, port: ClosedPort) {
        port.forward(&self.front.proxy_url());
    }

    // The cluster.

    /// Makes a Secret and a resource for a user of the pool. Makes no user.
    pub(super) async fn claim(&self, name: &str, pool: &str, change: impl FnOnce(&mut Value)) {
        claim(&self.world, name, pool, change).await;
    }

    /// Makes a user, a Secret and a resource.
    pub(super) async fn user(&self, name: &str, pool: &str, change: impl FnOnce(&mut Value)) {
        self.world.cognito.add_user(pool, name);
        self.claim(name, pool, change).await;
    }

    pub(super) fn case<'a>(&'a self, name: &'a str, reason: Reason) -> Case<'a> {
        self.case_in(&self.world, name, reason)
    }

    pub(super) fn case_in<'a>(
        &'a self,
        world: &'a World<'a>,
        name: &'a str,
        reason: Reason,
    ) -> Case<'a> {
        Case {
            scene: self,
            world,
            name,
            reason,
        }
    }

    /// The faults of `AdminSetUserPassword`.
    pub(super) fn script(&self) -> Script<'_> {
        self.world.cognito.of(Operation::AdminSetUserPassword)
    }

    // Commands.

    /// The status, standard output and standard error of a command line in bash, which has kubectl, its plugin and
    /// `aws` on the PATH.
    pub(super) async fn bash(&self, line: &str, password: &str) -> (i32, String, String) {
        let _turn = self.turns.acquire().await.expect("it never closes");
        let mut bash = bash(&self.admin, line);
        bash.env("PATH", &self.path).env("PASSWORD", password);
        let (cognito, moto) = (self.world.cognito.url(), self.moto.url());
        for (service, url) in [
            ("COGNITO_IDENTITY_PROVIDER", &cognito),
            ("CLOUDTRAIL", &cognito),
            ("IAM", &moto),
        ] {
            bash.env(format!("AWS_ENDPOINT_URL_{service}"), url);
        }
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "AKIAPERSON"),
            ("AWS_SECRET_ACCESS_KEY", "test-secret-access-key"),
            // The Region of no pool: a command for a pool must name the pool's Region.
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ] {
            bash.env(name, value);
        }
        let (status, said, errors) = read(bash.output().await.expect("bash starts"));
        let mut outputs = self.outputs.borrow_mut();
        outputs.push_str(&said);
        outputs.push_str(&errors);
        (status, said, errors)
    }

    /// The output of a command that must succeed.
    pub(super) async fn run(&self, line: &str) -> String {
        let (status, said, errors) = self.bash(line, NEW).await;
        assert_eq!(status, 0, "{line}: {errors}");
        said
    }

    /// One run of `doctor`: the status, and what it says.
    pub(super) async fn doctor(&self, args: &[&str]) -> (i32, String) {
        let args = [&["doctor"], args].concat();
        let output = command(PLUGIN, &self.admin, &args).output().await;
        let (status, said, errors) = read(output.expect("the plugin starts"));
        assert_eq!(errors, "", "{args:?}");
        self.outputs.borrow_mut().push_str(&said);
        (status, said)
    }

    // The end.

    /// Checks that each reason was explained and ended, that no password is in any output, and that the commands of
    /// AWS named the Region of the pool.
    pub(super) fn assert_complete(&self, passwords: &[&str]) {
        let told = self.told.borrow();
        let all = REASONS.iter();
        let missing: Vec<_> = all.filter(|it| !told.contains(&it.reason)).collect();
        assert!(missing.is_empty(), "not explained: {missing:#?}");
        let outputs = self.outputs.borrow();
        for password in [OLD, NEW].iter().chain(passwords) {
            let encoded = encode(password);
            for text in [password, &&*encoded] {
                assert!(!outputs.contains(*text), "{password} is in the output");
            }
        }
        for operation in PERSONS {
            let calls = self.world.cognito.calls_of(operation);
            assert!(!calls.is_empty(), "nobody called {}", operation.name());
            for call in calls
                .iter()
                .filter(|it| it.user_agent.starts_with("aws-cli/"))
            {
                assert!(call.pool.starts_with(&call.region), "{call:#?}");
            }
        }
    }
}

/// The operations of the cures.
const PERSONS: [Operation; 5] = [
    Operation::DescribeUserPool,
    Operation::AdminGetUser,
    Operation::AdminEnableUser,
    Operation::AdminCreateUser,
    Operation::AdminDeleteUser,
];

/// Makes a Secret and a resource for a user of the pool.
pub(super) async fn claim(
    world: &World<'_>,
    name: &str,
    pool: &str,
    change: impl FnOnce(&mut Value),
) {
    world.apply_secret(name, "password", OLD).await;
    world
        .apply_resource(name, |resource| {
            resource["spec"]["userPoolId"] = json!(pool);
            change(resource);
        })
        .await;
}

/// A PATH with kubectl, kubectl's plugin and `aws`.
fn path() -> String {
    let aws = tools::path(Tool::Aws);
    // Only the program itself: a virtual environment has a python, too.
    let folder = scratch("aws-cli");
    std::os::unix::fs::symlink(aws, folder.join("aws")).expect("a new folder");
    format!("{}:{}", folder.display(), super::super::path())
}

/// Lets the namespace manage all users of a pool. Returns the name of the grant.
pub(super) fn admit(world: &World<'_>, pool: &str, change: impl FnOnce(&mut Value)) -> String {
    let name = format!(
        "{}.{}",
        world.namespace,
        pool.replace('_', ".").to_lowercase()
    );
    let mut grant = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPoolGrant",
        "metadata": { "name": name },
        "spec": {
            "userPoolId": pool,
            "usernames": ["*"],
            "namespaces": { "names": [world.namespace] },
        },
    });
    change(&mut grant);
    let create = ["create", "-f", "-"];
    world.plane.kubectl_stdin(&create, &grant.to_string());
    name
}
