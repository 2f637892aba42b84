//! The observation: the facts on which a decision rests. An observation holds no password. Of the value that
//! was read, an observation holds only how the value compares to the record.

use super::owed::{is_said, owed};
use crate::{
    api::{
        Attempt, Class, CognitoUserPasswordSpec, ConditionStatus, ConditionType, Drift, Reason,
        Status, Synced,
    },
    core::{
        access::grant::Admission,
        credential::{
            fingerprint::{Keyring, Match},
            password::{InvalidValue, Password},
        },
        look::found::{Found, Looks},
        names::target::Target,
    },
};
use jiff::Timestamp;

/// The facts about one resource and its Secret.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The resource's uid.
    pub uid: &'a str,
    /// The resource's generation.
    pub generation: i64,
    /// Whether the resource is being deleted.
    pub deleting: bool,
    /// The resource's spec.
    pub spec: &'a CognitoUserPasswordSpec,
    /// The current request, which asks for a set now; see [`super::request`].
    pub requested_at: Option<&'a str>,
    /// The resource's status.
    pub status: &'a Status,
    /// Whether the grants admit the resource, and by whose authority.
    pub admission: Admission,
    /// The oldest of the older resources for the same user; None if there is no older one.
    pub older: Option<OlderResource>,
    /// When another resource last set this user's password, or tried to. None if no status of another
    /// resource tells.
    pub rival_at: Option<Timestamp>,
    /// Which fingerprints of the status the newest key signed.
    pub newest_signed: SignedByNewestKey,
    /// The state of the Secret.
    pub secret: SecretState,
    /// The basis of this process's last decision on the resource. A hint only: a restart loses this basis.
    pub tried: Option<&'a DecisionBasis>,
    /// Whether the last failure's cause is gone although no watch event says so, as with the operator's own
    /// credentials. The wait is then over.
    pub recovered: bool,
    /// Whether the operator looks at the user, by the spec or by `--drift`.
    pub drift: Drift,
    /// What this process's looks at the user found. A hint only: a restart loses the looks.
    pub looks: Looks,
    /// Whether the operator may correct another user of this pool now.
    pub corrections_left: bool,
}

/// An older resource for the same user of the same pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OlderResource {
    /// The name of an older resource in the same namespace.
    SameNamespace(String),
    /// An older resource in another namespace. Its name is not disclosed across namespaces.
    OtherNamespace,
}

/// Whether the newest key signed the fingerprints in a status. True also for a fingerprint that is absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignedByNewestKey {
    /// `status.synced`
    pub synced: bool,
    /// `status.attempt`
    pub attempt: bool,
}

/// The state of the Secret, from the watch (a hint) or from a read (which decides).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretState {
    /// The watch shows this version of the Secret, and the value was not read.
    Seen(SecretVersion),
    /// The watch doesn't show the Secret.
    NotSeen,
    /// A read found no Secret.
    NotFound,
    /// The operator sees only Secrets with these labels, and the watch shows no such Secret.
    NotSelected(String),
    /// A read found the Secret, without the key.
    KeyNotFound(SecretVersion),
    /// A read found a value that can't be a password.
    Invalid(SecretVersion, InvalidValue),
    /// A read found a password.
    Value(SecretVersion, Comparison),
}

/// One version of one Secret.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SecretVersion {
    /// The Secret's uid.
    pub uid: String,
    /// The Secret's resourceVersion.
    pub resource_version: String,
}

/// How the value in the Secret compares to the record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// The value's own fingerprint, signed by the newest key.
    pub fingerprint: String,
    /// The value compared to `status.synced`; None if `synced` is empty.
    pub synced: Option<Match>,
    /// The value compared to `status.attempt`; None if there is no attempt.
    pub attempt: Option<Match>,
    /// Whether `status.retired` or `status.synced` holds the value, as a permanent or a temporary password.
    /// Also true if either holds an entry whose key is lost. Cognito's history then can't tell a lost reply
    /// from an earlier set.
    pub known_before: bool,
    /// Whether `status.retired` holds the value with the `permanent` of the spec, or an entry whose key is
    /// lost.
    pub retired: bool,
}

/// The basis of this process's last decision. A wait is not cut short while the basis stays the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionBasis {
    /// The resource's generation.
    pub generation: i64,
    /// The request at the time of the decision.
    pub requested_at: Option<String>,
    /// The Secret's version at the time of the decision; None without a Secret.
    pub secret: Option<SecretVersion>,
    /// The value's fingerprint; None if no usable value was read.
    pub fingerprint: Option<String>,
}

