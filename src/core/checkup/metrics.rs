//! The few metrics of the operator that the commands for people read.

/// What a pod's /metrics say.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Metrics {
    /// The operator's version.
    pub version: Option<String>,
    /// Whether the pod leads.
    pub leads: Option<bool>,
    /// How many resources are in the work queue.
    pub queue: Option<f64>,
    /// How many calls wait for the rate limiter.
    pub waiting: Option<f64>,
    /// How many sets Cognito gets each second, after throttling.
    pub rps: Option<f64>,
}

impl Metrics {
    /// Reads a page of /metrics.
    #[must_use]
    pub fn parse(page: &str) -> Self {
        let value = |name: &str| {
            let name = format!("cognito_password_operator_{name}");
            let mut lines = page.lines().filter_map(|it| it.split_once(' '));
            let (_, value) = lines.find(|(series, _)| *series == name)?;
            value.split(' ').next()?.parse::<f64>().ok()
        };
        let version = page.lines().find_map(|line| {
            let labels = line.strip_prefix("cognito_password_operator_build_info{")?;
            let (_, value) = labels.split_once("version=\"")?;
            Some(value.split_once('"')?.0.to_owned())
        });
        Self {
            version,
            leads: value("leader").map(|it| it > 0.5),
            queue: value("queue_length"),
            waiting: value("budget_waiting"),
            rps: value("budget_rps"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauges_are_read_and_the_rest_is_skipped() {
        let page = "# TYPE cognito_password_operator_leader gauge\n\
            cognito_password_operator_leader 1\n\
            cognito_password_operator_build_info{version=\"0.1.0\"} 1\n\
            cognito_password_operator_queue_length 12\n\
            cognito_password_operator_queue_length_seconds 99\n\
            cognito_password_operator_budget_waiting 3\n\
            cognito_password_operator_budget_rps 2.5\n# EOF\n";
        let read = Metrics::parse(page);
        let wanted = Metrics {
            version: Some("0.1.0".to_owned()),
            leads: Some(true),
            queue: Some(12.0),
            waiting: Some(3.0),
            rps: Some(2.5),
        };
        assert_eq!(read, wanted);
        assert_eq!(Metrics::parse("nothing here"), Metrics::default());
    }
}
