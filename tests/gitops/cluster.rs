//! A control plane, the fault server as Cognito, and the operator, for tests in which another controller acts.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::wait::await_condition;
use serde_json::Value;

use crate::support::{
    ControlPlane, FaultServer, Operator, Process,
    tools::{self, Tool},
};

/// For what no test measures, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_mins(5);

/// The pool of the examples.
pub(crate) const POOL: &str = "eu-west-1_AbCdEf123";

pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    pub(crate) client: kube::Client,
    pub(crate) cognito: FaultServer,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let plane = ControlPlane::start();
        let client = plane.client().await;
        let cognito = FaultServer::start();
        Self {
            plane,
            client,
            cognito,
        }
    }

    /// Starts the operator with the rights and CRDs of `manifests`; see [`ControlPlane::install`].
    pub(crate) async fn operator(&self, manifests: &str) -> Operator {
        let builder = Operator::builder(&self.plane)
            .manifests(manifests)
            .cognito(self.cognito.url());
        let operator = builder.start().await;
        operator.wait_ready(SOON).await;
        operator
    }

    /// The namespace of the examples, with their grant.
    pub(crate) fn add_team(&self) {
        self.plane.kubectl(&["create", "namespace", "team-a"]);
        self.plane
            .kubectl(&["apply", "-f", "deploy/examples/grant.yaml"]);
    }

    /// Installs the CRDs of another controller, which [`Tool`] finds as a folder.
    pub(crate) fn install_crds(&self, folder: Tool) {
        let files = fs::read_dir(tools::path(folder)).expect("the folder can be read");
        let paths: Vec<PathBuf> = files
            .map(|file| file.expect("an entry of the folder").path())
            .filter(|path| !path.ends_with("kustomization.yaml"))
            .collect();
        let files = paths.iter().flat_map(|path| ["-f", text(path)]);
        // Server-side: some are longer than the annotation of a client-side apply may be.
        let args: Vec<&str> = ["apply", "--server-side"]
            .into_iter()
            .chain(files)
            .collect();
        self.plane.kubectl(&args);
        let wait = ["wait", "crd", "--all", "--for=condition=Established"];
        self.plane.kubectl(&[&wait[..], &["--timeout=5m"]].concat());
    }

    /// Applies an object as administrator, from the server's side: no password goes into an annotation.
    pub(crate) fn apply(&self, object: &Value) {
        let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.plane.kubectl_stdin(&args, &object.to_string());
    }

    /// Makes a Secret, or changes the Secret's password.
    pub(crate) fn apply_secret(&self, namespace: &str, name: &str, password: &str) {
        self.apply(&serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name, "namespace": namespace },
            "stringData": { "password": password },
        }));
    }

    /// The objects of a kind in a namespace.
    pub(crate) fn api(&self, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.name);
        let resource = ApiResource::from_gvk(&gvk);
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Watches an object until `wanted` is true. After [`SOON`], panics with the object and the controller's log.
    pub(crate) async fn await_object(
        &self,
        (kind, namespace, name): (&Kind, &str, &str),
        controller: Option<&Process>,
        what: &str,
        wanted: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        let api = self.api(kind, namespace);
        let holds = |object: Option<&DynamicObject>| object.is_some_and(&wanted);
        let awaited = await_condition(api.clone(), name, holds);
        if let Ok(found) = tokio::time::timeout(SOON, awaited).await {
            return found
                .unwrap_or_else(|error| panic!("could not watch {name}: {error}"))
                .expect("the condition asked for an object");
        }
        let mut found = api.get_opt(name).await.ok().flatten();
        if let Some(object) = &mut found {
            object.metadata.managed_fields = None;
        }
        let found = serde_json::to_string_pretty(&found).unwrap_or_default();
        let log = controller.map(Process::log_tail).unwrap_or_default();
        panic!("not {what} after {SOON:?}: {name}\n{found}\n{log}")
    }

    /// A key of a Secret as text.
    pub(crate) async fn secret(&self, namespace: &str, name: &str, key: &str) -> String {
        let secrets: Api<k8s_openapi::api::core::v1::Secret> =
            Api::namespaced(self.client.clone(), namespace);
        let secret = secrets
            .get(name)
            .await
            .unwrap_or_else(|error| panic!("could not read {namespace}/{name}: {error}"));
        let value = secret.data.and_then(|mut data| data.remove(key));
        let value = value.unwrap_or_else(|| panic!("{namespace}/{name} has no key {key}"));
        String::from_utf8(value.0).expect("the passwords of the tests are text")
    }
}

/// A kind of object of another controller.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) name: &'static str,
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("the paths of the tests are text")
}
