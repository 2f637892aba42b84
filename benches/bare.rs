//! The floors: a bare loop sends the same requests, but decides nothing and stores nothing. The loop has the
//! operator's rights, so that the API server does the same work for the loop and for the operator.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cognito_password_operator::{
    api::CognitoUserPassword,
    core::schedule::lease::{LEASE_DURATION, RETRY},
};
use futures::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{
    Api, ListParams, PartialObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::{
    process,
    stage::{Crowd, POOL, Stage, from},
    support::client_for,
};

/// Makes sets. Keeps every connection to Cognito that it opened: one per concurrent call.
pub(crate) struct Caller<'a> {
    stage: &'a Stage,
    crowd: Crowd,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl<'a> Caller<'a> {
    pub(crate) async fn new(stage: &'a Stage, crowd: &Crowd) -> Self {
        let crowd = crowd.by(&stage.as_operator().await);
        let idle = Mutex::default();
        Self { stage, crowd, idle }
    }

    /// Calls `AdminSetUserPassword`, without a signature and without parsing the reply.
    async fn call(&self, username: &str, password: &str) {
        let idle = self.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await,
        };
        let body = json!({
            "UserPoolId": POOL, "Username": username, "Password": password, "Permanent": true,
        });
        let request = Request::post("/")
            .header("host", "localhost")
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "x-amz-target",
                "AWSCognitoIdentityProviderService.AdminSetUserPassword",
            )
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("the request is well-formed");
        let response = connection.send_request(request).await.expect("a reply");
        response
            .into_body()
            .collect()
            .await
            .expect("the whole reply");
        // The connection becomes ready once its reply is read to the end.
        connection.ready().await.expect("the connection stays");
        self.lock().push(connection);
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.stage.cognito.address()).await;
        let stream = stream.expect("Cognito listens");
        // Like the SDK.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        sender
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All requests of one set: GET the Secret, PATCH the status, call, PATCH the status.
    pub(crate) async fn set(&self, name: &str) {
        let crowd = &self.crowd;
        let (version, password) = read(crowd, name).await;
        write(crowd, name, &status(&version, true)).await;
        self.call(name, &password).await;
        write(crowd, name, &status(&version, false)).await;
    }
}

/// Returns the Secret's version and its value.
async fn read(crowd: &Crowd, name: &str) -> (String, String) {
    let secret = crowd.secrets.get(name).await.expect("the Secret is there");
    let value = secret.data.as_ref().and_then(|data| data.get("password"));
    let value = value.map(|value| String::from_utf8_lossy(&value.0).into_owned());
    let version = secret.metadata.resource_version.unwrap_or_default();
    (version, value.unwrap_or_default())
}

async fn write(crowd: &Crowd, name: &str, status: &Value) {
    let patch = Patch::Merge(json!({ "status": status }));
    let resources = &crowd.resources;
    let params = PatchParams::default();
    let patched = resources.patch_status(name, &params, &patch);
    patched.await.expect("the status can be written");
}

/// A status as long as the operator's.
fn status(version: &str, begins: bool) -> Value {
    let at = "2026-01-02T03:04:05.678901Z";
    let fingerprint = format!("0a1b2c3d.{}", "5f".repeat(32));
    let uid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    let (ready, reason, message) = if begins {
        ("Unknown", "Progressing", "The password is being set.")
    } else {
        // Another reason than the operator's `PasswordSet`, so that counts of the operator's resources
        // exclude these.
        (
            "True",
            "AppliedAfterLostReply",
            "The user's password is what the Secret says.",
        )
    };
    let condition = json!({
        "type": "Ready", "status": ready, "reason": reason, "message": message,
        "observedGeneration": 1, "lastTransitionTime": "2026-01-02T03:04:05Z",
    });
    let attempt = json!({
        "id": "0011223344556677", "fingerprint": fingerprint, "generation": 1, "secretUid": uid,
        "secretResourceVersion": version, "startedAt": at, "outcome": "Pending",
    });
    json!({
        "observedGeneration": 1,
        "synced": {
            "fingerprint": fingerprint, "secretUid": uid, "secretResourceVersion": version, "at": at,
        },
        "attempt": if begins { attempt } else { Value::Null },
        "retired": ["0a1b2c3d.5f5f5f5f5f5f5f5f", "0a1b2c3d.6f6f6f6f6f6f6f6f"],
        "conditions": [condition],
    })
}

