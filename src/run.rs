//! The composition root of `run`: what is started in which order, and how it ends.
//!
//! 1. log, memory hardening, the settings that can only be judged here
//! 2. `/livez`, `/readyz` and `/metrics`, so that whatever is missing can be seen
//! 3. the question whether the operator has more rights than it needs, for which nothing waits; the
//!    fingerprint keys, tried until they are there
//! 4. the watches, and the election; the controller, once this process leads; until SIGTERM or SIGINT
//! 5. the calls in flight are finished and recorded, and the lease is released; then the server ends,
//!    and the process
//!
//! A process that has lost the lease ends at once, wherever it is in this list.

mod candidate;
mod rights;
mod settings;

pub use crate::controller::Rules;
use crate::{
    cluster::{connect, keys, watch::Scope},
    cognito::{Cognito, aws::AwsCognito},
    controller::{self, Context},
    core::{access::grant::UngrantedPolicy, credential::fingerprint::Keyring},
    ops::{
        hardening,
        health::{Check, Readiness},
        logging,
        metrics::Metrics,
        server,
    },
};
use candidate::{Candidacy, Candidate, is_true};
use kube::{
    Client,
    config::{InferConfigError, KubeconfigError},
};
pub use settings::{Settings, StartError};
use std::{error::Error as _, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};
use tracing::{error, info, warn};

/// How long a shutdown may take: the call in flight (5 s) and its status.
const SHUTDOWN_MAX: Duration = Duration::from_secs(8);

