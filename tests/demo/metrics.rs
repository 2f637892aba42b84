//! The chapter of `METRICS=1`: a mass rotation, as a real Prometheus sees it.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::Step;
use crate::plot::{Panel, Plot};
use crate::say::{Say, time};
use crate::stage::{DEADLINE, Stage};
use crate::support::prometheus::{Series, shortened};
use crate::support::{Operator, Prometheus, operator, tools};

const API: &str = "cognito-password-operator.io/v1alpha1";
const NAMESPACE: &str = "fleet";
const USERS: u16 = 150;
/// The operator's default limit: calls a second.
const LIMIT: u16 = 10;
const ALERT: &str = "CognitoPasswordOperatorSlowToSet";
const PLOT: &str = "docs/mass-rotation.svg";

/// Between two lines of the story.
const REPORT: Duration = Duration::from_secs(3);
/// Between two scrapes.
const SCRAPE: Duration = Duration::from_secs(1);

/// Calls that Cognito accepted.
const SETS: &str = r#"sum(cognito_password_operator_cognito_calls_total{code="OK"})"#;
/// Calls a second, over the last moments.
const RATE: &str = "sum(rate(cognito_password_operator_cognito_calls_total[8s]))";
const WAITING: &str = "max(cognito_password_operator_budget_waiting)";

/// What stays up after the chapter.
pub(crate) struct Metrics {
    _standby: Operator,
    pub(crate) prometheus: Prometheus,
}

pub(crate) fn are_wanted() -> bool {
    std::env::var("METRICS").is_ok_and(|value| !["", "0"].contains(&value.as_str()))
}

/// Tells the chapter. Returns the passwords that were used.
pub(crate) async fn tell(say: &mut Say, stage: &mut Stage) -> Step<Vec<String>> {
    say.chapter("A mass rotation, as Prometheus sees it");
    let metrics = start(say, stage).await?;
    let began = SystemTime::now();
    let prometheus = &metrics.prometheus;

    let first = passwords("First");
    import(say, stage, prometheus, &first).await?;
    say.gap();
    say.line("All these Secrets change at once, as after a leak:");
    let second = passwords("Second");
    let (rotated_at, rotated) = (SystemTime::now(), Instant::now());
    apply(stage, &secrets(&second))?;
    follow(say, prometheus, USERS).await?;
    say.good(&format!(
        "all {USERS} passwords are set, {} after the first change",
        time(rotated.elapsed())
    ));
    let (half, most) = (late(prometheus, 0.5).await?, late(prometheus, 0.99).await?);
    say.line(&format!(
        "Half of them were set within {half:.0} s, 99 of 100 within {most:.0} s: --cognito-rps={LIMIT} limits the calls."
    ));
    let refused = r#"sum(cognito_password_operator_cognito_calls_total{code!="OK"}) or vector(0)"#;
    let refused = number(prometheus, refused).await?;
    say.line(&format!(
        "Cognito refused {refused} of them, and end users, who share Cognito's quota, noticed nothing."
    ));
    say.gap();
    the_alert(say, prometheus).await?;
    draw(prometheus, began, rotated_at).await?;
    say.good(&format!("a plot of this run is in {PLOT}"));
    stage.metrics = Some(metrics);
    Ok([first, second].concat())
}

async fn start(say: &Say, stage: &Stage) -> Step<Metrics> {
    let progress = say.begin("A second replica, which stands by");
    let standby = stage.start_replica().await;
    progress.done();
    let progress = say.begin("Prometheus, which scrapes both every second");
    let prometheus = Prometheus::start(&shortened()).await;
    for (pod, replica) in [("replica-1", &stage.operator), ("replica-2", &standby)] {
        prometheus.scrape(operator::NAMESPACE, pod, replica.port());
    }
    let both = |series: &[Series]| series.len() == 2;
    until(&prometheus, "scrape of both replicas", "up == 1", both).await?;
    progress.done();
    say.line("Its alerts are those of monitoring/rules.yaml, with shorter durations.");
    say.gap();
    Ok(Metrics {
        _standby: standby,
        prometheus,
    })
}

/// Users, Secrets and resources of a fleet; all are set when this returns.
async fn import(say: &Say, stage: &Stage, prometheus: &Prometheus, passwords: &[String]) -> Step {
    for number in 1..=USERS {
        stage.moto.create_user(&stage.pool, &user(number)).await;
    }
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE },
    });
    let grant = json!({
        "apiVersion": API, "kind": "CognitoUserPoolGrant", "metadata": { "name": NAMESPACE },
        "spec": {
            "userPoolId": stage.pool,
            "usernames": [format!("{NAMESPACE}-*")],
            "namespaces": { "names": [NAMESPACE] },
        },
    });
    apply(stage, &[namespace, grant])?;
    let progress = say.begin(&format!(
        "A fleet of {USERS} users is set for the first time"
    ));
    apply(stage, &secrets(passwords))?;
    let resource = |number| {
        json!({
            "apiVersion": API, "kind": "CognitoUserPassword",
            "metadata": { "name": user(number), "namespace": NAMESPACE },
            "spec": {
                "userPoolId": stage.pool,
                "username": user(number),
                "passwordSecretRef": { "name": user(number), "key": "password" },
            },
        })
    };
    let resources: Vec<_> = (1..=USERS).map(resource).collect();
    apply(stage, &resources)?;
    let all = |series: &[Series]| value(series) > f64::from(USERS) - 0.5;
    until(prometheus, "set of all users", SETS, all).await?;
    progress.done();
    Ok(())
}

