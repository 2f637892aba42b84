//! Values that the schema lets through and the chart refuses: patterns, and values that don't go together.

use serde_json::{Value, json};

/// Values, and words of their refusal.
pub(crate) type Refusal = (Value, &'static [&'static str]);

pub(crate) fn all() -> impl Iterator<Item = Refusal> {
    [settings(), pods(), names(), metrics_and_grants()]
        .into_iter()
        .flatten()
}

/// A grant of a pool.
pub(crate) fn grant(pool: &str) -> Value {
    json!({ "name": "team-a", "userPoolId": pool, "usernames": ["ci-bot"], "namespaces": { "names": ["team-a"] } })
}

/// Settings, the AWS identity, and the image.
fn settings() -> Vec<Refusal> {
    vec![
        (
            json!({ "settings": { "watchNamespaces": ["Team-A"] } }),
            &[
                "settings.watchNamespaces",
                "\"Team-A\" is no name of a namespace",
            ],
        ),
        (
            json!({ "settings": { "leaseName": "A_b" } }),
            &["settings.leaseName: \"A_b\" is no name of a Lease"],
        ),
        (
            json!({ "settings": { "driftInterval": "1 hour" } }),
            &[
                "settings.driftInterval: \"1 hour\" is no time from 5m to 168h",
                "such as 15m or 1h30m",
            ],
        ),
        (
            json!({ "settings": { "driftInterval": "4m" } }),
            &["settings.driftInterval: \"4m\" is no time from 5m to 168h"],
        ),
        (
            json!({ "settings": { "listenAddress": "localhost" } }),
            &["settings.listenAddress: \"localhost\" is no address"],
        ),
        (
            json!({ "aws": { "roleArn": "my-role" } }),
            &["aws.roleArn: \"my-role\" is no ARN of an IAM role, such as arn:aws:iam::"],
        ),
        (
            json!({ "aws": { "region": "Ireland" } }),
            &["aws.region: \"Ireland\" is no name of an AWS Region"],
        ),
        (
            json!({ "aws": { "endpoints": { "cognito": "cognito:443" } } }),
            &["aws.endpoints.cognito: \"cognito:443\" is no URL"],
        ),
        (
            json!({ "aws": { "endpoints": { "sts": "sts" } } }),
            &["aws.endpoints.sts: \"sts\" is no URL"],
        ),
        (
            json!({ "proxy": { "https": "proxy:3128" } }),
            &["proxy.https: \"proxy:3128\" is no URL of a proxy"],
        ),
        (
            json!({ "image": { "digest": "sha256:12" } }),
            &["image.digest: \"sha256:12\" is no digest"],
        ),
        (
            json!({ "image": { "repository": "me/operator:1.2" } }),
            &["image.repository: \"me/operator:1.2\" is no name of a repository"],
        ),
        (
            json!({ "settings": { "watchNamespaces": [""] } }),
            &["settings.watchNamespaces: \"\" is no name of a namespace"],
        ),
        (
            json!({ "settings": { "leaseName": "a..b" } }),
            &["settings.leaseName: \"a..b\" is no name of a Lease"],
        ),
        (
            json!({ "settings": { "listenAddress": "999.0.0.1" } }),
            &["settings.listenAddress: \"999.0.0.1\" is no address"],
        ),
        (
            json!({ "settings": { "listenAddress": "127.0.0.1" } }),
            &["settings.listenAddress: the kubelet's probes don't reach 127.0.0.1: set [::]"],
        ),
        (
            json!({ "aws": { "roleSessionName": "a b" } }),
            &["aws.roleSessionName: \"a b\" is no name of a session"],
        ),
        (
            json!({ "proxy": { "https": "http://[fd00::1" } }),
            &["proxy.https: \"http://[fd00::1\" is no URL of a proxy"],
        ),
        (
            json!({ "proxy": { "https": "http://proxy:99999" } }),
            &["proxy.https: \"http://proxy:99999\" is no URL of a proxy"],
        ),
        (
            json!({ "image": { "tag": "sha256:12" } }),
            &["image.tag: \"sha256:12\" is no tag: at most 128 letters"],
        ),
        (
            json!({ "image": { "registry": "https://registry.example.com" } }),
            &["image.registry: \"https://registry.example.com\" is no registry, such as"],
        ),
        (
            json!({ "global": { "imageRegistry": "a b" } }),
            &["global.imageRegistry: \"a b\" is no registry"],
        ),
        (
            json!({ "global": { "imagePullSecrets": ["A"] } }),
            &["imagePullSecrets: \"A\" is no name of a Secret"],
        ),
    ]
}