/// Milliseconds from the patch of a Secret to the moment when the call could be made, over a bare watch of
/// metadata.
pub(crate) async fn rotations(
    stage: &Stage,
    crowd: &Crowd,
    names: &[String],
    value: &str,
) -> Vec<f64> {
    let client = stage.as_operator().await;
    let metadata: Api<PartialObjectMeta<Secret>> = Api::all(client.clone());
    let list = metadata.list(&ListParams::default().limit(1)).await;
    let version = list.expect("a list").metadata.resource_version;
    let version = version.unwrap_or_default();
    let (told, mut could_call) = mpsc::unbounded_channel();
    let loops = tokio::spawn({
        let crowd = crowd.by(&client);
        async move {
            let watch = metadata.watch(&WatchParams::default(), &version).await;
            let mut watch = watch.expect("a watch").boxed();
            while let Ok(Some(event)) = watch.try_next().await {
                let WatchEvent::Modified(secret) = event else {
                    continue;
                };
                let name = secret.metadata.name.unwrap_or_default();
                let (version, _) = read(&crowd, &name).await;
                write(&crowd, &name, &status(&version, true)).await;
                // The receiver may be gone.
                let _ = told.send(Instant::now());
            }
        }
    });
    let mut took = Vec::new();
    for name in names {
        let began = Instant::now();
        crowd.rotate(name, value).await;
        let could = tokio::time::timeout(Duration::from_secs(30), could_call.recv()).await;
        let could = could.expect("the watch tells").expect("the loop goes on");
        took.push((could - began).as_secs_f64() * 1e3);
    }
    loops.abort();
    took
}

/// Renews a Lease on one thread, as often as a leader must. Returns the processor time in percent of the
/// elapsed time. Uses an administrator's client: the operator may renew only its own Lease.
pub(crate) fn renewals(kubeconfig: &Path, time: Duration) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let leases: Api<Lease> = Api::namespaced(client_for(kubeconfig).await, "default");
        let mut lease = from(json!({
            "metadata": { "name": "bare" },
            "spec": { "holderIdentity": "bare", "leaseDurationSeconds": LEASE_DURATION.as_secs() },
        }));
        let params = PostParams::default();
        lease = leases.create(&params, &lease).await.expect("a Lease");
        let before = process::cpu_of_this_thread();
        let mut due = tokio::time::interval(RETRY);
        let began = Instant::now();
        while began.elapsed() < time {
            due.tick().await;
            let renewed = leases.replace("bare", &params, &lease).await;
            lease = renewed.expect("it is renewed");
        }
        (process::cpu_of_this_thread() - before) / time.as_secs_f64() * 100.0
    })
}

/// Sends both LISTs at the same time, and decodes them whole. Returns the seconds that both took.
pub(crate) async fn lists(stage: &Stage) -> f64 {
    // New connections, like those of a new process.
    let client = stage.as_operator().await;
    let began = Instant::now();
    let resources: Api<CognitoUserPassword> = Api::all(client.clone());
    let secrets: Api<PartialObjectMeta<Secret>> = Api::all(client);
    let all = ListParams::default();
    let (resources, secrets) = tokio::join!(
        tokio::spawn(async move {
            resources
                .list(&ListParams::default())
                .await
                .map(|it| it.items.len())
        }),
        secrets.list(&all),
    );
    let resources = resources.expect("no panic").expect("a list");
    let listed = resources.min(secrets.expect("a list").items.len());
    assert!(listed >= stage.count(), "not all were listed: {listed}");
    began.elapsed().as_secs_f64()
}
