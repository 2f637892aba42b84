//! Gathers the facts for a decision: the resource, what this process remembers of the resource, and one
//! key of the Secret. The facts become an [`Observation`]. The password stays outside of the
//! observation.

use crate::{
    api::{CognitoUserPassword, Drift, REQUESTED_AT, Reason, Status},
    cluster::{CallError, secrets, status},
    cognito::Cognito,
    controller::{
        context::Context,
        reconcile::action::Action,
        state::{
            claims::Claim,
            key::Key,
            memory::{PendingOutcome, Recollection},
        },
    },
    core::{
        access::{authority::Authority, grant::Admission},
        credential::password::Password,
        look::found::Looks,
        names::target::Target,
        protocol::{
            observation::{
                Observation, OlderResource, SecretState, SecretVersion, SignedByNewestKey, compare,
            },
            request,
        },
    },
};
use jiff::Timestamp;
use kube::ResourceExt;
use std::{sync::Arc, time::Instant};
use tracing::warn;

/// What this process knows of one resource when a pass begins.
pub(crate) struct Snapshot {
    /// The resource.
    pub(crate) resource: Arc<CognitoUserPassword>,
    key: Key,
    uid: String,
    /// The resource's claim on a user. None if the pool id or the username is invalid.
    claim: Option<Claim>,
    /// Stands in for the status of a resource that has no status yet.
    no_status: Status,
    secret: Key,
    requested_at: Option<String>,
    remembered: Recollection,
}

/// The result of a read of the Secret.
pub(crate) struct SecretRead {
    /// What the read found, without the value.
    pub(crate) fact: SecretState,
    /// The value, if the value can be a password. Zeroized when dropped.
    pub(crate) password: Option<Password>,
    /// When the read began.
    pub(crate) read_at: Instant,
}

impl Snapshot {
    pub(crate) fn new<C: Cognito>(
        context: &Context<C>,
        key: &Key,
        resource: Arc<CognitoUserPassword>,
    ) -> Self {
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("decide", key);
        let uid = resource.uid().unwrap_or_default();
        Self {
            remembered: context.memory.recall(key, &uid),
            key: key.clone(),
            uid,
            claim: Claim::of(&resource),
            no_status: Status::default(),
            secret: Key::of_secret(&resource),
            requested_at: (resource.annotations().get(REQUESTED_AT))
                .map(|value| request::known_by(value).into_owned()),
            resource,
        }
    }

    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    fn status(&self) -> &Status {
        self.resource.status.as_ref().unwrap_or(&self.no_status)
    }

    /// The pending outcome, which must be recorded before any other work on the resource.
    pub(crate) fn pending_outcome(&self) -> Option<Arc<PendingOutcome>> {
        self.remembered.pending_outcome.clone()
    }

    /// Notes that the reconcile acted on the resource. A recovery that was known when the pass began
    /// (for example of the credentials) ends no other wait.
    pub(crate) fn note_action<C: Cognito>(&self, context: &Context<C>, key: &Key) {
        context
            .memory
            .acted(key, &self.uid, self.remembered.recovery);
    }

    /// The user whose password the resource manages. None if the pool id or the username is invalid.
    pub(crate) fn target(&self) -> Option<&Target> {
        self.claim.as_ref().map(Claim::target)
    }

    /// The admission of the resource by the grants, as the watches show the grants now.
    pub(crate) fn admission<C: Cognito>(&self, context: &Context<C>) -> Admission {
        match self.target() {
            Some(target) => {
                let index = context.index();
                index.admission(&self.key, target, Instant::now())
            }
            // The decision reports an invalid user before the decision uses the admission.
            None => Admission::NotGranted,
        }
    }

    /// Whether the grants still admit the resource by this authority.
    pub(crate) fn is_granted<C: Cognito>(
        &self,
        context: &Context<C>,
        authority: &Authority,
    ) -> bool {
        self.admission(context) == Admission::Granted(authority.clone())
    }

    /// The older resource that manages the same user, if the watches show one.
    pub(crate) fn older_resource<C: Cognito>(&self, context: &Context<C>) -> Option<OlderResource> {
        let index = context.index();
        let older = index.older(&self.key, self.claim.as_ref()?)?;
        Some(if older.namespace() == self.key.namespace() {
            OlderResource::SameNamespace(older.name().to_owned())
        } else {
            OlderResource::OtherNamespace
        })
    }

    /// When another resource last set the same user, or tried to.
    fn rival_at<C: Cognito>(&self, context: &Context<C>) -> Option<Timestamp> {
        let claim = self.claim.as_ref()?;
        context.index().rival_at(&self.key, claim, Timestamp::now())
    }

    /// What the watch shows of the Secret: a hint, and a read decides.
    pub(crate) fn watched_secret<C: Cognito>(&self, context: &Context<C>) -> SecretState {
        match context.index().secret(&self.secret) {
            Some(version) => SecretState::Seen(version),
            None => absent_secret(context, SecretState::NotSeen),
        }
    }

