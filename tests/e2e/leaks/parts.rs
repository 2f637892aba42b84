//! The operator's own parts, put together as in `run`, with another port to AWS: its Cognito behaves in ways
//! that no test can cause in the SDK. Runs as a process of its own, as the operator does.

use std::future::{pending, ready};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cognito_password_operator::{
    api::Drift,
    cluster::{Leadership, connect, keys, watch::Scope},
    cognito::Cognito,
    controller::{self, Context, Rules},
    core::{
        access::authority::Authority,
        credential::{failure::CredentialsFailure, password::Password},
        look::user::{UserPage, UserQuery},
        names::{
            region::Regions,
            target::{Account, PoolId, Target},
        },
        protocol::reply::Reply,
        schedule::rate_limit::RateLimits,
    },
    ops::{health::Readiness, logging, metrics::Metrics, server},
};

use super::super::{closed_port::ClosedPort, world::World};
use crate::support::{Process, Spec, operator, scratch};

/// The kinds of panic during a call. The user's name selects the kind.
pub(super) const PANICS: [&str; 4] = ["formatted", "sliced", "unwrapped", "literal"];

/// The user whose call lasts until [`Parts::release`].
pub(super) const HELD: &str = "held";

/// The settings of the process, by environment variables.
const NAMESPACE: &str = "PARTS_NAMESPACE";
const LISTEN: &str = "PARTS_LISTEN";
const RELEASE: &str = "PARTS_RELEASE";

pub(super) fn panic_with(how: &str, password: &str) {
    match how {
        "formatted" => panic!("could not send {password}"),
        "sliced" => {
            let inside = password.find('é').expect("every marker has one") + 1;
            drop(password[..inside].to_owned());
        }
        "unwrapped" => {
            let bytes = [password.as_bytes(), b"\xff"].concat();
            String::from_utf8(bytes).expect("it was text before");
        }
        "literal" => panic!("a message without arguments"),
        _ => {}
    }
}

/// Accepts every password, but panics or waits for the users named above.
struct TestCognito {
    release: PathBuf,
}

fn answered<T>(output: T) -> Reply<T> {
    Reply::Success {
        output,
        request_id: None,
        answered_at: None,
    }
}

impl Cognito for TestCognito {
    fn regions(&self) -> Regions {
        Regions::OfAws
    }

    async fn authenticate(&self, _: &Authority) -> Result<Account, CredentialsFailure> {
        Ok(Account::OfSource)
    }

    async fn admin_set_user_password(
        &self,
        _: &Authority,
        target: &Target,
        password: &Password,
        _: bool,
    ) -> Reply {
        let user = target.username.as_str();
        panic_with(user, password.expose());
        while user == HELD && !self.release.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        answered(())
    }

    async fn list_users(&self, _: &Authority, _: &PoolId, _: &UserQuery) -> Reply<UserPage> {
        answered(UserPage {
            users: Vec::new(),
            next_token: None,
        })
    }

    async fn admin_user_global_sign_out(&self, _: &Authority, _: &Target) -> Reply {
        answered(())
    }

    async fn temporary_password_validity_days(
        &self,
        _: &Authority,
        _: &PoolId,
    ) -> Reply<Option<u32>> {
        answered(None)
    }

    fn retain(&self, _: &dyn Fn(&Authority) -> bool) {}
}

#[test]
#[ignore = "a program of its own, which tests start"]
fn an_operator_with_another_cognito() {
    let setting = |name| std::env::var(name).expect("who starts it says it");
    let listen: SocketAddr = setting(LISTEN).parse().expect("an address");
    let filter = logging::parse_filter("trace").expect("a filter");
    logging::init(logging::Format::Json, filter).expect("the first");
    let cognito = TestCognito {
        release: setting(RELEASE).into(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(listen, setting(NAMESPACE), cognito));
}

async fn run(listen: SocketAddr, namespace: String, cognito: TestCognito) {
    let config = kube::Config::infer().await.expect("a kubeconfig");
    let client = connect(config, Arc::new(|_| ())).expect("a client");
    let keyring = keys::load_or_create(&client, operator::NAMESPACE).await;
    let keyring = keyring.expect("it may read them");
    let (metrics, readiness) = (Arc::new(Metrics::new("test")), Readiness::new());
    let listener = server::bind(listen).expect("a free port");
    let serving = server::serve(listener, readiness.clone(), metrics.clone(), pending());
    tokio::spawn(serving);
    let rules = Rules {
        ungranted: None,
        secret_selector: None,
        budget: RateLimits {
            rps: 100.0,
            burst: 100,
        },
        drift: Drift::Ignore,
        drift_interval: Duration::from_mins(15),
    };
    let (leads, cognito) = (Leadership::always(), Arc::new(cognito));
    let context = Context::new(client, cognito, keyring, leads, metrics, rules);
    let context = Arc::new(context);
    let scopes = vec![Scope::Namespace(namespace)];
    controller::register_checks(&readiness, &scopes);
    Box::pin(controller::run(
        context,
        scopes,
        readiness,
        ready(()),
        pending(),
    ))
    .await;
}

/// A running process.
pub(super) struct Parts {
    pub(super) process: Process,
    pub(super) port: u16,
    release: PathBuf,
}

impl Parts {
    /// Starts the process as one of the world's operators.
    pub(super) fn start(world: &World<'_>) -> Self {
        let plane = world.plane;
        let token = plane.token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
        let kubeconfig = plane.kubeconfig_for_token(&format!("parts-{}", world.namespace), &token);
        let port = ClosedPort::reserve().address().port();
        let tests = std::env::current_exe().expect("the program that runs");
        let directory = scratch("parts");
        let release = directory.join("release");
        let process = Spec::new("parts", &tests, directory.join("log"))
            .args(["--ignored", "--nocapture", "--exact"])
            .arg("leaks::parts::an_operator_with_another_cognito")
            .clean_env()
            .env("KUBECONFIG", kubeconfig.to_string_lossy())
            .env("RUST_BACKTRACE", "full")
            .env(NAMESPACE, &world.namespace)
            .env(LISTEN, format!("127.0.0.1:{port}"))
            .env(RELEASE, release.to_string_lossy())
            .spawn();
        let remains = world.builder().remains().clone();
        remains.add(process.pid(), port, process.log_path());
        Self {
            process,
            port,
            release,
        }
    }

    /// Lets the call for [`HELD`] return.
    pub(super) fn release(&self) {
        std::fs::write(&self.release, "").expect("a file");
    }
}
