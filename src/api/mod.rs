//! The contract with users: what they write ([`CognitoUserPasswordSpec`]), what they read
//! ([`Status`], [`Condition`]) and the words for what happened ([`Reason`]). It imports no other
//! module of this crate.

mod condition;
mod reason;
mod resource;
mod status;

pub use condition::{Condition, ConditionStatus, ConditionType};
pub use reason::{Class, Entry, REASONS, Reason};
pub use resource::{CognitoUserPassword, CognitoUserPasswordSpec, PasswordSecretRef, crd};
pub use status::{Attempt, AttemptOutcome, Failures, RETIRED_MAX, Status, Synced};

/// The API group.
pub const GROUP: &str = "cognito-password-operator.io";

/// The annotation that asks for a set now. Any value that differs from
/// `status.lastHandledReconcileAt` is a new request.
pub const REQUESTED_AT: &str = "cognito-password-operator.io/requestedAt";

/// The name under which this operator writes to the API server, reports events and signs in.
pub const FIELD_MANAGER: &str = "cognito-password-operator";
