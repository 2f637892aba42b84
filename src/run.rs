//! The composition root of `run`: the order of start and shutdown.
//!
//! 1. Log, memory hardening, and the settings that only this module can check.
//! 2. `/livez`, `/readyz` and `/metrics`, so that `/readyz` can name what is missing.
//! 3. In the background, the check for rights on Secrets that the operator does not need; then the
//!    fingerprint keys, retried until the keys are loaded.
//! 4. The watches and the election. The reconciles begin once this process leads.
//! 5. On SIGTERM or SIGINT, calls in flight are finished and recorded. Then queued Events are written (at
//!    most 500 ms). The lease is released only if all this ended within 8 s. Then the server ends, and the
//!    process ends.
//!
//! A process that loses the lease exits at once, at every step.

mod candidate;
mod rights;
mod settings;

pub use crate::controller::Rules;
use crate::{
    api::KEY_SECRET,
    cluster::{ApiRequest, connect, infer_config, keys, watch::Scope},
    cognito::{Cognito, aws::AwsCognito},
    controller::{self, Context},
    core::{access::grant::UngrantedPolicy, credential::fingerprint::Keyring},
    ops::{
        hardening,
        health::{Check, Readiness},
        logging,
        metrics::{LeadershipSample, Metrics},
        server,
    },
};
use candidate::{Candidate, ElectionTask, wait_until_true};
use kube::Client;
pub use settings::{Settings, StartError};
use std::{sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};
use tracing::{error, info, warn};

/// How long a shutdown may take: one call in flight (5 s) and the status write for its outcome.
const SHUTDOWN_MAX: Duration = Duration::from_secs(8);