/// Between two tries to get the fingerprint keys: 1 s growing to 10 s.
const KEYS_RETRY_MAX: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`] when it can't start. Once it has started, whatever is missing is said by the log
/// and by `/readyz`, and tried again.
pub fn main(settings: Settings) -> Result<(), StartError> {
    let failed =
        |what: &str, error: &dyn std::error::Error| StartError::Failed(format!("{what}: {error}"));
    // Before the first secret is read.
    let exposed = hardening::keep_memory_private();
    logging::init(settings.log_format, settings.log.clone())
        .map_err(|error| failed("the log can't be set up", &error))?;
    for exposed in exposed {
        warn!(%exposed, "the process's memory is less private than it should be");
    }
    // One thread: there is little to do, and threads that wake each other for it cost more than they
    // do.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("the runtime can't be started", &error))?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    let ended = runtime.block_on(metrics.stalls().watch(run(settings, metrics.clone())));
    // Whatever still waits (a probe, a credential lookup) is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn run(settings: Settings, metrics: Arc<Metrics>) -> Result<(), StartError> {
    let mut stop = Stop::listen()
        .map_err(|error| StartError::Failed(format!("signals can't be handled: {error}")))?;
    let cognito = AwsCognito::load()
        .await
        .map_err(|error| StartError::Settings(error.to_string()))?;
    let cognito = Arc::new(cognito);
    let config = kube::Config::infer().await.map_err(|error| {
        StartError::Settings(format!(
            "no API server is configured, neither by KUBECONFIG nor by a pod's ServiceAccount: {}",
            without_content(&error)
        ))
    })?;
    let client = connect(config).map_err(StartError::Settings)?;
    let cant_listen =
        |error| StartError::Failed(format!("can't listen on {}: {error}", settings.listen));
    let listener = server::bind(settings.listen).map_err(cant_listen)?;
    let listen = listener.local_addr().map_err(cant_listen)?;

    let stalls = metrics.stalls();
    let (candidate, leadership) = Candidate::of(&settings);
    let leads = leadership.clone();
    metrics.tell_leader_with(move || leads.has_left(Duration::ZERO));
    let readiness = Readiness::new();
    let has_keys = readiness.check("fingerprint keys");
    let scopes = scopes(&settings.watch_namespaces);
    controller::expect(&readiness, &scopes);
    let (ending, ended) = watch::channel(false);
    let serving = tokio::spawn(stalls.watch(server::serve(
        listener,
        readiness.clone(),
        metrics.clone(),
        is_true(ended.clone()),
    )));
    info!(
        version = env!("CARGO_PKG_VERSION"),
        %listen,
        leader_elect = settings.leader_elect,
        lease_name = settings.lease_name,
        namespaces = if settings.watch_namespaces.is_empty() { "all".to_owned() } else { settings.watch_namespaces.join(",") },
        ungranted = ungranted(&settings.rules),
        secret_selector = settings.rules.secret_selector.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string),
        cognito_rps = settings.rules.budget.rps,
        cognito_burst = settings.rules.budget.burst,
        "started"
    );
    // Nothing waits for it, and it ends with the runtime.
    let rights = rights::check(client.clone(), &settings, metrics.clone());
    drop(tokio::spawn(stalls.watch(rights)));

    let controlled = async {
        let keyring = tokio::select! {
            keyring = load_keys(&client, &settings.operator_namespace, &has_keys) => keyring,
            () = stop.asked() => return Ok(()),
        };
        let candidacy = candidate
            .map(|candidate| candidate.stand(&client, &settings, &readiness, &stalls))
            .transpose()?;
        let context = Context::new(
            client.clone(),
            cognito,
            keyring,
            leadership,
            metrics.clone(),
            settings.rules.clone(),
        );
        let context = Arc::new(context);
        let leading = leading(
            context.clone(),
            settings.operator_namespace.clone(),
            has_keys,
        );
        let (stopping, stopped) = watch::channel(false);
        let mut controller = tokio::spawn(stalls.watch(controller::run(
            context,
            scopes,
            readiness.clone(),
            leading,
            is_true(stopped),
        )));
        tokio::select! {
            () = stop.asked() => {}
            // A process that looks alive and sees nothing is worse than one that is restarted.
            ended = &mut controller => {
                error!(panicked = ended.is_err(), "the controller ended");
                return Err(StartError::Failed("the controller ended".to_owned()));
            }
        }
        info!("stopping: calls in flight are finished and recorded");
        stopping.send_replace(true);
        finish(controller, candidacy).await;
        Ok(())
    };
    let controlled = controlled.await;
    ending.send_replace(true);
    if serving.await.is_err() {
        // What it panicked with is nobody's to print: see `ops::panics`.
        error!("the server panicked");
    }
    info!("stopped");
    controlled
}

/// What holds without a grant, for the log.
const fn ungranted(rules: &Rules) -> &'static str {
    match rules.ungranted {
        None => "allow, without grants",
        Some(UngrantedPolicy::Allow) => "allow",
        Some(UngrantedPolicy::Deny) => "deny",
    }
}

/// From when on there is work to do: once this process leads, with the keys as they are then. Others
/// may have changed them while it stood by.
async fn leading<C: Cognito>(context: Arc<Context<C>>, namespace: String, has_keys: Check) {
    if context.leadership.is_elected() {
        context.leadership.won().await;
        let keyring = load_keys(&context.client, &namespace, &has_keys).await;
        context.renew_keyring(keyring);
    }
}

/// Waits for what is under way, and gives the lease away after it.
async fn finish(controller: JoinHandle<()>, candidacy: Option<Candidacy>) {
    match tokio::time::timeout(SHUTDOWN_MAX, controller).await {
        Ok(Ok(())) => {
            if let Some(candidacy) = candidacy {
                candidacy.leave().await;
            }
        }
        Ok(Err(_)) => error!("the controller panicked"),
        Err(_) => warn!(
            "not everything under way came to its end in time; an attempt on record is taken over at the next start"
        ),
    }
}

/// Tries until the keys are there.
async fn load_keys(client: &Client, namespace: &str, check: &Check) -> Keyring {
    let mut pause = Duration::from_secs(1);
    let mut said = String::new();
    loop {
        match keys::load_or_create(client, namespace).await {
            Ok(keyring) => {
                check.pass();
                info!(?keyring, "fingerprint keys");
                return keyring;
            }
            Err(error) => {
                let why = format!("Secret {namespace}/{}: {error}", keys::KEY_SECRET);
                if why != said {
                    warn!(why, "no fingerprint keys; it is tried again");
                    said.clone_from(&why);
                }
                check.fail(why);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(KEYS_RETRY_MAX);
    }
}

fn scopes(namespaces: &[String]) -> Vec<Scope> {
    if namespaces.is_empty() {
        return vec![Scope::All];
    }
    let mut scopes: Vec<_> = namespaces.iter().cloned().map(Scope::Namespace).collect();
    scopes.sort();
    scopes.dedup();
    scopes
}

/// What is wrong with the kubeconfig, without what stands in it: a parser quotes the lines around,
/// and tokens and keys are among them.
fn without_content(error: &InferConfigError) -> String {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(KubeconfigError::Parse(_)) => {
            "the kubeconfig is not valid, `kubectl config view` says where".to_owned()
        }
        Some(cause) => cause.to_string().replace(char::is_control, " "),
        None => "no kubeconfig".to_owned(),
    }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
