//! The compact record in which the index keeps a resource. A record loses nothing that a decision needs, and
//! takes a tenth of the memory of the resource. The index keeps 10,000 records and rarely expands one. The index
//! has the key of the resource and the key of its Secret anyway, so a record has no namespace and neither name.
//!
//! A new field of the spec must be added to `Layout`, and a new field of the status to `CompactStatus`. The
//! compiler asks for both.

mod condition;
mod text;
mod time;

pub use text::{Interner, Text};

use self::{condition::CompactCondition, time::CompactTime};
use super::{health::Health, key::Key};
use crate::api::{
    Attempt, AttemptOutcome, CognitoUserPassword, CognitoUserPasswordSpec, Corrections, Drift,
    Failures, FederatedUser, PasswordSecretRef, REQUESTED_AT, SignOutOwed, Status, Synced,
    Unusable,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

/// A compact record; see the module. Equal records with equal keys hold the same version of the resource.
#[derive(Clone, PartialEq, Eq)]
pub struct CompactRecord {
    bytes: Box<[u8]>,
    /// What the gauges show of the resource, without expanding the record.
    pub health: Health,
}

/// The layout of the bytes. Records never leave the process, so the layout needs no version.
#[derive(Serialize, Deserialize)]
struct Layout {
    /// As [`sent`] returns the times. First field, so that it can be decoded without the rest: rivals are
    /// compared by it.
    sent: [Option<CompactTime>; 2],
    uid: Option<Text>,
    version: Option<Text>,
    generation: Option<i64>,
    created: Option<CompactTime>,
    deleted: Option<CompactTime>,
    requested_at: Option<Text>,
    pool: Text,
    username: Text,
    key: Text,
    permanent: bool,
    suspend: bool,
    drift: Option<Drift>,
    federated_user: FederatedUser,
    revoke_sessions: bool,
    status: Option<CompactStatus>,
}

#[derive(Serialize, Deserialize)]
struct CompactStatus {
    observed_generation: Option<i64>,
    last_handled: Option<Text>,
    /// The value, and when Cognito answered. `Layout::sent` has the time of the set.
    synced: Option<(CompactValue, Option<CompactTime>)>,
    attempt: Option<CompactAttempt>,
    quarantined_until: Option<CompactTime>,
    retired: Vec<Text>,
    /// Uid and resourceVersion of the Secret.
    unusable: Option<(Text, Text)>,
    failures: Option<CompactFailures>,
    sign_out_owed: Option<(CompactTime, Option<CompactFailures>)>,
    corrections: Option<(u32, CompactTime)>,
    found_as: FoundAs,
    conditions: Vec<CompactCondition>,
}

/// The name by which a look found the user.
#[derive(Serialize, Deserialize)]
enum FoundAs {
    /// No look found the user.
    Nothing,
    /// The username of the spec.
    Username,
    /// Another name.
    Other(Text),
}

/// The number of failures, the time of the next try, and the request that failed.
type CompactFailures = (u32, CompactTime, Option<Text>);

/// The fingerprint of a value, and the uid and version of its Secret.
#[derive(Serialize, Deserialize)]
struct CompactValue {
    fingerprint: Text,
    uid: Text,
    version: Text,
}

#[derive(Serialize, Deserialize)]
struct CompactAttempt {
    id: Text,
    of: CompactValue,
    generation: i64,
    started_at: CompactTime,
    outcome: AttemptOutcome,
    request: Option<Text>,
}

impl CompactRecord {
    /// Packs a resource. Of the annotations, only `requestedAt` is kept.
    ///
    /// # Panics
    /// Never: writing into memory doesn't fail.
    pub fn of(resource: &CognitoUserPassword, interner: &Interner) -> Self {
        let layout = Layout::of(resource, interner);
        let bytes = postcard::to_allocvec(&layout).expect("memory takes any layout");
        Self {
            bytes: bytes.into(),
            health: Health::of(resource),
        }
    }

    /// Expands the record to the resource of this key, which references the Secret of the other key. Of the
    /// annotations, the resource has only `requestedAt`.
    ///
    /// # Panics
    /// Never: the bytes come from [`of`](Self::of).
    pub fn resource(&self, key: &Key, secret: &Key, interner: &Interner) -> CognitoUserPassword {
        let layout: Layout = postcard::from_bytes(&self.bytes).expect("what was written is read");
        layout.resource(key, secret, interner)
    }

    /// When the resource set its user's password, and tried to: see [`sent`]. Decodes only the first field.
    pub fn sent(&self) -> [Option<Timestamp>; 2] {
        let first: Result<([Option<CompactTime>; 2], _), _> =
            postcard::take_from_bytes(&self.bytes);
        let (sent, _) = first.unwrap_or_default();
        sent.map(|it| it.map(|it| it.timestamp()))
    }
}

/// When the resource set its user's password, by `status.synced`, and when its open attempt began.
pub fn sent(resource: &CognitoUserPassword) -> [Option<Timestamp>; 2] {
    let status = resource.status.as_ref();
    let synced = status.and_then(|status| status.synced.as_ref());
    let attempt = status.and_then(|status| status.attempt.as_ref());
    let open = attempt.filter(|attempt| attempt.is_open());
    [
        synced.map(|synced| synced.at.0),
        open.map(|attempt| attempt.started_at.0),
    ]
}

impl Layout {
    fn of(resource: &CognitoUserPassword, interner: &Interner) -> Self {
        let CognitoUserPassword {
            metadata,
            spec,
            status,
        } = resource;
        let text = |text: &str| interner.text(text);
        let maybe = |it: &Option<String>| it.as_deref().map(text);
        let time = |it: &Option<Time>| it.as_ref().map(|it| CompactTime::of(it.0));
        let requested_at = metadata.annotations.as_ref();
        let requested_at = requested_at.and_then(|it| it.get(REQUESTED_AT));
        Self {
            sent: sent(resource).map(|it| it.map(CompactTime::of)),
            uid: maybe(&metadata.uid),
            version: maybe(&metadata.resource_version),
            generation: metadata.generation,
            created: time(&metadata.creation_timestamp),
            deleted: time(&metadata.deletion_timestamp),
            requested_at: requested_at.map(|it| text(it)),
            pool: text(&spec.user_pool_id),
            username: text(&spec.username),
            key: text(&spec.password_secret_ref.key),
            permanent: spec.permanent,
            suspend: spec.suspend,
            drift: spec.drift,
            federated_user: spec.federated_user,
            revoke_sessions: spec.revoke_sessions,
            status: status
                .as_ref()
                .map(|status| CompactStatus::of(status, &spec.username, interner)),
        }
    }

    fn resource(self, key: &Key, secret: &Key, interner: &Interner) -> CognitoUserPassword {
        let maybe = |it: Option<Text>| it.map(|it| interner.string(&it));
        let time = |it: Option<CompactTime>| it.map(|it| Time(it.timestamp()));
        let spec = CognitoUserPasswordSpec {
            user_pool_id: interner.string(&self.pool),
            username: interner.string(&self.username),
            password_secret_ref: PasswordSecretRef {
                name: secret.name().to_owned(),
                key: interner.string(&self.key),
            },
            permanent: self.permanent,
            suspend: self.suspend,
            drift: self.drift,
            federated_user: self.federated_user,
            revoke_sessions: self.revoke_sessions,
        };
        let requested_at = maybe(self.requested_at);
        let metadata = ObjectMeta {
            namespace: Some(key.namespace().to_owned()),
            name: Some(key.name().to_owned()),
            uid: maybe(self.uid),
            resource_version: maybe(self.version),
            generation: self.generation,
            creation_timestamp: time(self.created),
            deletion_timestamp: time(self.deleted),
            annotations: requested_at.map(|it| [(REQUESTED_AT.to_owned(), it)].into()),
            ..ObjectMeta::default()
        };
        let (status, [set_at, _]) = (self.status, self.sent);
        CognitoUserPassword {
            metadata,
            status: status.map(|said| said.status(set_at, &spec.username, interner)),
            spec,
        }
    }
}

impl CompactStatus {
    fn of(status: &Status, username: &str, interner: &Interner) -> Self {
        let text = |text: &str| interner.text(text);
        let origin = |fingerprint: &str, uid: &str, version: &str| CompactValue {
            fingerprint: text(fingerprint),
            uid: text(uid),
            version: text(version),
        };
        let synced = status.synced.as_ref().map(|it| {
            let version = &it.secret_resource_version;
            let value = origin(&it.fingerprint, &it.secret_uid, version);
            let answered_at = it.answered_at.as_ref();
            (value, answered_at.map(|at| CompactTime::of(at.0)))
        });
        let attempt = status.attempt.as_ref().map(|it| {
            let version = &it.secret_resource_version;
            CompactAttempt {
                id: text(&it.id),
                of: origin(&it.fingerprint, &it.secret_uid, version),
                generation: it.generation,
                started_at: CompactTime::of(it.started_at.0),
                outcome: it.outcome,
                request: it.request.as_deref().map(text),
            }
        });
        let until = status.quarantined_until.as_ref();
        let failures = |failures: &Failures| {
            let request = failures.request.as_deref().map(text);
            (
                failures.count,
                CompactTime::of(failures.retry_at.0),
                request,
            )
        };
        let owed = status.sign_out_owed.as_ref();
        let corrections = status.corrections.as_ref();
        let unusable = status.unusable.as_ref();
        Self {
            observed_generation: status.observed_generation,
            last_handled: status.last_handled_reconcile_at.as_deref().map(text),
            synced,
            attempt,
            quarantined_until: until.map(|it| CompactTime::of(it.0)),
            retired: status.retired.iter().map(|it| text(it)).collect(),
            unusable: unusable.map(|it| (text(&it.secret_uid), text(&it.secret_resource_version))),
            failures: status.failures.as_ref().map(failures),
            sign_out_owed: owed.map(|it| {
                let since = CompactTime::of(it.since.0);
                (since, it.failures.as_ref().map(failures))
            }),
            corrections: corrections.map(|it| (it.count, CompactTime::of(it.at.0))),
            found_as: match status.found_as.as_deref() {
                None => FoundAs::Nothing,
                Some(found_as) if found_as == username => FoundAs::Username,
                Some(found_as) => FoundAs::Other(text(found_as)),
            },
            conditions: (status.conditions.iter())
                .map(|it| CompactCondition::of(it, interner))
                .collect(),
        }
    }

    fn status(self, set_at: Option<CompactTime>, username: &str, interner: &Interner) -> Status {
        let string = |text: &Text| interner.string(text);
        let micro = |at: CompactTime| MicroTime(at.timestamp());
        let failures = |(count, retry_at, request): CompactFailures| Failures {
            count,
            retry_at: micro(retry_at),
            request: request.as_ref().map(string),
        };
        Status {
            observed_generation: self.observed_generation,
            last_handled_reconcile_at: self.last_handled.as_ref().map(string),
            synced: (self.synced.zip(set_at)).map(|((it, answered_at), at)| Synced {
                fingerprint: string(&it.fingerprint),
                secret_uid: string(&it.uid),
                secret_resource_version: string(&it.version),
                at: micro(at),
                answered_at: answered_at.map(micro),
            }),
            attempt: self.attempt.map(|it| Attempt {
                id: string(&it.id),
                fingerprint: string(&it.of.fingerprint),
                generation: it.generation,
                secret_uid: string(&it.of.uid),
                secret_resource_version: string(&it.of.version),
                started_at: micro(it.started_at),
                outcome: it.outcome,
                request: it.request.as_ref().map(string),
            }),
            quarantined_until: self.quarantined_until.map(micro),
            retired: self.retired.iter().map(string).collect(),
            unusable: self.unusable.map(|(uid, version)| Unusable {
                secret_uid: string(&uid),
                secret_resource_version: string(&version),
            }),
            failures: self.failures.map(failures),
            sign_out_owed: self.sign_out_owed.map(|(since, failed)| SignOutOwed {
                since: micro(since),
                failures: failed.map(failures),
            }),
            corrections: self.corrections.map(|(count, at)| Corrections {
                count,
                at: micro(at),
            }),
            found_as: match self.found_as {
                FoundAs::Nothing => None,
                FoundAs::Username => Some(username.to_owned()),
                FoundAs::Other(found_as) => Some(string(&found_as)),
            },
            conditions: (self.conditions.into_iter())
                .map(|it| it.condition(interner))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