/// A line every few seconds, until all are set again.
async fn follow(say: &Say, prometheus: &Prometheus, before: u16) -> Step {
    let began = Instant::now();
    let mut done = 0.0;
    while done < f64::from(USERS) - 0.5 {
        if began.elapsed() > DEADLINE {
            return Err(format!(
                "only {done} are set within {} s",
                DEADLINE.as_secs()
            ));
        }
        tokio::time::sleep(REPORT).await;
        let rate = number(prometheus, RATE).await?;
        let waiting = number(prometheus, WAITING).await?;
        done = number(prometheus, SETS).await? - f64::from(before);
        say.line(&format!(
            "after {:>2} s: {rate:>4.1} calls a second, {waiting:>3} sets wait, {done:>3} of {USERS} are set",
            began.elapsed().as_secs(),
        ));
    }
    Ok(())
}

/// An objective is missed: that fires an alert, and resolves it once the sets are in time again.
async fn the_alert(say: &Say, prometheus: &Prometheus) -> Step {
    say.line("So many sets in so little time miss the objective, 99 of 100 within 5 s:");
    let firing =
        format!(r#"ALERTS{{alertname="{ALERT}", severity="critical", alertstate="firing"}}"#);
    let began = Instant::now();
    until(prometheus, "alert", &firing, |series| !series.is_empty()).await?;
    let said = prometheus.descriptions(ALERT).await?;
    say.line(&format!("{ALERT} fires:"));
    say.wrapped(&said.first().cloned().unwrap_or_default());
    until(prometheus, "end of the alert", &firing, <[_]>::is_empty).await?;
    say.good(&format!(
        "the alert resolves by itself, {} later: no Secret changed meanwhile",
        time(began.elapsed())
    ));
    // The plot shows some time without the alert.
    let over = format!("absent_over_time({firing}[5s])");
    let is_over = |series: &[Series]| !series.is_empty();
    until(prometheus, "time without the alert", &over, is_over).await
}

async fn draw(prometheus: &Prometheus, began: SystemTime, rotated: SystemTime) -> Step {
    let range = async |expression: &str| prometheus.query_since(expression, began, SCRAPE).await;
    let line = |name: &str, series: Vec<Series>| {
        let samples = series.into_iter().next().map(|series| series.samples);
        (name.to_owned(), samples.unwrap_or_default())
    };
    // Only the leader's: the standby learns of a status somewhat later or earlier.
    let reasons = "sum by (reason) (cognito_password_operator_resources and on (instance) cognito_password_operator_leader == 1) > 0";
    let reasons = range(reasons).await?;
    let reasons = reasons
        .into_iter()
        .map(|series| (series.label("reason").to_owned(), series.samples));
    let firing =
        format!(r#"max(ALERTS{{alertname="{ALERT}", severity="critical", alertstate="firing"}})"#);
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0.0, |since| since.as_secs_f64())
    };
    let plot = Plot {
        title: format!("A mass rotation: {USERS} Secrets change at once"),
        zero: seconds(rotated),
        marks: vec![
            (seconds(began), format!("{USERS} users are new")),
            (seconds(rotated), format!("{USERS} Secrets change")),
        ],
        shade: (format!("{ALERT} fires"), line("", range(&firing).await?).1),
        panels: vec![
            Panel {
                title: "Calls to Cognito, a second".to_owned(),
                stacked: false,
                lines: vec![
                    line("calls", range(RATE).await?),
                    line(
                        "the rate limit",
                        range("max(cognito_password_operator_budget_rps)").await?,
                    ),
                ],
            },
            Panel {
                title: "Sets that wait for the rate limit".to_owned(),
                stacked: true,
                lines: vec![line("waiting", range(WAITING).await?)],
            },
            Panel {
                title: "Resources, by the reason of their Ready condition".to_owned(),
                stacked: true,
                lines: reasons.collect(),
            },
        ],
    };
    let file = tools::checkout().join(PLOT);
    std::fs::write(&file, plot.svg()).map_err(|error| format!("{}: {error}", file.display()))
}

fn user(number: u16) -> String {
    format!("{NAMESPACE}-{number:03}")
}

fn passwords(word: &str) -> Vec<String> {
    (1..=USERS)
        .map(|number| format!("{word}-Passw0rd-{number:03}"))
        .collect()
}

fn secrets(passwords: &[String]) -> Vec<Value> {
    let secret = |(number, password): (u16, &String)| {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": user(number), "namespace": NAMESPACE },
            "stringData": { "password": password },
        })
    };
    (1..).zip(passwords).map(secret).collect()
}

/// Applies many objects by one kubectl, out of view.
fn apply(stage: &Stage, objects: &[Value]) -> Step {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let args = ["apply", "--server-side", "-f", "-"];
    stage.plane.try_kubectl(&args, &list.to_string()).map(drop)
}

/// Within how many seconds this share of the changed Secrets was set.
async fn late(prometheus: &Prometheus, share: f64) -> Step<f64> {
    let buckets = "cognito_password_operator_secret_change_to_set_seconds_bucket";
    let quantile = format!("histogram_quantile({share}, sum by (le) ({buckets}))");
    number(prometheus, &quantile).await
}

async fn number(prometheus: &Prometheus, expression: &str) -> Step<f64> {
    Ok(value(&prometheus.query(expression).await?))
}

fn value(series: &[Series]) -> f64 {
    series.first().map_or(0.0, Series::value)
}

async fn until(
    prometheus: &Prometheus,
    what: &str,
    expression: &str,
    wanted: impl Fn(&[Series]) -> bool,
) -> Step {
    let began = Instant::now();
    loop {
        let series = prometheus.query(expression).await?;
        if wanted(&series) {
            return Ok(());
        }
        if began.elapsed() > DEADLINE {
            let limit = DEADLINE.as_secs();
            return Err(format!(
                "no {what} within {limit} s: {expression} is {series:?}"
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