    /// Reads the Secret. With a label selector, a Secret that the watch does not show is not read: the
    /// labels are missing.
    pub(crate) async fn read<C: Cognito>(
        &self,
        context: &Context<C>,
    ) -> Result<SecretRead, CallError> {
        let read_at = Instant::now();
        let watched = self.watched_secret(context);
        if let SecretState::NotSelected(_) = watched {
            return Ok(SecretRead {
                fact: watched,
                password: None,
                read_at,
            });
        }
        let reference = &self.resource.spec.password_secret_ref;
        let (namespace, name) = (self.secret.namespace(), self.secret.name());
        let selector = context.secret_selector.as_ref();
        let read = secrets::read_value(&context.client, namespace, name, &reference.key, selector);
        let (fact, password) = match read.await? {
            secrets::SecretLookup::NotFound | secrets::SecretLookup::NotSelected => {
                (absent_secret(context, SecretState::NotFound), None)
            }
            secrets::SecretLookup::KeyNotFound(version) => {
                (SecretState::KeyNotFound(version), None)
            }
            secrets::SecretLookup::Value(version, bytes) => match Password::parse(&bytes) {
                Err(why) => (SecretState::Invalid(version, why), None),
                Ok(password) => self.compare_value(context, version, password),
            },
        };
        Ok(SecretRead {
            fact,
            password,
            read_at,
        })
    }

    fn compare_value<C: Cognito>(
        &self,
        context: &Context<C>,
        version: SecretVersion,
        password: Password,
    ) -> (SecretState, Option<Password>) {
        // A fingerprint covers the user, so there is nothing to compare without a valid user. The
        // decision reports the invalid user.
        let Some(target) = self.target() else {
            return (SecretState::Seen(version), None);
        };
        let permanent = self.resource.spec.permanent;
        let value = compare(
            &context.keyring(),
            target,
            permanent,
            &password,
            self.status(),
        );
        (SecretState::Value(version, value), Some(password))
    }

    /// Whether the cause of a wait is gone, without a watch event that says so. A new process does not
    /// wait out an old `InvalidCredentials`: with IRSA and Pod Identity a restart is the cure, because
    /// a new process has new credentials.
    fn has_recovered(&self) -> bool {
        let lacks_credentials = self.status().ready_reason() == Some(Reason::InvalidCredentials);
        self.remembered.recovered || (lacks_credentials && !self.remembered.has_acted)
    }

    /// Collects everything that a decision needs.
    pub(crate) fn observe<'a, C: Cognito>(
        &'a self,
        context: &Context<C>,
        secret: SecretState,
    ) -> Observation<'a> {
        let older = self.older_resource(context);
        // An older resource decides alone, so the rivals need not be searched.
        let rival_at = older.is_none().then(|| self.rival_at(context)).flatten();
        let drift = self.resource.spec.drift.unwrap_or(context.drift);
        let looks = match drift {
            Drift::Ignore => Looks::default(),
            Drift::Report | Drift::Correct => context.looks.recall(&self.key, &self.uid),
        };
        let may_correct = |target: &Target| context.looks.has_corrections_left(&target.pool);
        Observation {
            uid: &self.uid,
            generation: self.resource.metadata.generation.unwrap_or_default(),
            deleting: self.resource.metadata.deletion_timestamp.is_some(),
            spec: &self.resource.spec,
            requested_at: self.requested_at.as_deref(),
            status: self.status(),
            admission: self.admission(context),
            older,
            rival_at,
            newest_signed: SignedByNewestKey::of(self.status(), &context.keyring()),
            secret,
            tried: self.remembered.tried.as_deref(),
            recovered: self.has_recovered(),
            drift,
            looks,
            corrections_left: drift != Drift::Correct || self.target().is_none_or(may_correct),
        }
    }
}

/// The state of a Secret that was not found. With a label selector, the Secret may exist without the
/// labels.
fn absent_secret<C: Cognito>(context: &Context<C>, otherwise: SecretState) -> SecretState {
    let selector = context.secret_selector.as_ref();
    selector.map_or(otherwise, |fits| SecretState::NotSelected(fits.to_string()))
}

/// Reads the resource from the API server. None if the resource is gone.
pub(crate) async fn refresh<C: Cognito>(
    context: &Context<C>,
    key: &Key,
) -> Result<Option<Arc<CognitoUserPassword>>, Action> {
    match status::read_resource(&context.client, key.namespace(), key.name()).await {
        Ok(resource) => {
            let resource = Arc::new(resource);
            context.remember(key, resource.clone());
            Ok(Some(resource))
        }
        Err(CallError::NotFound) => Ok(None),
        Err(error) => {
            warn!(object = %key, %error, "the resource could not be read");
            Err(Action::ApiFailed)
        }
    }
}
