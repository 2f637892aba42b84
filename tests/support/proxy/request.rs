//! Classifies requests, as far as the tests need the classes.

use std::collections::HashMap;

use hyper::{Method, Uri};
use serde_json::Value;

/// A request: its class and its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProxiedRequest {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A status write with a new attempt, before the attempt's call.
    Attempt,
    /// A status write with the outcome of the last attempt.
    Outcome,
    /// Any other status write.
    Report,
    /// A read of one Secret.
    SecretRead,
    /// A read of one of the operator's resources.
    ResourceRead,
    List,
    Watch,
    Lease,
    /// A write of an Event.
    Event,
    /// A question about the sender's own rights.
    OwnRights,
    Other,
}

impl Kind {
    pub(super) fn is_status_write(self) -> bool {
        matches!(self, Kind::Attempt | Kind::Outcome | Kind::Report)
    }

    /// Whether every set contains such a request.
    pub(super) fn is_step(self) -> bool {
        self.is_status_write() || self == Kind::SecretRead
    }
}

/// The attempts without a written outcome, by namespace and name.
#[derive(Debug, Default)]
pub(super) struct PendingAttempts(HashMap<(String, String), String>);

impl PendingAttempts {
    /// Classifies a request.
    pub(super) fn asked(&self, method: &Method, uri: &Uri, body: &[u8]) -> ProxiedRequest {
        let mut parts = uri
            .path()
            .split('/')
            .skip_while(|part| *part != "namespaces");
        parts.next();
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (namespace, resource, name, subresource) = (part(), part(), part(), part());
        let key = (namespace, name);
        let kind = match (method, &*resource, &*subresource) {
            (&Method::GET, "secrets", "") if !key.1.is_empty() => Kind::SecretRead,
            (&Method::GET, "cognitouserpasswords", "") if !key.1.is_empty() => Kind::ResourceRead,
            (_, "leases", _) => Kind::Lease,
            (&Method::POST | &Method::PATCH, "events", _) => Kind::Event,
            _ if uri.path().ends_with("/selfsubjectaccessreviews") => Kind::OwnRights,
            (&Method::GET, ..) if uri.query().is_some_and(|query| query.contains("watch=")) => {
                Kind::Watch
            }
            (&Method::GET, ..) if key.1.is_empty() => Kind::List,
            (&Method::PATCH, "cognitouserpasswords", "status") => self.status_write(&key, body),
            _ => Kind::Other,
        };
        let (namespace, name) = key;
        ProxiedRequest {
            kind,
            namespace,
            name,
        }
    }

    fn status_write(&self, key: &(String, String), body: &[u8]) -> Kind {
        let pending = self.0.get(key);
        let new = pending_id(body);
        match (new, pending) {
            (Some(new), Some(old)) if new == *old => Kind::Report,
            (Some(_), _) => Kind::Attempt,
            (None, Some(_)) => Kind::Outcome,
            (None, None) => Kind::Report,
        }
    }

    /// Records a status write that the API server accepted.
    pub(super) fn accepted(&mut self, asked: &ProxiedRequest, body: &[u8]) {
        let key = (asked.namespace.clone(), asked.name.clone());
        match (asked.kind, pending_id(body)) {
            (Kind::Attempt, Some(id)) => drop(self.0.insert(key, id)),
            (Kind::Outcome, _) => drop(self.0.remove(&key)),
            _ => {}
        }
    }
}

/// The id of the attempt that is pending after a status write.
fn pending_id(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let attempt = body.pointer("/status/attempt")?;
    let pending = attempt.get("outcome")? == "Pending";
    pending.then(|| attempt.get("id")?.as_str().map(str::to_owned))?
}
