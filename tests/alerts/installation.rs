//! An installation: two replicas with a home, rights and a Cognito of their own, that watch one namespace. All
//! installations share an API server and a Prometheus, which tells them apart by the label `namespace`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::replica::Replica;
use crate::say;
use crate::support::prometheus::Series;
use crate::support::{ControlPlane, OperatorBuilder, Prometheus, Proxy, operator, tools};
use crate::world::{POOL, World};

/// For an alert to fire or to resolve: the rules need at most two minutes, and the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(8);
/// Between two looks at Prometheus, which evaluates the rules every second.
const PAUSE: Duration = Duration::from_millis(250);

pub(crate) const PREFIX: &str = "CognitoPasswordOperator";

/// An alert that a busy machine can fire in any scene, because the operators are debug builds. Its gauge remembers
/// one stall for five minutes: less than the `for` that ships (10 minutes), but more than the `for` of these tests.
pub(crate) const ECHO: &str = "Stalls";

/// How the operators of an installation differ from the usual ones.
pub(crate) type Adjust = fn(OperatorBuilder<'static>) -> OperatorBuilder<'static>;

pub(crate) struct Installation {
    // Fields drop in this order: the operators before their Cognito.
    pub(crate) replicas: Vec<Replica>,
    pub(crate) world: World<'static>,
    name: &'static str,
    prometheus: Arc<Prometheus>,
    home: String,
    /// Watches all namespaces.
    is_everywhere: bool,
    token: String,
    pods: usize,
}

impl Installation {
    /// Two replicas with an election; both are scraped when this returns.
    pub(crate) async fn new(name: &'static str, prometheus: &Arc<Prometheus>) -> Self {
        Self::with(name, prometheus, OperatorBuilder::leader_elect).await
    }

    /// The same with other settings.
    pub(crate) async fn with(
        name: &'static str,
        prometheus: &Arc<Prometheus>,
        adjust: Adjust,
    ) -> Self {
        let mut installation = Self::without_replicas(name, prometheus).await;
        installation.start(adjust).await;
        installation
    }

    pub(crate) async fn without_replicas(name: &'static str, prometheus: &Arc<Prometheus>) -> Self {
        let world = World::new(name).await;
        let home = world.plane.new_namespace(&format!("{name}-home")).await;
        give_rights(&world, &home);
        Self::of(world, home, false, name, prometheus)
    }

    /// Watches all namespaces, by grants, as `deploy/` installs it. Needs a control plane of its own: else two
    /// installations would serve the same resources.
    pub(crate) async fn everywhere(
        name: &'static str,
        plane: &'static ControlPlane,
        prometheus: &Arc<Prometheus>,
    ) -> Self {
        let world = World::on(plane, name).await;
        let home = operator::NAMESPACE.to_owned();
        let mut installation = Self::of(world, home, true, name, prometheus);
        installation.start(OperatorBuilder::leader_elect).await;
        installation
    }

    fn of(
        world: World<'static>,
        home: String,
        is_everywhere: bool,
        name: &'static str,
        prometheus: &Arc<Prometheus>,
    ) -> Self {
        let token = world.plane.token_for(&home, operator::SERVICE_ACCOUNT);
        Self {
            replicas: Vec::new(),
            world,
            name,
            prometheus: Arc::clone(prometheus),
            home,
            is_everywhere,
            token,
            pods: 0,
        }
    }

    pub(crate) async fn start(
        &mut self,
        adjust: impl Fn(OperatorBuilder<'static>) -> OperatorBuilder<'static>,
    ) {
        for _ in 0..2 {
            self.add_replica(&adjust).await;
        }
        for replica in &self.replicas {
            replica.wait_ready().await;
        }
        self.until_scraped(2).await;
        let leaders = format!("sum({})", self.metric("leader"));
        self.until("a leader", &leaders, |series| {
            series.first().is_some_and(|sum| sum.value() > 0.5)
        })
        .await;
    }

    /// Another pod; the pod need not be ready when this returns.
    pub(crate) async fn add_replica(
        &mut self,
        adjust: impl Fn(OperatorBuilder<'static>) -> OperatorBuilder<'static>,
    ) {
        self.pods += 1;
        let pod = format!("{}-{}", self.world.namespace, self.pods);
        let proxy = Proxy::start(self.world.plane);
        let kubeconfig = proxy.kubeconfig(self.world.plane, &pod, &self.token);
        let builder = adjust(self.builder().kubeconfig(&kubeconfig));
        let replica = Replica::start(pod, proxy, builder).await;
        (self.prometheus).scrape(&self.world.namespace, &replica.pod, replica.port);
        self.replicas.push(replica);
    }

    /// Takes a pod away, as a rollout does: Prometheus learns of the pod's end somewhat later.
    pub(crate) async fn remove_replica(&mut self, index: usize) {
        let replica = self.replicas.remove(index);
        self.prometheus.forget(&replica.pod);
        let exit = replica.operator().terminate(PATIENCE).await;
        assert!(exit.success(), "{exit:?}: {}", replica.operator().logs());
    }

    /// Restarts both replicas, as after a change of the Deployment.
    pub(crate) async fn restart_with(
        &mut self,
        adjust: impl Fn(OperatorBuilder<'static>) -> OperatorBuilder<'static>,
    ) {
        for index in 0..self.replicas.len() {
            let replica = &self.replicas[index];
            let kubeconfig =
                (replica.proxy).kubeconfig(self.world.plane, &replica.pod, &self.token);
            let builder = adjust(self.builder().kubeconfig(&kubeconfig));
            self.replicas[index].restart_with(builder).await;
            self.replicas[index].wait_ready().await;
        }
    }

    fn builder(&self) -> OperatorBuilder<'static> {
        let builder = if self.is_everywhere {
            self.world.cluster_wide()
        } else {
            self.world.builder()
        };
        // Two dozen operators that log at the level `trace` would be slow. Other tests search such logs.
        (builder.home(&self.home))
            .env("CPO_LOG", "info")
            .env("RUST_LOG", "info")
    }

    /// The namespace of the operators themselves.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// A user, a Secret and a resource of one name; the password need not be set when this returns.
    pub(crate) async fn add(&self, name: &str) {
        self.add_with(name, |_| ()).await;
    }

    /// The same with a change of the resource's spec.
    pub(crate) async fn add_with(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.world.cognito.add_user(POOL, name);
        self.rotate(name).await;
        let change = |resource: &mut Value| change(&mut resource["spec"]);
        self.world.apply_resource(name, change).await;
    }

    /// The same for many.
    pub(crate) async fn add_many(&self, names: &[String]) {
        for name in names {
            self.add(name).await;
        }
    }

    /// A new value for a Secret.
    pub(crate) async fn rotate(&self, name: &str) {
        let value = format!("Passw0rd-{:08x}", getrandom::u32().expect("randomness"));
        self.world.apply_secret(name, "password", value).await;
    }

    pub(crate) async fn wait_all_set(&self, names: &[String]) {
        for name in names {
            self.world.wait(name, "True", "PasswordSet").await;
        }
    }

    /// The index of the replica that leads. Prometheus may still show a pod that is gone.
    pub(crate) async fn leader(&mut self) -> usize {
        let leader = format!("{} == 1", self.metric("leader"));
        let pods: Vec<_> = self.replicas.iter().map(|it| it.pod.clone()).collect();
        let leaders = |series: &[Series]| {
            let index = |series: &Series| pods.iter().position(|pod| pod == series.label("pod"));
            series.iter().filter_map(index).collect::<Vec<_>>()
        };
        let is_one = |series: &[Series]| leaders(series).len() == 1;
        let series = self.until("one leader", &leader, is_one).await;
        leaders(&series)[0]
    }

    /// The selector of one of our metrics, for this installation.
    pub(crate) fn metric(&self, name: &str) -> String {
        let namespace = &self.world.namespace;
        format!(r#"cognito_password_operator_{name}{{namespace="{namespace}"}}"#)
    }

    pub(crate) fn say(&self, text: &str) {
        say::line(self.name, text);
    }

    // Alerts.

    /// Waits until the alert fires.
    pub(crate) async fn fires(&mut self, alert: &str) {
        let began = Instant::now();
        let firing = format!(r#"alertname="{PREFIX}{alert}", alertstate="firing""#);
        let what = format!("firing {alert}");
        self.until(&what, &self.alerts(&firing), |series| !series.is_empty())
            .await;
        let took = began.elapsed().as_secs();
        self.say(&format!("{alert} fires after {took} s"));
    }

    /// Waits until the alert is over: neither firing nor pending.
    pub(crate) async fn resolves(&mut self, alert: &str) {
        let began = Instant::now();
        let alerts = self.alerts(&format!(r#"alertname="{PREFIX}{alert}""#));
        self.until(&format!("an end of {alert}"), &alerts, <[_]>::is_empty)
            .await;
        self.say(&format!(
            "{alert} resolves after {} s",
            began.elapsed().as_secs()
        ));
    }

    /// Waits until no alert of this installation fires or is about to, but for an [`ECHO`].
    pub(crate) async fn is_silent(&mut self) {
        let alerts = self.alerts(&format!(r#"alertname!="{PREFIX}{ECHO}""#));
        self.until("silence", &alerts, <[_]>::is_empty).await;
    }

    fn alerts(&self, matchers: &str) -> String {
        let namespace = &self.world.namespace;
        format!(r#"ALERTS{{namespace="{namespace}", {matchers}}}"#)
    }

    /// Whether the alert [`ECHO`] is true: a task really kept the thread for so long.
    pub(crate) async fn has_stalled(&self) -> bool {
        let stalls = self.metric("longest_stall_seconds");
        let longest = self.ask(&format!("max(max_over_time({stalls}[1h]))")).await;
        longest.first().is_some_and(|longest| longest.value() > 0.5)
    }

    /// The names of all alerts that this installation ever fired.
    pub(crate) async fn fired(&self) -> BTreeSet<String> {
        let firing = self.alerts(r#"alertstate="firing""#);
        let ever = format!("count by (alertname) (present_over_time({firing}[1h]))");
        let series = self.ask(&ever).await;
        let names = series.iter().map(|series| series.label("alertname"));
        names
            .map(|name| name.trim_start_matches(PREFIX).to_owned())
            .collect()
    }

    // Prometheus.

    pub(crate) async fn ask(&self, expression: &str) -> Vec<Series> {
        (self.prometheus.query(expression).await).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until the answer is as wanted. Meanwhile operators that have ended by themselves are restarted.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        expression: &str,
        wanted: impl Fn(&[Series]) -> bool,
    ) -> Vec<Series> {
        let began = Instant::now();
        loop {
            self.keep_running().await;
            let series = self.ask(expression).await;
            if wanted(&series) {
                return series;
            }
            if began.elapsed() > PATIENCE {
                self.fail(&format!("no {what}, {expression} is {series:?}"))
                    .await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn keep_running(&mut self) {
        for replica in &mut self.replicas {
            replica.keep_running().await;
        }
    }

    /// Waits until Prometheus scrapes so many replicas.
    pub(crate) async fn until_scraped(&mut self, count: usize) {
        let up = format!(r#"up{{namespace="{}"}} == 1"#, self.world.namespace);
        self.until(&format!("{count} scraped replicas"), &up, |series| {
            series.len() == count
        })
        .await;
    }

    async fn fail(&self, why: &str) -> ! {
        let pending = self.ask(&self.alerts("")).await;
        let logs = self.replicas.iter().map(Replica::log_tail);
        let logs: Vec<_> = logs.collect();
        panic!(
            "{why} after {PATIENCE:?}; alerts: {pending:?}; the ends of the logs:\n{}",
            logs.join("\n\n")
        )
    }

    /// Takes the installation away. Prometheus forgets the pods first, so that no alert about their end fires.
    pub(crate) async fn end(mut self) {
        for replica in &self.replicas {
            self.prometheus.forget(&replica.pod);
        }
        let up = format!(r#"up{{namespace="{}"}}"#, self.world.namespace);
        self.until("end of the scrapes", &up, <[_]>::is_empty).await;
    }
}

/// The rights as they ship, for a service account in `home` and the watched namespace.
fn give_rights(world: &World<'static>, home: &str) {
    let read = |path: &str| {
        let text = std::fs::read_to_string(tools::checkout().join(path));
        let text = text.unwrap_or_else(|error| panic!("{path} can't be read: {error}"));
        text.replace(
            &format!("namespace: {}", operator::NAMESPACE),
            &format!("namespace: {home}"),
        )
    };
    let manifests = |paths: &[&str]| {
        let texts: Vec<_> = paths.iter().map(|path| read(path)).collect();
        texts.join("\n---\n")
    };
    let at_home = manifests(&["deploy/base/service-account.yaml", "deploy/base/rbac.yaml"]);
    let watched = manifests(&[
        "deploy/watch-namespaces/rights/role.yaml",
        "deploy/watch-namespaces/rights/role-binding.yaml",
    ]);
    let plane = world.plane;
    plane.kubectl_stdin(&["apply", "-f", "-"], &at_home);
    plane.kubectl_stdin(&["apply", "-n", &world.namespace, "-f", "-"], &watched);
}
