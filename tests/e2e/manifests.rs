//! The rendered manifests of deploy/ and all of its variants, for tests of promises that every variant must
//! keep.

use std::path::Path;

use serde_json::Value;

use crate::support::{ControlPlane, operator, tools};

/// One way to install the operator.
pub(crate) struct Variant {
    /// The variant's directory, from the checkout's root.
    pub(crate) directory: String,
    pub(crate) objects: Vec<Value>,
}

impl Variant {
    /// Every kustomization under deploy/ with an operator, including future ones.
    pub(crate) fn all(plane: &ControlPlane) -> Vec<Self> {
        let mut directories = Vec::new();
        find(&tools::checkout().join("deploy"), &mut directories);
        directories.sort();
        for known in ["deploy", "deploy/base", "deploy/watch-namespaces"] {
            assert!(directories.iter().any(|it| it == known), "{directories:?}");
        }
        let render = |directory: String| {
            let text = plane.kubectl(&["kustomize", &directory]);
            let objects = serde_saphyr::from_multiple(&text).expect("kubectl writes YAML");
            Self { directory, objects }
        };
        let variants = directories.into_iter().map(render);
        // The other kustomizations are parts: rights, namespaces and CRDs.
        variants
            .filter(|variant| !variant.of_kind("Deployment").is_empty())
            .collect()
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Value> {
        let same = |object: &&Value| object["kind"] == kind;
        self.objects.iter().filter(same).collect()
    }

    /// The only object of a kind.
    pub(crate) fn one(&self, kind: &str) -> &Value {
        let found = self.of_kind(kind);
        let [object] = found[..] else {
            panic!("{}: {} of kind {kind}", self.directory, found.len());
        };
        assert_eq!(object["metadata"]["namespace"], operator::NAMESPACE);
        object
    }

    /// The pod that the controller of Deployments would make.
    pub(crate) fn pod(&self) -> Value {
        let mut pod = self.one("Deployment")["spec"]["template"].clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = "operator".into();
        pod
    }
}

/// Finds kustomizations. A component isn't complete on its own; the variants that include a component show
/// the component's effect.
fn find(directory: &Path, found: &mut Vec<String>) {
    let kustomization = std::fs::read_to_string(directory.join("kustomization.yaml"));
    if kustomization.is_ok_and(|text| text.contains("\nkind: Kustomization\n")) {
        let relative = directory.strip_prefix(tools::checkout());
        let relative = relative.expect("it is in the checkout");
        found.push(relative.display().to_string());
    }
    for entry in std::fs::read_dir(directory).expect("deploy/ is part of the checkout") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            find(&path, found);
        }
    }
}
