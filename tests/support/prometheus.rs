//! A real Prometheus that scrapes operators every second and evaluates rules as often. Alerts go nowhere: they are
//! read from the series `ALERTS`.

mod rules;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::ports::free_port;
use super::process::{Process, Spec, lock};
use super::scratch::scratch;
use super::{http, tools};

pub(crate) use rules::{shipped, shortened, without_durations};

/// A start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// The `job` of every operator. The rules and the dashboard select by this name.
pub(crate) const JOB: &str = "cognito-password-operator";

#[derive(Debug)]
pub(crate) struct Prometheus {
    process: Process,
    port: u16,
    directory: PathBuf,
    targets: Mutex<BTreeMap<String, Value>>,
}

/// One time series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    /// Unix time and value.
    pub(crate) samples: Vec<(f64, f64)>,
}

impl Series {
    /// The value of a label; empty if the series doesn't have the label.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The last value.
    pub(crate) fn value(&self) -> f64 {
        self.samples.last().map_or(f64::NAN, |(_, value)| *value)
    }
}

impl Prometheus {
    /// Starts a Prometheus with these rules and without targets. Prometheus is ready when this returns.
    pub(crate) async fn start(rules: &Value) -> Self {
        let directory = scratch("prometheus");
        let configuration = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{
                "job_name": JOB,
                "file_sd_configs": [{ "files": ["targets.json"], "refresh_interval": "1s" }],
            }],
        });
        let write = |name: &str, content: &Value| {
            // JSON is YAML.
            std::fs::write(directory.join(name), content.to_string())
                .expect("a file can be written");
        };
        write("prometheus.yaml", &configuration);
        write("rules.yaml", rules);
        write("targets.json", &json!([]));
        let port = free_port();
        let path = |name: &str| directory.join(name).display().to_string();
        let program = tools::path(tools::Tool::Prometheus);
        let process = Spec::new("prometheus", &program, directory.join("log"))
            .arg(format!("--config.file={}", path("prometheus.yaml")))
            .arg(format!("--storage.tsdb.path={}", path("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .spawn();
        let prometheus = Self {
            process,
            port,
            directory,
            targets: Mutex::default(),
        };
        prometheus.wait_ready().await;
        prometheus
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Scrapes an operator from now on, as the pod `pod` of an installation in `namespace`. Prometheus takes up to
    /// 5 s to notice. The label `instance` is the pod's name, so that a restarted container continues its series.
    pub(crate) fn scrape(&self, namespace: &str, pod: &str, port: u16) {
        let labels = json!({
            "cluster": "test", "namespace": namespace, "pod": pod, "instance": pod,
        });
        let target = json!({ "targets": [format!("127.0.0.1:{port}")], "labels": labels });
        self.change_targets(|targets| drop(targets.insert(pod.to_owned(), target)));
    }

    /// Scrapes this pod no more.
    pub(crate) fn forget(&self, pod: &str) {
        self.change_targets(|targets| drop(targets.remove(pod)));
    }

    fn change_targets(&self, change: impl FnOnce(&mut BTreeMap<String, Value>)) {
        let mut targets = lock(&self.targets);
        change(&mut targets);
        let all: Vec<_> = targets.values().collect();
        let text = serde_json::to_vec(&all).expect("JSON");
        // Prometheus sees the old file or the new one, never a half.
        let new = self.directory.join("targets.new");
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, self.directory.join("targets.json")))
            .expect("the targets can be written");
    }

    /// The present value of an expression.
    pub(crate) async fn query(&self, expression: &str) -> Result<Vec<Series>, String> {
        self.ask("query", &[("query", expression)]).await
    }

    /// The values of an expression from `from` until now.
    pub(crate) async fn query_since(
        &self,
        expression: &str,
        from: SystemTime,
        step: Duration,
    ) -> Result<Vec<Series>, String> {
        let parameters = [
            ("query", expression),
            ("start", &unix(from).to_string()),
            ("end", &unix(SystemTime::now()).to_string()),
            ("step", &step.as_secs_f64().to_string()),
        ];
        self.ask("query_range", &parameters).await
    }

    /// The values of a label of the series that match a selector.
    pub(crate) async fn label_values(
        &self,
        label: &str,
        selector: &str,
    ) -> Result<Vec<String>, String> {
        let data = self
            .data(&format!("label/{label}/values"), &[("match[]", selector)])
            .await?;
        serde_json::from_value(data).map_err(|error| error.to_string())
    }

    /// What the firing instances of an alert say.
    pub(crate) async fn descriptions(&self, alert: &str) -> Result<Vec<String>, String> {
        let data = self.data("alerts", &[]).await?;
        let alerts = data["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts
            .iter()
            .filter(|it| it["labels"]["alertname"] == alert && it["state"] == "firing");
        let description = |it: &Value| it["annotations"]["description"].as_str().map(str::to_owned);
        Ok(firing.filter_map(description).collect())
    }

    async fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Vec<Series>, String> {
        let data = self.data(what, parameters).await?;
        let result = data["result"].as_array().cloned().unwrap_or_default();
        result.iter().map(series).collect()
    }

    async fn data(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let (status, body) = http::get(self.port, &format!("/api/v1/{what}?{query}"))
            .await
            .map_err(|error| format!("{error}; Prometheus' log:\n{}", self.process.log_tail()))?;
        let mut answer: Value = serde_json::from_str(&body)
            .map_err(|error| format!("{parameters:?}: {status}, {error}: {body}"))?;
        if answer["status"] != "success" {
            return Err(format!("{parameters:?}: {answer}"));
        }
        Ok(answer["data"].take())
    }

    async fn wait_ready(&self) {
        let started = Instant::now();
        loop {
            let answer = http::get(self.port, "/-/ready").await;
            if matches!(answer, Ok((200, _))) {
                return;
            }
            assert!(
                self.process.is_running() && started.elapsed() < PATIENCE,
                "Prometheus is not ready ({answer:?}); its log:\n{}",
                self.process.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn series(answer: &Value) -> Result<Series, String> {
    let read = || {
        let labels = serde_json::from_value(answer["metric"].clone()).ok()?;
        // A single value of an instant query, or all values of a range.
        let single = answer.get("value").map(std::slice::from_ref);
        let samples = single.or_else(|| answer["values"].as_array().map(Vec::as_slice))?;
        let sample = |pair: &Value| Some((pair[0].as_f64()?, pair[1].as_str()?.parse().ok()?));
        let samples = samples.iter().map(sample).collect::<Option<_>>()?;
        Some(Series { labels, samples })
    };
    read().ok_or_else(|| format!("not a series: {answer}"))
}

fn unix(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.expect("it is after 1970").as_secs_f64()
}
