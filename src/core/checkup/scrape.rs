//! Finds who scrapes the operator's metrics.

use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// Who scrapes the metrics, such as `ServiceMonitor monitoring/operator`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scrape(pub String);

/// A `ServiceMonitor` or a `PodMonitor`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Monitor {
    /// The kind: `ServiceMonitor`, which selects Services, or `PodMonitor`.
    pub kind: &'static str,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// The labels that a selected object has.
    pub labels: Labels,
    /// Where the selected objects are. None for every namespace.
    pub namespaces: Option<Vec<String>>,
}

/// A Service in the operator's namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Service {
    /// The Service's own labels.
    pub labels: Labels,
    /// The labels of the pods that the Service selects; empty if the Service selects none.
    pub selector: Labels,
    /// The annotations.
    pub annotations: Labels,
}

/// The operator's pods.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pods {
    /// The namespace.
    pub namespace: String,
    /// The labels.
    pub labels: Labels,
    /// The annotations.
    pub annotations: Labels,
}

/// The annotation by which many configurations of Prometheus find pods and Services.
const SCRAPE: &str = "prometheus.io/scrape";

/// Who scrapes these pods. None if nobody does, as far as these objects say.
#[must_use]
pub fn scrape(pods: &Pods, services: &[Service], monitors: &[Monitor]) -> Option<Scrape> {
    let ours = services
        .iter()
        .filter(|it| !it.selector.is_empty() && fits(&it.selector, &pods.labels));
    let ours: Vec<_> = ours.collect();
    let selects = |monitor: &&Monitor| {
        let is_here = monitor
            .namespaces
            .as_ref()
            .is_none_or(|all| all.contains(&pods.namespace));
        is_here
            && match monitor.kind {
                "PodMonitor" => fits(&monitor.labels, &pods.labels),
                _ => ours.iter().any(|it| fits(&monitor.labels, &it.labels)),
            }
    };
    if let Some(it) = monitors.iter().find(selects) {
        return Some(Scrape(format!("{} {}/{}", it.kind, it.namespace, it.name)));
    }
    let asks = |annotations: &Labels| annotations.get(SCRAPE).is_some_and(|it| it == "true");
    let is_annotated = asks(&pods.annotations) || ours.iter().any(|it| asks(&it.annotations));
    is_annotated.then(|| Scrape(format!("the annotation {SCRAPE}")))
}

/// Whether an object with `labels` has all of `wanted`.
fn fits(wanted: &Labels, labels: &Labels) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        pairs.iter().map(owned).collect()
    }

    fn pods() -> Pods {
        Pods {
            namespace: "home".to_owned(),
            labels: labels(&[("app", "operator"), ("version", "1")]),
            annotations: Labels::new(),
        }
    }

    fn service() -> Service {
        Service {
            labels: labels(&[("svc", "metrics")]),
            selector: labels(&[("app", "operator")]),
            annotations: Labels::new(),
        }
    }

    fn monitor(kind: &'static str, wanted: &[(&str, &str)]) -> Monitor {
        Monitor {
            kind,
            namespace: "monitoring".to_owned(),
            name: "m".to_owned(),
            labels: labels(wanted),
            namespaces: None,
        }
    }

    fn found(services: &[Service], monitors: &[Monitor]) -> Option<String> {
        scrape(&pods(), services, monitors).map(|it| it.0)
    }

    #[test]
    fn a_monitor_counts_if_it_selects_the_pods_or_their_service() {
        let of_services = monitor("ServiceMonitor", &[("svc", "metrics")]);
        let wanted = Some("ServiceMonitor monitoring/m".to_owned());
        assert_eq!(
            found(&[service()], std::slice::from_ref(&of_services)),
            wanted
        );
        assert_eq!(found(&[], std::slice::from_ref(&of_services)), None);
        let elsewhere = Monitor {
            namespaces: Some(vec!["monitoring".to_owned()]),
            ..of_services
        };
        assert_eq!(found(&[service()], &[elsewhere]), None);
        let of_pods = monitor("PodMonitor", &[("app", "operator")]);
        assert_eq!(
            found(&[], &[of_pods]),
            Some("PodMonitor monitoring/m".to_owned())
        );
        let of_others = monitor("PodMonitor", &[("app", "other")]);
        assert_eq!(found(&[service()], &[of_others]), None);
    }

    #[test]
    fn an_annotation_counts_at_the_pods_and_at_their_service() {
        let annotated = Service {
            annotations: labels(&[(SCRAPE, "true")]),
            ..service()
        };
        let wanted = Some("the annotation prometheus.io/scrape".to_owned());
        assert_eq!(found(std::slice::from_ref(&annotated), &[]), wanted);
        let of_others = Service {
            selector: labels(&[("app", "other")]),
            ..annotated
        };
        assert_eq!(found(&[of_others], &[]), None);
        let mut pods = pods();
        pods.annotations = labels(&[(SCRAPE, "true")]);
        assert!(scrape(&pods, &[], &[]).is_some());
        pods.annotations = labels(&[(SCRAPE, "false")]);
        assert_eq!(scrape(&pods, &[], &[]), None);
    }
}
