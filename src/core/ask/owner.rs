//! The tools that apply resources, and that may take a person's change back.

use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// A tool that applies a resource from elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Owner {
    /// Argo CD
    ArgoCd,
    /// Flux's kustomize-controller
    FluxKustomization,
    /// Flux's helm-controller
    FluxHelmRelease,
    /// Helm
    Helm,
}

/// What a tool writes into the metadata of what the tool applies.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    /// The annotations.
    pub annotations: &'a BTreeMap<String, String>,
    /// The labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The managers in `managedFields`.
    pub managers: &'a [&'a str],
}

impl Owner {
    /// The tool whose marks the metadata has. None without marks.
    #[must_use]
    pub fn of(marks: &Marks<'_>) -> Option<Self> {
        let label = |key: &str| marks.labels.contains_key(key);
        let annotation = |key: &str| marks.annotations.contains_key(key);
        let manager = |name: &str| marks.managers.contains(&name);
        let by_helm = marks.labels.get("app.kubernetes.io/managed-by");
        if annotation("argocd.argoproj.io/tracking-id")
            || label("argocd.argoproj.io/instance")
            || manager("argocd-controller")
        {
            Some(Self::ArgoCd)
        } else if label("kustomize.toolkit.fluxcd.io/name") || manager("kustomize-controller") {
            Some(Self::FluxKustomization)
        } else if label("helm.toolkit.fluxcd.io/name") || manager("helm-controller") {
            Some(Self::FluxHelmRelease)
        } else if annotation("meta.helm.sh/release-name")
            || by_helm.is_some_and(|it| it == "Helm")
            || manager("helm")
        {
            Some(Self::Helm)
        } else {
            None
        }
    }

    /// When the tool may take a change back, as the end of a sentence.
    #[must_use]
    pub const fn takes_back(self) -> &'static str {
        match self {
            Self::ArgoCd => {
                "the next sync takes the change back if spec.suspend is in Git: change Git too"
            }
            Self::FluxKustomization => {
                "the next reconcile takes the change back if spec.suspend is in Git: change Git too"
            }
            Self::FluxHelmRelease | Self::Helm => {
                "the next upgrade may take the change back if the chart has spec.suspend: change the values too"
            }
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ArgoCd => "Argo CD",
            Self::FluxKustomization => "Flux (a Kustomization)",
            Self::FluxHelmRelease => "Flux (a HelmRelease)",
            Self::Helm => "Helm",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    type Pairs = &'static [(&'static str, &'static str)];

    #[rstest]
    #[case(&[], &[], &["kubectl-client-side-apply", "cognito-password-operator"], None)]
    #[case(&[("argocd.argoproj.io/tracking-id", "app:x")], &[], &[], Some(Owner::ArgoCd))]
    #[case(&[], &[("argocd.argoproj.io/instance", "app")], &[], Some(Owner::ArgoCd))]
    #[case(&[], &[], &["argocd-controller"], Some(Owner::ArgoCd))]
    #[case(&[], &[("kustomize.toolkit.fluxcd.io/name", "apps")], &[], Some(Owner::FluxKustomization))]
    #[case(&[], &[], &["kubectl", "kustomize-controller"], Some(Owner::FluxKustomization))]
    // helm-controller writes Helm's own marks too.
    #[case(
        &[("meta.helm.sh/release-name", "a")],
        &[("helm.toolkit.fluxcd.io/name", "a"), ("app.kubernetes.io/managed-by", "Helm")],
        &["helm-controller"],
        Some(Owner::FluxHelmRelease)
    )]
    // Argo CD renders charts, and the charts have Helm's label.
    #[case(
        &[("argocd.argoproj.io/tracking-id", "app:x")],
        &[("app.kubernetes.io/managed-by", "Helm")],
        &[],
        Some(Owner::ArgoCd)
    )]
    #[case(&[], &[("app.kubernetes.io/managed-by", "Helm")], &[], Some(Owner::Helm))]
    #[case(&[], &[("app.kubernetes.io/managed-by", "kustomize")], &[], None)]
    fn a_tool_is_known_by_its_marks(
        #[case] annotations: Pairs,
        #[case] labels: Pairs,
        #[case] managers: &[&str],
        #[case] owner: Option<Owner>,
    ) {
        let map = |pairs: Pairs| -> BTreeMap<String, String> {
            let pairs = pairs.iter();
            pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
        };
        let marks = Marks {
            annotations: &map(annotations),
            labels: &map(labels),
            managers,
        };
        assert_eq!(Owner::of(&marks), owner);
    }
}