/// Compares a value to the fingerprints in a status.
#[must_use]
pub fn compare(
    keyring: &Keyring,
    target: &Target,
    permanent: bool,
    password: &Password,
    status: &Status,
) -> Comparison {
    let as_wanted = |recorded: &str| keyring.compare(recorded, target, permanent, password);
    let either_way = |recorded: &str| {
        [true, false]
            .into_iter()
            .any(|permanent| keyring.compare(recorded, target, permanent, password) == Match::Same)
            || !keyring.knows(recorded)
    };
    let synced = status.synced.as_ref().map(|s| s.fingerprint.as_str());
    let attempt = status.attempt.as_ref().map(|a| a.fingerprint.as_str());
    Comparison {
        fingerprint: keyring
            .sign(target, permanent, password)
            .as_str()
            .to_owned(),
        synced: synced.map(as_wanted),
        attempt: attempt.map(as_wanted),
        known_before: synced
            .into_iter()
            .chain(status.retired.iter().map(String::as_str))
            .any(either_way),
        retired: (status.retired.iter()).any(|retired| as_wanted(retired) != Match::Different),
    }
}

impl SignedByNewestKey {
    /// Checks the fingerprints in `status` against the newest key.
    #[must_use]
    pub fn of(status: &Status, keyring: &Keyring) -> Self {
        let synced = status.synced.as_ref();
        let attempt = status.attempt.as_ref();
        Self {
            synced: synced.is_none_or(|s| keyring.newest_signed(&s.fingerprint)),
            attempt: attempt.is_none_or(|a| keyring.newest_signed(&a.fingerprint)),
        }
    }
}

impl SecretState {
    /// The version from the watch or the read; None if there was no Secret.
    #[must_use]
    pub const fn version(&self) -> Option<&SecretVersion> {
        match self {
            Self::Seen(version)
            | Self::KeyNotFound(version)
            | Self::Invalid(version, _)
            | Self::Value(version, _) => Some(version),
            Self::NotSeen | Self::NotFound | Self::NotSelected(_) => None,
        }
    }
}

impl SecretVersion {
    /// Whether this version has this uid and resourceVersion.
    pub(crate) fn is(&self, uid: &str, resource_version: &str) -> bool {
        self.uid == uid && self.resource_version == resource_version
    }

    /// Whether `synced` was read from this version.
    pub(crate) fn is_of(&self, synced: &Synced) -> bool {
        self.is(&synced.secret_uid, &synced.secret_resource_version)
    }
}