/// What the pods are made of.
fn pods() -> Vec<Refusal> {
    vec![
        (
            json!({ "settings": { "leaderElect": false } }),
            &[
                "replicas: without settings.leaderElect",
                "set replicas to 1",
            ],
        ),
        (
            json!({ "aws": { "roleArn": "arn:aws:iam::111122223333:role/a" }, "serviceAccount": { "create": false } }),
            &["aws.roleArn: the chart annotates only a ServiceAccount that the chart makes"],
        ),
        (
            json!({ "caBundle": { "configMap": "ca", "key": "a/b" } }),
            &["caBundle.key: \"a/b\" is no key of a ConfigMap"],
        ),
        (
            json!({ "priorityClassName": "A" }),
            &["priorityClassName: \"A\" is no name of a PriorityClass"],
        ),
        (
            json!({ "serviceAccount": { "name": "A" } }),
            &["serviceAccount.name: \"A\" is no name of a ServiceAccount"],
        ),
        (
            json!({ "serviceAccount": { "create": false, "annotations": { "a": "b" } } }),
            &[
                "serviceAccount.annotations: the chart annotates only a ServiceAccount that the chart makes",
            ],
        ),
        (
            json!({ "podDisruptionBudget": { "minAvailable": "1" } }),
            &[
                "podDisruptionBudget.minAvailable: \"1\" is neither a number nor a percentage such as 50%",
            ],
        ),
        (
            json!({ "updateStrategy": { "type": "recreate" } }),
            &["updateStrategy.type: \"recreate\" is neither RollingUpdate nor Recreate"],
        ),
        (
            json!({ "updateStrategy": { "rollingUpdate": { "maxSurge": 0 } } }),
            &["updateStrategy.rollingUpdate: with maxSurge and maxUnavailable both 0"],
        ),
        (
            json!({ "dnsPolicy": "None" }),
            &["dnsPolicy: None needs dnsConfig.nameservers"],
        ),
        (
            json!({ "aws": { "region": "eu-west-1" }, "extraEnv": [{ "name": "AWS_REGION", "value": "eu-west-2" }] }),
            &["extraEnv: the chart sets AWS_REGION itself: set aws.region instead"],
        ),
        (
            json!({ "extraEnv": [{ "name": "POD_NAME", "value": "a" }] }),
            &["extraEnv: the chart sets POD_NAME itself: leave it out"],
        ),
        (
            json!({ "extraEnv": [{ "name": "A", "value": "a" }, { "name": "A", "value": "b" }] }),
            &["extraEnv: A is there twice"],
        ),
        (
            json!({ "caBundle": { "configMap": "ca" }, "extraVolumes": [{ "name": "ca-bundle" }] }),
            &["extraVolumes: a volume ca-bundle is there already"],
        ),
        (
            json!({ "extraVolumeMounts": [{ "name": "a", "mountPath": "/a" }] }),
            &["extraVolumeMounts: extraVolumes has no volume a"],
        ),
        (
            json!({ "extraVolumes": [{ "name": "a" }, { "name": "b" }], "extraVolumeMounts": [{ "name": "a", "mountPath": "/a" }, { "name": "b", "mountPath": "/a" }] }),
            &["extraVolumeMounts: something is mounted at /a already"],
        ),
    ]
}

/// Names, labels and rights.
fn names() -> Vec<Refusal> {
    vec![
        (
            json!({ "fullnameOverride": "My_Name" }),
            &["fullnameOverride: \"My_Name\" is no name for all objects"],
        ),
        (
            json!({ "nameOverride": "a b" }),
            &["nameOverride: \"a b\" is no name"],
        ),
        (
            json!({ "commonLabels": { "team": "a b" } }),
            &["commonLabels: \"a b\", of team, is no value of a label"],
        ),
        (
            json!({ "podLabels": { "a b": "c" } }),
            &["podLabels: \"a b\" is no name of a label"],
        ),
        (
            json!({ "podAnnotations": { "a b": "c" } }),
            &["podAnnotations: \"a b\" is no name of a label or annotation"],
        ),
        (
            json!({ "podLabels": { "app.kubernetes.io/name": "mine" } }),
            &["podLabels: the label app.kubernetes.io/name is the chart's own"],
        ),
        (
            json!({ "commonLabels": { "rbac.authorization.k8s.io/aggregate-to-edit": "true" } }),
            &[
                "commonLabels: the label rbac.authorization.k8s.io/aggregate-to-edit would add the operator's own rights",
            ],
        ),
        (
            json!({ "rbac": { "grantsEditor": true }, "crds": { "enabled": false }, "settings": { "watchNamespaces": ["a"] } }),
            &["rbac.grantsEditor: the role belongs to the whole cluster"],
        ),
        (
            json!({ "metrics": { "dashboard": { "instanceSelector": { "dashboards": "grafana" } } } }),
            &[
                "metrics.dashboard.instanceSelector: dashboards is neither matchLabels nor matchExpressions",
            ],
        ),
    ]
}

/// Monitoring and grants.
fn metrics_and_grants() -> Vec<Refusal> {
    vec![
        (
            json!({ "settings": { "watchNamespaces": ["a"], "ungranted": "deny" } }),
            &["settings.ungranted: deny needs grants"],
        ),
        (
            json!({ "grants": [grant("pool")] }),
            &["grants: the userPoolId of team-a, \"pool\", is no user pool id"],
        ),
        (
            json!({ "settings": { "watchNamespaces": ["team-a"] }, "grants": [grant("eu-west-1_AbCdEf123")] }),
            &["grants: an operator with settings.watchNamespaces doesn't read grants"],
        ),
        (
            json!({ "metrics": { "serviceMonitor": { "enabled": true }, "podMonitor": { "enabled": true } } }),
            &["metrics: a ServiceMonitor and a PodMonitor would scrape each pod twice"],
        ),
        (
            json!({ "metrics": { "serviceMonitor": { "enabled": true } }, "service": { "enabled": false } }),
            &["metrics.serviceMonitor: a ServiceMonitor needs the Service"],
        ),
        (
            json!({ "metrics": { "podMonitor": { "interval": "30" } } }),
            &["metrics.podMonitor.interval: \"30\" is no duration of Prometheus"],
        ),
        (
            json!({ "metrics": { "prometheusRule": { "rules": { "CognitoPasswordOperatorThrottled": { "for": "soon" } } } } }),
            &[
                "metrics.prometheusRule.rules.CognitoPasswordOperatorThrottled.for: \"soon\" is no duration",
            ],
        ),
        (
            json!({ "grants": [grant("eu-west-1_A"), grant("eu-west-1_B")] }),
            &["grants: two grants are called team-a"],
        ),
        (
            json!({ "metrics": { "prometheusRule": { "rules": { "Throttled": { "enabled": false } } } } }),
            &[
                "Throttled is no alert of this chart",
                "CognitoPasswordOperatorThrottled",
            ],
        ),
    ]
}
