//! The `CognitoUserPassword` resource and its CRD. The API server refuses a mistake at `kubectl apply` if a
//! pattern or a rule can find the mistake. Patterns are anchored, and each rule says what is right.
//!
//! A new field of the spec also belongs into `CompactRecord`, where the compiler asks for the field. If a change
//! of the field means another password, the field belongs into the fingerprint.

// Each `printcolumn` has its own `type_`, `name` and so on.
#![allow(clippy::duplicated_attributes)]

use super::Status;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The user, and the key of the Secret that holds the user's password.
#[derive(CustomResource, KubeSchema, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "cognito-password-operator.io",
    version = "v1alpha1",
    kind = "CognitoUserPassword",
    plural = "cognitouserpasswords",
    singular = "cognitouserpassword",
    shortname = "cup",
    category = "cognito",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "CognitoUserPassword keeps the password of an Amazon Cognito user equal to what a Secret says.",
    selectable = ".spec.userPoolId",
    selectable = ".spec.username",
    printcolumn(
        name = "Ready",
        type_ = "string",
        description = "Whether the password of the user is what the Secret says",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        description = "Why it is, or is not",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Suspended",
        type_ = "string",
        description = "True while the operator leaves the user's password alone",
        json_path = ".status.conditions[?(@.type==\"Suspended\")].status"
    ),
    printcolumn(
        name = "Verified",
        type_ = "string",
        description = "Whether a look found the user as the operator left the user",
        json_path = ".status.conditions[?(@.type==\"Verified\")].status",
        priority = 1
    ),
    printcolumn(
        name = "User",
        type_ = "string",
        description = "The Cognito user",
        json_path = ".spec.username"
    ),
    printcolumn(
        name = "Pool",
        type_ = "string",
        description = "The Cognito user pool",
        json_path = ".spec.userPoolId"
    ),
    printcolumn(
        name = "Last Set",
        type_ = "date",
        description = "When the password was last set",
        json_path = ".status.synced.at"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        description = "What happened and what would fix it",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(
    validation = Rule::new("!self.revokeSessions || self.permanent").message("revokeSessions needs permanent: true, because a user with a temporary password has no session that began with it")
)]
pub struct CognitoUserPasswordSpec {
    /// The id of the user pool, e.g. eu-west-1_AbCdEf123. The part before the last underscore names the Region.
    /// Immutable.
    #[schemars(length(min = 1, max = 55))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-zA-Z0-9_-]+_[0-9a-zA-Z]+$')").message("userPoolId must be a user pool id such as eu-west-1_AbCdEf123: the Region, an underscore, then letters and digits"),
        validation = Rule::new("self == oldSelf").message("userPoolId is immutable: delete this resource and make another for the other pool")
    )]
    pub user_pool_id: String,

    /// The username as Cognito stores it, or the user's sub; not an alias such as an e-mail address
    /// that is only an attribute. Immutable.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^[\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+$')").message("username must consist of letters, marks, symbols, numbers and punctuation, without white space or line breaks"),
        validation = Rule::new("self == oldSelf").message("username is immutable: delete this resource and make another for the other user")
    )]
    pub username: String,

    /// The key of a Secret, in the namespace of this resource, that holds the password.
    pub password_secret_ref: PasswordSecretRef,

    /// Whether the password is permanent. The user must change a temporary password (false) at the next sign-in.
    #[serde(default = "yes")]
    pub permanent: bool,

    /// Leave the user's password alone. The status keeps its record, and the condition Suspended is True.
    #[serde(default)]
    pub suspend: bool,

    /// Whether the operator looks at the user every few minutes, and what it does if the user is no longer as
    /// the operator left the user. Ignore: the operator doesn't look. Report: the operator says so in the
    /// conditions. Correct: the operator also sets the password again, if an administrator reset the password
    /// or made the user anew. Absent: what the operator's --drift says (Ignore, unless it is set).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,

    /// Whether the operator may set the password of a user that signs in with a federated identity provider.
    /// Only looked at where drift isn't Ignore.
    #[serde(default)]
    pub federated_user: FederatedUser,

    /// End the user's sessions after each set: refresh tokens, and access tokens for Cognito's own API, are no
    /// longer accepted. Ready is True only after that. Tokens that other services verify by themselves stay
    /// valid until the tokens expire.
    #[serde(default)]
    pub revoke_sessions: bool,
}

/// Whether the operator looks at the user, and what follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub enum Drift {
    /// The operator doesn't look at the user.
    #[default]
    Ignore,
    /// The operator looks, and says in the conditions what it finds.
    Report,
    /// The operator looks, says what it finds, and sets the password again where that is safe.
    Correct,
}

/// Whether the operator may set the password of a federated user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub enum FederatedUser {
    /// The operator sets no password of a federated user.
    #[default]
    Refuse,
    /// The operator sets the password, which makes the user a native one.
    Allow,
}

/// One key of a Secret in the same namespace.
#[derive(KubeSchema, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordSecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')").message("passwordSecretRef.name must be the name of a Secret in the same namespace: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit")
    )]
    pub name: String,

    /// The key of the Secret that holds the password.
    #[serde(default = "password_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-zA-Z0-9._-]+$')").message("passwordSecretRef.key must be a key of the Secret: letters, digits, '-', '_' and '.'")
    )]
    pub key: String,
}

fn yes() -> bool {
    true
}

/// The key of a Secret under which the operator looks for the password, if the resource names none.
pub const PASSWORD_KEY: &str = "password";

fn password_key() -> String {
    PASSWORD_KEY.to_owned()
}
