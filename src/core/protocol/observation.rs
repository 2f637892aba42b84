//! What is known when a decision is made: plain facts, and no password among them. The value that
//! was read is here only as what it compares to.

use crate::{
    api::{
        Attempt, Class, CognitoUserPasswordSpec, ConditionStatus, ConditionType, Reason, Status,
        Synced,
    },
    core::{
        access::grant::Admission,
        credential::{
            fingerprint::{Keyring, Match},
            password::{InvalidValue, Password},
        },
        names::target::Target,
    },
};
use jiff::Timestamp;

/// One resource and its Secret, as they are.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The resource's uid.
    pub uid: &'a str,
    /// The resource's generation.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What its user wants.
    pub spec: &'a CognitoUserPasswordSpec,
    /// What asks for a set now; see [`super::request`].
    pub requested_at: Option<&'a str>,
    /// What was written down so far.
    pub status: &'a Status,
    /// Whether it may manage its user, and by whose authority.
    pub admission: Admission,
    /// The oldest of the older resources for the same user, if there are any.
    pub older: Option<OlderResource>,
    /// When another resource last set this user's password or tried to, as far as there are any
    /// whose statuses tell.
    pub rival_at: Option<Timestamp>,
    /// What of the status the newest key signed.
    pub newest_signed: SignedByNewestKey,
    /// What is known of the Secret.
    pub secret: SecretState,
    /// What this process last concluded on, if it did: a hint that is lost in a restart.
    pub tried: Option<&'a DecisionBasis>,
    /// Whether what the last failure waited for has healed, without the cluster showing it (the
    /// operator's own credentials): the wait is over.
    pub healed: bool,
}

/// Another resource for the same user of the same pool, which came first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OlderResource {
    /// In the same namespace, by its name.
    SameNamespace(String),
    /// In another namespace, of which nothing is said.
    OtherNamespace,
}

/// Whether the newest key signed what a status holds; also true where it holds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignedByNewestKey {
    /// `status.synced`
    pub synced: bool,
    /// `status.attempt`
    pub attempt: bool,
}

/// What is known of the Secret, from the watch (a hint) or from a read (which decides).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretState {
    /// The watch shows it in this version; its value wasn't read.
    Seen(SecretVersion),
    /// The watch doesn't show it.
    NotSeen,
    /// A read found none.
    NotFound,
    /// Only Secrets with these labels are seen and read, and it isn't among them.
    NotSelected(String),
    /// A read found it, without the key.
    KeyNotFound(SecretVersion),
    /// A read found a value that can't be a password.
    Invalid(SecretVersion, InvalidValue),
    /// A read found a password.
    Value(SecretVersion, Comparison),
}

/// One version of one Secret.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SecretVersion {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
}

/// What the value at hand compares to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// Its own fingerprint, signed by the newest key.
    pub fingerprint: String,
    /// Compared to `status.synced`.
    pub synced: Option<Match>,
    /// Compared to `status.attempt`.
    pub attempt: Option<Match>,
    /// Whether `status.retired` or `status.synced` holds the value, permanent or temporary, or an
    /// entry that can't be compared any more: then Cognito's history can't tell a lost reply from
    /// an earlier set.
    pub known_before: bool,
    /// Whether `status.retired` holds it, as it is wanted, or an entry that can't be compared any
    /// more.
    pub retired: bool,
}

/// What this process last concluded on: while it stands unchanged, a wait isn't cut short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionBasis {
    /// The resource's generation.
    pub generation: i64,
    /// The request at that time.
    pub requested_at: Option<String>,
    /// The Secret at that time, if it was there.
    pub secret: Option<SecretVersion>,
    /// The value's fingerprint, if it was one.
    pub fingerprint: Option<String>,
}

/// Compares a value to what a status records.
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
    /// Looks at what this status holds.
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
    /// The version that was seen or read, if the Secret was there.
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
    /// Whether it is the one with this uid and resourceVersion.
    pub(crate) fn is(&self, uid: &str, resource_version: &str) -> bool {
        self.uid == uid && self.resource_version == resource_version
    }

    /// Whether `synced` was read from this version.
    pub(crate) fn is_of(&self, synced: &Synced) -> bool {
        self.is(&synced.secret_uid, &synced.secret_resource_version)
    }
}