/// The longest pause between two tries to load the fingerprint keys. The first pause is 1 s; each next one
/// doubles.
const KEYS_RETRY_MAX: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`] if the operator can't start. After the start, the log and `/readyz` name every failure, and
/// the operator tries again.
pub fn main(settings: Settings) -> Result<(), StartError> {
    let failed =
        |what: &str, error: &dyn std::error::Error| StartError::Failed(format!("{what}: {error}"));
    // Before any secret is in memory.
    let failures = hardening::keep_memory_private();
    logging::init(settings.log_format, settings.log.clone())
        .map_err(|error| failed("the log can't be set up", &error))?;
    for failure in failures {
        warn!(%failure, "the hardening of the process's memory failed; the operator starts anyway");
    }
    // One thread. There is little to compute, and waking a second thread costs more than the work.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed("the runtime can't be started", &error))?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    let ended = runtime.block_on(metrics.stalls().instrument(run(settings, metrics.clone())));
    // Blocking work, such as a name lookup, may still be running; don't wait for that work.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn run(settings: Settings, metrics: Arc<Metrics>) -> Result<(), StartError> {
    let mut signals = ShutdownSignals::listen()
        .map_err(|error| StartError::Failed(format!("signals can't be handled: {error}")))?;
    let cognito = AwsCognito::load()
        .await
        .map_err(|error| StartError::Settings(error.to_string()))?;
    let cognito = Arc::new(cognito);
    let client = client(metrics.clone()).await?;
    let cant_listen =
        |error| StartError::Failed(format!("can't listen on {}: {error}", settings.listen));
    let listener = server::bind(settings.listen).map_err(cant_listen)?;
    let listen = listener.local_addr().map_err(cant_listen)?;

    let stalls = metrics.stalls();
    let (candidate, leadership) = Candidate::of(&settings);
    let leads = leadership.clone();
    metrics.measure_leadership_with(move || LeadershipSample {
        leads: leads.has_left(Duration::ZERO),
        transitions: leads.transitions(),
        failures: leads.failures(),
    });
    let readiness = Readiness::new();
    let has_keys = readiness.check("fingerprint keys");
    let scopes = scopes(&settings.watch_namespaces);
    controller::register_checks(&readiness, &scopes);
    let (ending, ended) = watch::channel(false);
    let serving = tokio::spawn(stalls.instrument(server::serve(
        listener,
        readiness.clone(),
        metrics.clone(),
        wait_until_true(ended.clone()),
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
        drift = ?settings.rules.drift,
        drift_interval_s = settings.rules.drift_interval.as_secs(),
        "started"
    );
    // No other task waits for this check, and the check ends with the runtime.
    let rights = rights::check(client.clone(), &settings, metrics.clone());
    drop(tokio::spawn(stalls.instrument(rights)));

    let controlled = async {
        let keyring = tokio::select! {
            keyring = load_keys(&client, &settings.operator_namespace, &has_keys) => keyring,
            () = signals.received() => return Ok(()),
        };
        let election = candidate
            .map(|candidate| candidate.join_election(&client, &settings, &readiness, &stalls))
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
        let mut controller = tokio::spawn(stalls.instrument(controller::run(
            context,
            scopes,
            readiness.clone(),
            leading,
            wait_until_true(stopped),
        )));
        tokio::select! {
            () = signals.received() => {}
            // A process whose controller is gone still looks alive. Exiting is better, because the kubelet
            // restarts the process.
            ended = &mut controller => {
                error!(panicked = ended.is_err(), "the controller ended");
                return Err(StartError::Failed("the controller ended".to_owned()));
            }
        }
        info!("stopping: calls in flight are finished and recorded");
        stopping.send_replace(true);
        finish(controller, election).await;
        Ok(())
    };
    let controlled = controlled.await;
    ending.send_replace(true);
    if serving.await.is_err() {
        // The panic's payload may quote a secret, so it is not logged here: see `ops::panics`.
        error!("the server panicked");
    }
    info!("stopped");
    controlled
}

/// The client of the API server. The metrics count each request.
async fn client(metrics: Arc<Metrics>) -> Result<Client, StartError> {
    let config = infer_config().await.map_err(StartError::Settings)?;
    let count = move |request: ApiRequest| {
        metrics.kubernetes_request(request.verb, request.resource, request.code_class);
    };
    connect(config, Arc::new(count)).map_err(StartError::Settings)
}

/// The rule for users that no grant names, as a field of the log.
const fn ungranted(rules: &Rules) -> &'static str {
    match rules.ungranted {
        None => "allow, without grants",
        Some(UngrantedPolicy::Allow) => "allow",
        Some(UngrantedPolicy::Deny) => "deny",
    }
}

/// Returns once this process leads, after reloading the fingerprint keys: another process may have changed
/// the keys while this process stood by.
async fn leading<C: Cognito>(context: Arc<Context<C>>, namespace: String, has_keys: Check) {
    if context.leadership.is_elected() {
        context.leadership.won().await;
        let keyring = load_keys(&context.client, &namespace, &has_keys).await;
        context.renew_keyring(keyring);
    }
}

/// Waits until the reconciles under way are done, then releases the lease.
async fn finish(controller: JoinHandle<()>, election: Option<ElectionTask>) {
    match tokio::time::timeout(SHUTDOWN_MAX, controller).await {
        Ok(Ok(())) => {
            if let Some(election) = election {
                election.release().await;
            }
        }
        Ok(Err(_)) => error!("the controller panicked"),
        Err(_) => warn!(
            "some work didn't end in time; the next leader takes over every attempt that is on record"
        ),
    }
}

/// Retries until the keys are loaded.
async fn load_keys(client: &Client, namespace: &str, check: &Check) -> Keyring {
    let mut pause = Duration::from_secs(1);
    let mut logged = String::new();
    loop {
        match keys::load_or_create(client, namespace).await {
            Ok(keyring) => {
                check.pass();
                info!(?keyring, "loaded the fingerprint keys");
                return keyring;
            }
            Err(error) => {
                let why = format!("Secret {namespace}/{KEY_SECRET}: {error}");
                if why != logged {
                    warn!(why, "the fingerprint keys can't be loaded; trying again");
                    logged.clone_from(&why);
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

/// SIGTERM and SIGINT.
struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl ShutdownSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
