//! The versions of this program, of the operators and of the CRDs, and how they fit together.

use super::{
    finding::{Finding, Level},
    installed::Installed,
    judge::{crds, operator},
    schema::StoredCrd,
    seen::Seen,
    skew::{Skew, skew, version_of},
};
use crate::api::{self, VERSION};
use serde::Serialize;

const CRDS: &str = "crds";

/// The versions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// The version of this program.
    pub client: String,
    /// The operators that could be found.
    pub operators: Vec<OperatorVersion>,
    /// The CRDs that could be read.
    pub crds: Vec<CrdVersion>,
    /// The verdict on each, for people.
    pub findings: Vec<Finding>,
}

/// The version of an operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorVersion {
    /// The namespace of the Deployment.
    pub namespace: String,
    /// The name of the Deployment.
    pub name: String,
    /// The image.
    pub image: String,
    /// The version: the tag of the image, or else the label `app.kubernetes.io/version`.
    pub version: Option<String>,
    /// How the version relates to this program.
    pub skew: Skew,
}

/// The versions of a CRD.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CrdVersion {
    /// What the API server stores.
    #[serde(flatten)]
    pub stored: StoredCrd,
    /// Whether the schema is the `Same` as this program's, `Older`, `Newer`, or `Differs`.
    pub schema: &'static str,
}

/// Compares the versions.
#[must_use]
pub fn versions(
    client: &str,
    installed: &Seen<Vec<Installed>>,
    stored: &Seen<Vec<StoredCrd>>,
) -> Versions {
    let mut findings = vec![Finding::new(
        "client",
        Level::Well,
        format!("version {client}"),
    )];
    findings.extend(of_operators(client, installed));
    findings.extend(of_crds(client, stored));
    let operators = installed.known().into_iter().flatten().map(|it| {
        let version = version_of(&it.image, it.version.as_deref());
        OperatorVersion {
            namespace: it.namespace.clone(),
            name: it.name.clone(),
            image: it.image.clone(),
            version: version.map(str::to_owned),
            skew: version.map_or(Skew::Unknown, |it| skew(client, it)),
        }
    });
    let crds = stored.known().into_iter().flatten().map(|it| CrdVersion {
        stored: it.clone(),
        schema: it.difference.word(),
    });
    Versions {
        client: client.to_owned(),
        operators: operators.collect(),
        crds: crds.collect(),
        findings,
    }
}

fn of_operators(client: &str, installed: &Seen<Vec<Installed>>) -> Vec<Finding> {
    let subject = "operator";
    match installed {
        Seen::Known(installed) if installed.is_empty() => {
            let text = "no Deployment of the operator is found".to_owned();
            vec![Finding::new(subject, Level::Warning, text)]
        }
        Seen::Known(installed) => installed
            .iter()
            .map(|it| {
                let version = version_of(&it.image, it.version.as_deref()).unwrap_or("unknown");
                let mut finding = operator::on_skew(client, version, &it.image);
                finding.text = format!("{}: {}", operator::name(it), finding.text);
                finding
            })
            .collect(),
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("the operator's version is unknown: {why}");
            vec![Finding::new(subject, Level::Unknown, text)]
        }
    }
}