impl Observation<'_> {
    /// Whether a set was asked for whose outcome isn't known yet.
    #[must_use]
    pub fn has_new_request(&self) -> bool {
        self.new_request().is_some()
    }

    /// The request whose outcome isn't known yet.
    pub(crate) fn new_request(&self) -> Option<&str> {
        let answered = self.status.last_handled_reconcile_at.as_deref();
        self.requested_at
            .filter(|request| Some(*request) != answered)
    }

    /// Whether a set was asked for that nobody has tried yet. One that was tried in vain waits for its next
    /// try, also after a restart.
    pub(crate) fn has_untried_request(&self) -> bool {
        let failures = self.status.failures.as_ref();
        let tried = failures.and_then(|failures| failures.request.as_deref());
        self.has_new_request() && self.requested_at != tried && !self.is_acted_on()
    }

    /// Whether the request is what an open attempt acts on, whose outcome nobody knows.
    pub(crate) fn is_acted_on(&self) -> bool {
        let attempt = self.status.attempt.as_ref();
        let request = attempt.and_then(|attempt| attempt.request.as_deref());
        request.is_some() && request == self.requested_at
    }

    /// Whether the Ready condition is about this generation.
    pub(crate) fn is_judged(&self) -> bool {
        let ready = self.status.condition(ConditionType::Ready);
        ready.is_some_and(|ready| ready.observed_generation == Some(self.generation))
    }

    /// Whether the status says of this generation that the operator has no credentials.
    #[must_use]
    pub fn is_unidentified(&self) -> bool {
        self.is_judged() && self.status.ready_reason() == Some(Reason::InvalidCredentials)
    }

    /// Whether the status says that all is well, or that a person must act: untrue once another
    /// value is to be set. What waits, also for so long that it is called stalled, stays true; but not
    /// for a grant that is there.
    #[must_use]
    pub fn says_what_is_over(&self) -> bool {
        let is_true = |type_| {
            let condition = self.status.condition(type_);
            condition.is_some_and(|condition| condition.status == ConditionStatus::True)
        };
        let waits = self.status.ready_reason().map(Reason::class) == Some(Class::Waiting);
        is_true(ConditionType::Ready)
            || (is_true(ConditionType::Stalled) && !waits)
            || self.waited_for_grant()
    }

    /// Whether the status says that this may not be done. Where it may be, that is over, and so is
    /// every wait.
    pub(crate) fn waited_for_grant(&self) -> bool {
        let reason = self.status.ready_reason();
        reason.is_some_and(Reason::is_about_grants)
    }

    /// Whether the status says that all is well with this generation.
    pub(crate) fn is_settled(&self) -> bool {
        let status = self.status;
        let ready = status.condition(ConditionType::Ready);
        ready.is_some_and(|ready| ready.status == ConditionStatus::True)
            && self.is_judged()
            && status.observed_generation == Some(self.generation)
            && status.attempt.is_none()
            && status.synced.is_some()
    }

    /// Whether all is well, and the Secret has not moved since: then nothing need be remembered beyond
    /// the status.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let synced = self.status.synced.as_ref();
        let version = self.secret.version();
        let is_of = synced
            .zip(version)
            .is_some_and(|(s, version)| version.is_of(s));
        is_of && self.is_settled() && self.newest_signed.synced && !self.has_new_request()
    }

    /// Whether the value at hand is what `synced` says is set. Where the key is gone, a Secret that
    /// hasn't moved since still tells it.
    pub(crate) fn is_synced(
        &self,
        synced: &Synced,
        version: &SecretVersion,
        value: &Comparison,
    ) -> bool {
        match value.synced {
            Some(Match::Same) => true,
            Some(Match::KeyGone) => version.is_of(synced) && self.is_settled(),
            Some(Match::Different) | None => false,
        }
    }

    /// Whether the value at hand is the attempt's; the same holds where the key is gone.
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

    /// Whether the status says of this generation that the Secret holds no usable value.
    pub(crate) fn says_unusable(&self) -> bool {
        let reason = self.status.ready_reason();
        self.is_judged() && reason.is_some_and(Reason::is_about_an_unusable_secret)
    }

    /// What this process found in this version of the Secret, if it concluded on it, and neither spec nor
    /// request has changed since.
    pub(crate) fn tried_at(&self, version: &SecretVersion) -> Option<&DecisionBasis> {
        self.tried.filter(|tried| {
            tried.generation == self.generation
                && tried.requested_at.as_deref() == self.requested_at
                && tried.secret.as_ref() == Some(version)
        })
    }

    /// What to remember of this look.
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
