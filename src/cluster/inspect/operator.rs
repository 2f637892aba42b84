//! Finds the Deployments of the operator.

use super::access::{right, seen};
use crate::{
    api::FIELD_MANAGER,
    core::{
        checkup::{
            installed::{ENDPOINTS, Installed, Settings},
            seen::Seen,
        },
        names::region::Regions,
        text::legible,
    },
};
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentCondition, DeploymentSpec},
    core::v1::Container,
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use std::collections::{BTreeMap, BTreeSet};

/// The labels by which the manifests and the chart mark a Deployment of the operator. The chart's
/// `nameOverride` changes the first label and not the second.
pub const LABELS: [&str; 2] = ["app.kubernetes.io/name", "app.kubernetes.io/part-of"];

/// The Deployments of the operator in `namespace`, or in all namespaces. A caller who may not list Deployments
/// everywhere sees those in the namespace `cognito-password-operator`, where the manifests install.
pub async fn installed(client: &Client, namespace: Option<&str>) -> Seen<Vec<Installed>> {
    let found = in_namespace(client, namespace).await;
    match (&found, namespace) {
        (Seen::Denied(_), None) => match in_namespace(client, Some(FIELD_MANAGER)).await {
            Seen::Known(found) => Seen::Known(found),
            Seen::Denied(_) | Seen::Failed(_) => found,
        },
        _ => found,
    }
}

async fn in_namespace(client: &Client, namespace: Option<&str>) -> Seen<Vec<Installed>> {
    let api: Api<Deployment> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let (mut known, mut found) = (BTreeSet::new(), Vec::new());
    for label in LABELS {
        let params = ListParams::default().labels(&format!("{label}={FIELD_MANAGER}"));
        let needed = right("list", "apps", "deployments", namespace, None);
        match seen(client, needed, api.list(&params)).await {
            Seen::Known(list) => found.extend(
                list.items
                    .into_iter()
                    .filter(|it| known.insert((it.namespace(), it.name_any())))
                    .filter_map(|it| of_deployment(&it)),
            ),
            Seen::Denied(right) => return Seen::Denied(right),
            Seen::Failed(why) => return Seen::Failed(why),
        }
    }
    Seen::Known(found)
}

/// The operator of a Deployment. None if no container runs the operator.
fn of_deployment(deployment: &Deployment) -> Option<Installed> {
    let spec = deployment.spec.as_ref()?;
    let pod = spec.template.spec.as_ref()?;
    let runs = |it: &&Container| it.args.iter().flatten().any(|arg| arg == "run");
    let container = pod.containers.iter().find(runs)?;
    let env: BTreeMap<_, _> = container
        .env
        .iter()
        .flatten()
        .filter_map(|it| Some((it.name.clone(), it.value.clone()?)))
        .collect();
    let mut settings = Settings::of_container(&container.args.clone().unwrap_or_default(), &env);
    if may_have_endpoint(container) {
        settings.regions = Regions::Any;
    }
    let template = spec.template.metadata.clone().unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    Some(Installed {
        namespace: deployment.namespace().unwrap_or_default(),
        name: deployment.name_any(),
        image: container.image.clone().unwrap_or_default(),
        version: deployment
            .labels()
            .get("app.kubernetes.io/version")
            .cloned(),
        selector: selector(spec),
        service_account: pod
            .service_account_name
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        desired: spec.replicas.unwrap_or(1),
        ready: status.ready_replicas.unwrap_or(0),
        trouble: trouble(status.conditions.as_deref().unwrap_or_default()),
        settings,
        release: deployment
            .annotations()
            .get("meta.helm.sh/release-name")
            .cloned(),
        pod_labels: template.labels.unwrap_or_default(),
        pod_annotations: template.annotations.unwrap_or_default(),
    })
}

/// Why pods are missing: they can't be made, or don't get ready in time.
fn trouble(conditions: &[DeploymentCondition]) -> Option<String> {
    let of = |type_: &str, status: &str| {
        let mut all = conditions.iter();
        all.find(|it| it.type_ == type_ && it.status == status)
    };
    let found = of("ReplicaFailure", "True").or_else(|| of("Progressing", "False"))?;
    let (reason, message) = (found.reason.as_deref(), found.message.as_deref());
    let words: Vec<_> = reason.into_iter().chain(message).collect();
    Some(legible(&words.join(": "), 300))
}

/// Whether a variable whose value the Deployment doesn't show may name Cognito's endpoint.
fn may_have_endpoint(container: &Container) -> bool {
    let mut hidden = container
        .env
        .iter()
        .flatten()
        .filter(|it| it.value.is_none());
    let has_sources = container.env_from.iter().flatten().next().is_some();
    has_sources || hidden.any(|it| it.value_from.is_some() && ENDPOINTS.contains(&&*it.name))
}

/// The labels by which a Deployment selects its pods.
fn selector(spec: &DeploymentSpec) -> String {
    let labels = spec.selector.match_labels.iter().flatten();
    let labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    /// A Deployment whose operator has this environment, beside a sidecar.
    fn deployment(env: &Value, env_from: &Value) -> Deployment {
        let labels = json!({ "app": "operator" });
        from_value(json!({
            "metadata": {
                "namespace": "home", "name": "operator",
                "annotations": { "meta.helm.sh/release-name": "cpo" },
            },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels, "annotations": { "prometheus.io/scrape": "true" } },
                    "spec": { "containers": [
                        { "name": "proxy", "env": [{ "name": "AWS_ENDPOINT_URL", "value": "http://x" }] },
                        { "name": "operator", "args": ["run"], "env": env, "envFrom": env_from },
                    ] },
                },
            },
        }))
        .expect("a Deployment")
    }

    #[rstest]
    #[case::none(json!([]), json!([]), Regions::OfAws)]
    #[case::plain(json!([{ "name": "AWS_ENDPOINT_URL", "value": "http://moto" }]), json!([]), Regions::Any)]
    #[case::empty(json!([{ "name": "AWS_ENDPOINT_URL", "value": "" }]), json!([]), Regions::OfAws)]
    #[case::from_a_key(json!([{ "name": "AWS_ENDPOINT_URL", "valueFrom": { "configMapKeyRef": { "key": "k" } } }]), json!([]), Regions::Any)]
    #[case::another_from_a_key(json!([{ "name": "AWS_REGION", "valueFrom": { "configMapKeyRef": { "key": "k" } } }]), json!([]), Regions::OfAws)]
    #[case::from_a_map(json!([]), json!([{ "configMapRef": { "name": "aws" } }]), Regions::Any)]
    fn an_endpoint_that_a_variable_may_name_serves_any_region(
        #[case] env: Value,
        #[case] env_from: Value,
        #[case] regions: Regions,
    ) {
        let found = of_deployment(&deployment(&env, &env_from)).expect("an operator");
        assert_eq!(found.settings.regions, regions);
    }

    #[test]
    fn a_deployment_tells_its_release_and_its_pods() {
        let found = of_deployment(&deployment(&json!([]), &json!([]))).expect("an operator");
        assert_eq!(found.release.as_deref(), Some("cpo"));
        assert_eq!(found.selector, "app=operator");
        assert_eq!(found.pod_labels["app"], "operator");
        assert_eq!(found.pod_annotations["prometheus.io/scrape"], "true");
    }
}
