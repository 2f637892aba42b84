//! A panic while a password is held says nothing of it, however much is asked for; and it stops
//! nobody else.
//!
//! Nothing in the operator is known to panic then. So here is one whose Cognito does: the operator's
//! own parts put together as `run` does it, but for the door to AWS.

use std::future::{pending, ready};
use std::net::SocketAddr;
use std::panic::catch_unwind;
use std::sync::Arc;

use cognito_password_operator::cluster::watch::Scope;
use cognito_password_operator::cluster::{Leadership, client, keys};
use cognito_password_operator::cognito::Cognito;
use cognito_password_operator::controller::{self, Context, Rules};
use cognito_password_operator::core::authority::Authority;
use cognito_password_operator::core::budget::Limits;
use cognito_password_operator::core::password::Password;
use cognito_password_operator::core::reply::{CredentialsFailure, Reply};
use cognito_password_operator::core::target::{Account, Target};
use cognito_password_operator::ops::health::{self, Readiness};
use cognito_password_operator::ops::metrics::Metrics;
use cognito_password_operator::ops::{hardening, logging};

use super::super::gate::Gate;
use super::super::world::{SOON, World};
use super::marker;
use crate::support::{Process, Spec, eventually, http, metrics, operator, scratch, search};

/// How it panics, by the name of the user.
const PANICS: [&str; 4] = ["formatted", "sliced", "unwrapped", "dropped"];

fn panic_with(how: &str, password: &str) {
    match how {
        "formatted" => panic!("could not send {password}"),
        "sliced" => drop(password[..=middle_of_a_character(password)].to_owned()),
        "unwrapped" => {
            let bytes = [password.as_bytes(), b"\xff"].concat();
            String::from_utf8(bytes).expect("it was text before");
        }
        "dropped" => panic!("a message without arguments"),
        _ => {}
    }
}

fn middle_of_a_character(text: &str) -> usize {
    text.find('é').expect("every marker has one")
}

struct Panicking;

impl Cognito for Panicking {
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
        panic_with(target.username.as_str(), password.expose());
        Reply::Applied { request_id: None }
    }

    fn retain(&self, _: &dyn Fn(&Authority) -> bool) {}
}

/// Where it is told what the command line says otherwise.
const NAMESPACE: &str = "PANICKING_NAMESPACE";
const LISTEN: &str = "PANICKING_LISTEN";

#[test]
#[ignore = "a program of its own, which the test below starts"]
fn an_operator_whose_cognito_panics() {
    let setting = |name| std::env::var(name).expect("the test below says it");
    let listen: SocketAddr = setting(LISTEN).parse().expect("an address");
    let filter = logging::parse_filter("trace").expect("a filter");
    assert_eq!(hardening::keep_memory_private(), []);
    logging::init(logging::Format::Json, filter).expect("the first");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run(listen, setting(NAMESPACE)));
}

async fn run(listen: SocketAddr, namespace: String) {
    let config = kube::Config::infer().await.expect("a kubeconfig");
    let client = client(config).expect("a client");
    let keyring = keys::load_or_create(&client, operator::NAMESPACE).await;
    let keyring = keyring.expect("it may read them");
    let (metrics, readiness) = (Arc::new(Metrics::new("test")), Readiness::new());
    let listener = health::bind(listen).await.expect("a free port");
    let serving = health::serve(listener, readiness.clone(), metrics.clone(), pending());
    tokio::spawn(serving);
    let rules = Rules {
        ungranted: None,
        secret_selector: None,
        budget: Limits {
            rps: 100.0,
            burst: 100,
        },
    };
    let (context, writer) = Context::new(
        client,
        Arc::new(Panicking),
        keyring,
        Leadership::always(),
        metrics,
        rules,
    );
    let scopes = vec![Scope::Namespace(namespace)];
    controller::expect(&readiness, &scopes);
    controller::run(
        Arc::new(context),
        writer,
        scopes,
        readiness,
        ready(()),
        pending(),
    )
    .await;
}

/// Starts it; it is one of the world's operators.
fn start(world: &World<'_>) -> (Process, u16) {
    let token = world
        .plane
        .token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
    let kubeconfig =
        (world.plane).kubeconfig_for_token(&format!("panics-{}", world.namespace), &token);
    let port = Gate::closed().address().port();
    let tests = std::env::current_exe().expect("the program that runs");
    let process = Spec::new("panicking operator", &tests, scratch("panics").join("log"))
        .args(["--ignored", "--nocapture", "--exact"])
        .arg("leaks::panics::an_operator_whose_cognito_panics")
        .clean_env()
        .env("KUBECONFIG", kubeconfig.to_string_lossy())
        .env("RUST_BACKTRACE", "full")
        .env(NAMESPACE, &world.namespace)
        .env(LISTEN, format!("127.0.0.1:{port}"))
        .spawn();
    let remains = world.builder().remains().clone();
    remains.add(process.pid(), port, process.log_path());
    (process, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_a_password_is_held_says_nothing_of_it_and_stops_nobody_else() {
    let world = World::new("panics").await;
    for name in PANICS {
        world.apply_secret(name, "password", marker(name)).await;
        world.apply_resource(name, |_| ()).await;
    }
    let (process, port) = start(&world);
    eventually(SOON, async || {
        let panicked = process.logs().matches("the reconcile panicked").count();
        (panicked >= PANICS.len())
            .then_some(())
            .ok_or_else(|| process.logs())
    })
    .await;
    world.apply_secret("calm", "password", marker("calm")).await;
    world.apply_resource("calm", |_| ()).await;
    world.wait("calm", "True", "PasswordSet").await;

    let log = process.logs();
    for said in [
        "a message without arguments",
        "(withheld",
        "tests/e2e/leaks/panics.rs:",
        // The backtrace is there.
        "panic_with",
    ] {
        assert!(log.contains(said), "{said} is not in {log}");
    }
    let (_, served) = http::get(port, "/metrics").await.expect("it answers");
    let labels = [("result", "panic")];
    let name = "cognito_password_operator_reconciles_total";
    assert!(
        metrics::value(&served, name, &labels) >= Some(4.0),
        "{served}"
    );
    // What the world's search would find without the operator's own way of telling of a panic.
    for how in &PANICS[..3] {
        let value = marker(how);
        let payload = catch_unwind(|| panic_with(how, &value)).expect_err("it panics");
        let message = payload.downcast_ref::<String>().expect("put together");
        let values = [value.into_bytes()].into();
        assert!(
            !search(&[("message", message.clone().into_bytes())], &values).is_empty(),
            "{message}"
        );
    }
}