impl Observation<'_> {
    /// Whether there is a request without an answer.
    #[must_use]
    pub fn has_new_request(&self) -> bool {
        self.new_request().is_some()
    }

    /// The request, if `lastHandledReconcileAt` doesn't answer the request yet.
    pub(crate) fn new_request(&self) -> Option<&str> {
        let answered = self.status.last_handled_reconcile_at.as_deref();
        self.requested_at
            .filter(|request| Some(*request) != answered)
    }

    /// Whether there is a request that no call has served yet. A request that was tried in vain waits for its
    /// retry time, also after a restart.
    pub(crate) fn has_untried_request(&self) -> bool {
        let failures = self.status.failures.as_ref();
        let tried = failures.and_then(|failures| failures.request.as_deref());
        self.has_new_request() && self.requested_at != tried && !self.is_acted_on()
    }

    /// Whether the attempt on record serves the current request.
    pub(crate) fn is_acted_on(&self) -> bool {
        let attempt = self.status.attempt.as_ref();
        let request = attempt.and_then(|attempt| attempt.request.as_deref());
        request.is_some() && request == self.requested_at
    }

    /// Whether the Ready condition is about this generation.
    pub(crate) fn ready_is_current(&self) -> bool {
        let ready = self.status.condition(ConditionType::Ready);
        ready.is_some_and(|ready| ready.observed_generation == Some(self.generation))
    }

    /// Whether the status says that the operator has no credentials, and says so about this generation.
    #[must_use]
    pub fn lacks_credentials(&self) -> bool {
        self.ready_is_current() && self.status.ready_reason() == Some(Reason::InvalidCredentials)
    }

    /// Whether a new set makes the status untrue. True for `Ready=True`, for a status that asks a person to
    /// act, and for a wait for a grant that now exists. Other waits stay true, even after 5 minutes as
    /// stalled ones.
    #[must_use]
    pub fn is_untrue_while_setting(&self) -> bool {
        let is_true = |type_| {
            let condition = self.status.condition(type_);
            condition.is_some_and(|condition| condition.status == ConditionStatus::True)
        };
        let waits = self.status.ready_reason().map(Reason::class) == Some(Class::Waiting);
        is_true(ConditionType::Ready)
            || (is_true(ConditionType::Stalled) && !waits)
            || self.waited_for_grant()
    }

    /// Whether the status says that no grant admits the resource. Once a grant admits the resource, every
    /// recorded wait is over.
    pub(crate) fn waited_for_grant(&self) -> bool {
        let reason = self.status.ready_reason();
        reason.is_some_and(Reason::is_about_grants)
    }

    /// Whether the status says that the password is set, for this generation.
    pub(crate) fn is_settled(&self) -> bool {
        let status = self.status;
        let ready = status.condition(ConditionType::Ready);
        ready.is_some_and(|ready| ready.status == ConditionStatus::True)
            && self.ready_is_current()
            && status.observed_generation == Some(self.generation)
            && status.attempt.is_none()
            && status.synced.is_some()
    }

    /// Whether the value in `synced` is set by the record, for this generation. Ready is not True if a sign-out
    /// is owed, or if a look found the user changed since.
    pub(crate) fn is_set(&self) -> bool {
        self.is_settled() || self.lacks_only_the_sign_out() || self.says_drift()
    }

    /// Whether the record says that the value is set, and only the sign-out is missing.
    pub(crate) fn lacks_only_the_sign_out(&self) -> bool {
        let status = self.status;
        owed(status, self.spec).is_some()
            && status.attempt.is_none()
            && status.synced.is_some()
            && self.ready_is_current()
            && is_said(status)
    }

    /// The name by which the latest look found the user.
    pub(crate) fn found_as(&self) -> Option<String> {
        match &self.looks.latest()?.found {
            // The API server takes 128 characters, and Cognito's names have no more.
            Found::User(user) if user.username.chars().count() <= 128 => {
                Some(user.username.clone())
            }
            Found::User(_) | Found::NotFound => None,
        }
    }

    /// Whether the value in `synced` is set by the record, and the status says what a look found since, for this
    /// generation.
    fn says_drift(&self) -> bool {
        let status = self.status;
        status.attempt.is_none()
            && status.synced.is_some()
            && self.ready_is_current()
            && status.ready_reason().is_some_and(Reason::is_about_user)
    }

    /// Whether the resource is in sync and the Secret has not changed since. The process then needs to
    /// remember nothing beyond the status.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let synced = self.status.synced.as_ref();
        let version = self.secret.version();
        let is_of = synced
            .zip(version)
            .is_some_and(|(s, version)| version.is_of(s));
        is_of && self.is_settled() && self.newest_signed.synced && !self.has_new_request()
    }

    /// Whether the value in the Secret is the value in `synced`. If the fingerprint key is lost, an unchanged
    /// version of the Secret proves that for a settled resource.
    pub(crate) fn is_synced(
        &self,
        synced: &Synced,
        version: &SecretVersion,
        value: &Comparison,
    ) -> bool {
        match value.synced {
            Some(Match::Same) => true,
            Some(Match::KeyGone) => version.is_of(synced) && self.is_set(),
            Some(Match::Different) | None => false,
        }
    }

    /// Whether the value in the Secret is the attempt's value. If the fingerprint key is lost, an unchanged
    /// generation and version of the Secret prove that.
    pub(crate) fn is_attempted(
        &self,
        attempt: &Attempt,
        version: &SecretVersion,
        value: &Comparison,
    ) -> bool {
        match value.attempt {
            Some(Match::Same) => true,
            Some(Match::KeyGone) => self.is_attempt_at(attempt, version),
            Some(Match::Different) | None => false,
        }
    }

    /// Whether an attempt was made for this generation at this version of the Secret.
    pub(crate) fn is_attempt_at(&self, attempt: &Attempt, version: &SecretVersion) -> bool {
        attempt.generation == self.generation
            && version.is(&attempt.secret_uid, &attempt.secret_resource_version)
    }

    /// Whether the status says that the Secret holds no usable value, and says so about this generation.
    pub(crate) fn says_unusable(&self) -> bool {
        let reason = self.status.ready_reason();
        self.ready_is_current() && reason.is_some_and(Reason::is_about_an_unusable_secret)
    }

    /// The basis of this process's last decision, if spec, request and this version of the Secret are
    /// unchanged since.
    pub(crate) fn tried_at(&self, version: &SecretVersion) -> Option<&DecisionBasis> {
        self.tried.filter(|tried| {
            tried.generation == self.generation
                && tried.requested_at.as_deref() == self.requested_at
                && tried.secret.as_ref() == Some(version)
        })
    }

    /// The basis of a decision on this observation, for the process to remember.
    #[must_use]
    pub fn tried(&self) -> DecisionBasis {
        DecisionBasis {
            generation: self.generation,
            requested_at: self.requested_at.map(str::to_owned),
            secret: self.secret.version().cloned(),
            fingerprint: match &self.secret {
                SecretState::Value(_, value) => Some(value.fingerprint.clone()),
                SecretState::Seen(_)
                | SecretState::NotSeen
                | SecretState::NotFound
                | SecretState::NotSelected(_)
                | SecretState::KeyNotFound(_)
                | SecretState::Invalid(..) => None,
            },
        }
    }
}