fn of_crds(client: &str, stored: &Seen<Vec<StoredCrd>>) -> Vec<Finding> {
    let stored = match stored {
        Seen::Known(stored) => stored,
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("the CRDs' versions are unknown: {why}");
            return vec![Finding::new(CRDS, Level::Unknown, text)];
        }
    };
    let failed = |text: String| Finding::new(CRDS, Level::Failed, text).cured_by(crds::apply());
    if stored.is_empty() {
        return vec![failed("the CRDs are not installed".to_owned())];
    }
    let absent = api::crds().map(|it| it.spec.names.plural);
    let absent = absent
        .into_iter()
        .filter(|name| !stored.iter().any(|it| it.name == *name));
    let absent = absent.map(|name| failed(format!("{name}: the CRD is not installed")));
    let found = stored.iter().map(|it| {
        let versions = format!("served {}, stored {}", it.served.join(", "), it.storage);
        if !it.served.iter().any(|it| it == VERSION) {
            return failed(format!("{}: {versions}, and not {VERSION}", it.name));
        }
        if let Some(mut finding) = crds::schema(it, client) {
            finding.text = format!("{}; {versions}", finding.text);
            return finding;
        }
        let text = format!("{}: {versions}; the schema is of {client}", it.name);
        Finding::new(CRDS, Level::Well, text)
    });
    found.chain(absent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::checkup::{
        finding::exit_status, installed::Settings, right::Right, schema::Difference,
    };
    use rstest::rstest;

    fn operator(image: &str) -> Installed {
        Installed {
            namespace: "home".to_owned(),
            name: "operator".to_owned(),
            image: image.to_owned(),
            version: Some("0.1.0".to_owned()),
            selector: "app.kubernetes.io/name=cognito-password-operator".to_owned(),
            service_account: "operator".to_owned(),
            desired: 2,
            ready: 2,
            settings: Settings::default(),
            ..Installed::default()
        }
    }

    fn crd(missing: &[&str]) -> StoredCrd {
        named("cognitouserpasswords", missing)
    }

    /// Both CRDs, of which the first lacks these fields.
    fn both(missing: &[&str]) -> Seen<Vec<StoredCrd>> {
        Seen::Known(vec![crd(missing), named("cognitouserpoolgrants", &[])])
    }

    fn named(name: &str, missing: &[&str]) -> StoredCrd {
        StoredCrd {
            name: name.to_owned(),
            served: vec!["v1alpha1".to_owned()],
            storage: "v1alpha1".to_owned(),
            stored_versions: vec!["v1alpha1".to_owned()],
            is_established: true,
            difference: Difference {
                missing: missing.iter().map(|&it| it.to_owned()).collect(),
                ..Difference::default()
            },
        }
    }

    fn texts(versions: &Versions) -> Vec<(Level, &str)> {
        versions
            .findings
            .iter()
            .map(|it| (it.level, it.text.as_str()))
            .collect()
    }

    #[test]
    fn equal_versions_are_well() {
        let installed = Seen::Known(vec![operator("a:0.1.0")]);
        let versions = versions("0.1.0", &installed, &both(&[]));
        assert_eq!(
            texts(&versions),
            [
                (Level::Well, "version 0.1.0"),
                (
                    Level::Well,
                    "home/operator: version 0.1.0, image a:0.1.0; as this program"
                ),
                (
                    Level::Well,
                    "cognitouserpasswords: served v1alpha1, stored v1alpha1; the schema is of 0.1.0"
                ),
                (
                    Level::Well,
                    "cognitouserpoolgrants: served v1alpha1, stored v1alpha1; the schema is of 0.1.0"
                ),
            ]
        );
        assert_eq!(versions.operators[0].skew, Skew::Same);
        assert_eq!(versions.crds[0].schema, "Same");
    }

    #[test]
    fn another_version_of_the_operator_and_an_older_crd_are_named() {
        let installed = Seen::Known(vec![operator("a:0.2.0")]);
        let versions = versions("0.1.0", &installed, &both(&["spec.drift"]));
        let texts = texts(&versions);
        assert_eq!(
            texts[1],
            (
                Level::Warning,
                "home/operator: version 0.2.0, image a:0.2.0; this program, 0.1.0, is older"
            )
        );
        assert_eq!(
            texts[2],
            (
                Level::Failed,
                "cognitouserpasswords is older than 0.1.0: lacks spec.drift; served v1alpha1, stored v1alpha1"
            )
        );
        assert_eq!(exit_status(&versions.findings), 1);
    }

    #[rstest]
    #[case::none(vec![], "the CRDs are not installed")]
    #[case::one(vec![crd(&[])], "cognitouserpoolgrants: the CRD is not installed")]
    #[case::another_version(
        vec![StoredCrd { served: vec!["v1".to_owned()], ..crd(&[]) }, named("cognitouserpoolgrants", &[])],
        "cognitouserpasswords: served v1, stored v1alpha1, and not v1alpha1"
    )]
    fn a_crd_that_the_api_server_does_not_serve_fails(
        #[case] stored: Vec<StoredCrd>,
        #[case] text: &str,
    ) {
        let installed = Seen::Known(vec![operator("a:0.1.0")]);
        let versions = versions("0.1.0", &installed, &Seen::Known(stored));
        assert!(
            texts(&versions).contains(&(Level::Failed, text)),
            "{versions:?}"
        );
        assert_eq!(exit_status(&versions.findings), 1);
    }

    #[test]
    fn what_the_caller_may_not_see_is_unknown() {
        let right = Right {
            verb: "list",
            group: "apps",
            resource: "deployments",
            subresource: "",
            namespace: None,
            name: None,
        };
        let versions = versions(
            "0.1.0",
            &Seen::Denied(right),
            &Seen::Failed("down".to_owned()),
        );
        let wanted = "the operator's version is unknown: you may not list deployments.apps -A";
        assert_eq!(texts(&versions)[1], (Level::Unknown, wanted));
        assert_eq!(exit_status(&versions.findings), 3);
    }
}
