//! kustomize-controller as a process, and the artifacts that source-controller would hand to it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::fs;
use std::future::ready;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cluster::{Cluster, Kind, POOL};
use crate::support::{
    Process, Server, Spec, condition, free_port, scratch,
    tools::{self, Tool},
};

/// The namespace of Flux's objects.
pub(super) const FLUX: &str = "flux-system";

const KUSTOMIZATION: Kind = Kind {
    group: "kustomize.toolkit.fluxcd.io",
    version: "v1",
    name: "Kustomization",
};

/// Tarballs by path.
type Artifacts = Arc<Mutex<HashMap<String, Bytes>>>;

pub(super) struct Flux<'a> {
    cluster: &'a Cluster,
    process: Process,
    artifacts: Artifacts,
    server: Server,
}

impl<'a> Flux<'a> {
    /// Installs Flux's CRDs, and starts kustomize-controller as an administrator, which is what Flux's own
    /// manifests make of it.
    pub(super) fn start(cluster: &'a Cluster) -> Self {
        cluster.install_crds(Tool::SourceControllerCrds);
        cluster.install_crds(Tool::KustomizeControllerCrds);
        cluster.plane.kubectl(&["create", "namespace", FLUX]);
        let home = scratch("flux");
        let binary = tools::path(Tool::KustomizeController);
        let process = Spec::new("kustomize-controller", &binary, home.join("log"))
            .clean_env()
            .env("KUBECONFIG", path(&cluster.plane.kubeconfig_path()))
            .env("RUNTIME_NAMESPACE", FLUX)
            .env("HOME", path(&home))
            // At its start, it removes the folders of an earlier run. A folder of another test isn't one.
            .env("TMPDIR", path(&home))
            .arg("--metrics-addr=0")
            .arg(format!("--health-addr=127.0.0.1:{}", free_port()))
            .arg("--interval-jitter-percentage=0")
            // How long a Kustomization waits before it looks at its dependencies again.
            .arg("--requeue-dependency=1s")
            .spawn();
        let artifacts = Artifacts::default();
        let shared = Arc::clone(&artifacts);
        let server = Server::start("artifacts", move |stream| {
            let artifacts = Arc::clone(&shared);
            async move {
                let service =
                    service_fn(|request| ready(Ok::<_, Infallible>(answer(&artifacts, &request))));
                // An error is a connection that the client closed.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
        Self {
            cluster,
            process,
            artifacts,
            server,
        }
    }

    /// Makes a `GitRepository` without content.
    pub(super) fn add_repository(&self, name: &str) {
        self.cluster.apply(&json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": { "name": name, "namespace": FLUX },
            "spec": { "interval": "1h", "url": "https://git.example.com/fleet" },
        }));
    }

    /// Does what source-controller does at a new commit: serves the folder, and says so in the status.
    pub(super) fn publish(&self, repository: &str, revision: &str, folder: &Path, parts: &[&str]) {
        let archive = scratch("artifact").join("archive.tar.gz");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(folder)
            .arg("-czf")
            .arg(&archive)
            .args(parts)
            .status()
            .expect("tar can be started");
        assert!(packed.success(), "tar: {packed}");
        let archive = Bytes::from(fs::read(&archive).expect("tar wrote the archive"));
        let mut digest = "sha256:".to_owned();
        for byte in Sha256::digest(&archive) {
            write!(digest, "{byte:02x}").expect("a String takes everything");
        }
        let place = format!("/{repository}/{revision}.tar.gz");
        lock(&self.artifacts).insert(place.clone(), archive);
        let status = json!({ "status": {
            "observedGeneration": 1,
            "artifact": {
                "path": &place[1..],
                "url": format!("http://{}{place}", self.server.address()),
                "revision": full(revision),
                "digest": digest,
                "lastUpdateTime": "2026-01-01T00:00:00Z",
            },
            "conditions": [{
                "type": "Ready",
                "status": "True",
                "reason": "Succeeded",
                "message": "stored artifact",
                "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        }});
        self.cluster.plane.kubectl(&[
            "patch",
            "gitrepository",
            repository,
            "-n",
            FLUX,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status.to_string(),
        ]);
    }

    /// Publishes these files.
    pub(super) fn publish_files(&self, repository: &str, revision: &str, files: &[(&str, String)]) {
        let folder = scratch("repository");
        for (name, content) in files {
            fs::write(folder.join(name), content).expect("the scratch folder can be written");
        }
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        self.publish(repository, revision, &folder, &names);
    }

    /// Watches a `Kustomization` until `wanted` is true.
    pub(super) async fn kustomization(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        let object = (&KUSTOMIZATION, FLUX, name);
        self.cluster
            .await_object(object, Some(&self.process), what, wanted)
            .await
    }

    /// Waits until a `Kustomization` is ready at a revision, and has seen its own last change.
    pub(super) async fn ready(&self, name: &str, revision: &str) -> DynamicObject {
        let full = full(revision);
        let wanted = |object: &DynamicObject| {
            object.data["status"]["lastAppliedRevision"] == full.as_str()
                && is_ready(object, "True")
        };
        self.kustomization(name, &format!("ready at {revision}"), wanted)
            .await
    }

    /// Waits until a `Kustomization` has failed its health check at a revision. Returns Flux's message.
    pub(super) async fn failed(&self, name: &str, revision: &str) -> String {
        let full = full(revision);
        let wanted = |object: &DynamicObject| {
            object.data["status"]["lastAttemptedRevision"] == full.as_str()
                && is_ready(object, "False")
                && ready_condition(object)["reason"] == "HealthCheckFailed"
        };
        let what = format!("failed at {revision}");
        let failed = self.kustomization(name, &what, wanted).await;
        let message = ready_condition(&failed)["message"].as_str();
        message.expect("a condition has a message").to_owned()
    }

    /// Waits until Flux checks the health of what it has applied.
    pub(super) async fn waits(&self, name: &str) {
        let wanted = |object: &DynamicObject| {
            condition(object, "Healthy").is_some_and(|healthy| healthy["status"] == "Unknown")
        };
        self.kustomization(name, "waiting for the health of its objects", wanted)
            .await;
    }
}

/// A revision as source-controller writes it.
fn full(revision: &str) -> String {
    format!("main@sha1:{revision}")
}

fn ready_condition(object: &DynamicObject) -> &Value {
    condition(object, "Ready").unwrap_or(&Value::Null)
}

fn is_ready(object: &DynamicObject, status: &str) -> bool {
    let ready = ready_condition(object);
    ready["status"] == status && ready["observedGeneration"].as_i64() == object.metadata.generation
}

/// A `Kustomization` of all files of the repository `fleet`.
pub(super) fn kustomization(name: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": { "name": name, "namespace": FLUX },
        "spec": {
            "interval": "1h",
            "retryInterval": "1s",
            "timeout": "30m",
            "path": "./",
            "prune": true,
            "sourceRef": { "kind": "GitRepository", "name": "fleet" },
        },
    });
    for (field, value) in spec.as_object().expect("a spec has fields") {
        object["spec"][field] = value.clone();
    }
    object
}

/// The manifest of a resource of team-a, whose Secret has the name of the user.
pub(super) fn resource(user: &str, spec: &Value) -> String {
    let mut object = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": { "name": user, "namespace": "team-a" },
        "spec": {
            "userPoolId": POOL,
            "username": user,
            "passwordSecretRef": { "name": user },
        },
    });
    for (field, value) in spec.as_object().expect("a spec has fields") {
        object["spec"][field] = value.clone();
    }
    object.to_string()
}

/// The manifest of a Secret.
pub(super) fn secret(user: &str, password: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": user, "namespace": "team-a" },
        "stringData": { "password": password },
    })
    .to_string()
}

fn answer(artifacts: &Artifacts, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let found = lock(artifacts).get(request.uri().path()).cloned();
    let status = match found {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    };
    let mut response = Response::new(Full::new(found.unwrap_or_default()));
    *response.status_mut() = status;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
