//! The table of reasons: the class, Cognito's codes, the meaning and the cure of each reason. A new code of
//! Cognito is added only here; but for a client error, `effect` in `core::protocol::outcome` decides by the
//! reason whether the call counts as refused or as unknown. A test compares `docs/reasons.md` with this
//! table.

/// Why a resource is Ready, or why not: the `reason` of the Ready condition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// Cognito accepted the password.
    PasswordSet,
    /// The reply was lost, and Cognito's password history shows that the password had been applied.
    AppliedAfterLostReply,
    /// A set is in progress.
    Progressing,
    /// `InternalErrorException`.
    InternalError,
    /// `InvalidParameterException`, or a spec that passed the CRD's schema but can't be sent.
    InvalidParameter,
    /// `InvalidPasswordException`.
    InvalidPassword,
    /// `PasswordHistoryPolicyViolationException`.
    PasswordHistoryPolicyViolation,
    /// `NotAuthorizedException`.
    NotAuthorized,
    /// `OperationNotEnabledException`.
    OperationNotEnabled,
    /// `ResourceNotFoundException`.
    ResourceNotFound,
    /// `UserNotFoundException`.
    UserNotFound,
    /// `TooManyRequestsException` and the SDK's other throttling codes.
    TooManyRequests,
    /// `AccessDeniedException`.
    AccessDenied,
    /// The operator has no AWS credentials, or AWS accepts none of them.
    InvalidCredentials,
    /// The request was not sent.
    Unreachable,
    /// Any other error code.
    UnhandledError,
    /// The request was sent, and no usable reply came back.
    OutcomeUnknown,
    /// Cognito's history refused the value that the record names as set. The record alone proves nothing.
    NotConfirmed,
    /// The Secret does not exist.
    SecretNotFound,
    /// The Secret does not have the key.
    SecretKeyNotFound,
    /// Cognito would not accept the value in the Secret.
    InvalidSecretValue,
    /// No grant lets this namespace manage this user.
    NotGranted,
    /// Several grants admit the resource, and these grants name different roles or Regions.
    AmbiguousGrant,
    /// The pool's id names no AWS Region, and no grant names a Region.
    UnknownRegion,
    /// An older resource manages this user of this pool.
    DuplicateUser,
    /// The password is set, and the user's sessions are still to be ended.
    RevokingSessions,
    /// A look found the user disabled.
    UserDisabled,
    /// A look did not find the user, and an earlier look did.
    UserGone,
    /// A look found a user that was created after the set.
    UserRecreated,
    /// A look found that the user is not confirmed.
    UserUnconfirmed,
    /// A look found that the password was reset after the set.
    PasswordReset,
    /// A look found a user of a federated identity provider.
    FederatedUser,
    /// The user's password was reset again after each of several corrections.
    Contested,
    /// A look found that the user didn't sign in before the temporary password expired.
    TemporaryPasswordExpired,
}

/// What a reason means for the conditions and for the next try.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// Ready=True. A change of the spec, the Secret or the request starts a reconcile.
    Settled,
    /// Ready=False (Unknown for [`Reason::is_password_unknown`]), Stalled=True. A person must act. A change of the
    /// spec, the Secret or the request starts a reconcile.
    Stalled,
    /// Ready=False, Reconciling=True; after 5 minutes Stalled=True instead. A watch event starts a reconcile.
    /// A slow recheck covers causes that no watch shows.
    Waiting,
    /// Ready=False, Reconciling=True. Requeued after a backoff.
    Transient,
    /// Ready=Unknown, Reconciling=True. Requeued after a backoff, to send the same value again.
    Unknown,
}

/// A row of the table of reasons.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The reason.
    pub reason: Reason,
    /// The reason's word in the condition.
    pub word: &'static str,
    /// The class of the reason.
    pub class: Class,
    /// AWS's error codes that lead to this reason.
    pub codes: &'static [&'static str],
    /// What happened, as the beginning of a sentence.
    pub meaning: &'static str,
    /// What would fix the problem, as the end of a sentence; empty if nothing needs to be fixed.
    pub cure: &'static str,
}

const fn entry(
    reason: Reason,
    word: &'static str,
    class: Class,
    codes: &'static [&'static str],
    meaning: &'static str,
    cure: &'static str,
) -> Entry {
    Entry {
        reason,
        word,
        class,
        codes,
        meaning,
        cure,
    }
}

/// AWS's error codes that lead to [`Reason::UnhandledError`], as every code does that isn't in [`REASONS`],
/// and that metrics name all the same: a refused web identity, trouble of the service, and requests that the
/// service can't read.
const UNHANDLED: [&str; 6] = [
    "InvalidIdentityToken",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "SerializationException",
    "ValidationException",
];

/// AWS's error codes that this program knows, whether or not they lead to a reason of their own.
pub fn aws_codes() -> impl Iterator<Item = &'static str> {
    let with_reason = REASONS.iter().flat_map(|entry| entry.codes);
    with_reason.chain(&UNHANDLED).copied()
}

/// Every reason, in the order of [`Reason`]'s variants.
pub const REASONS: &[Entry] = &[
    entry(
        Reason::PasswordSet,
        "PasswordSet",
        Class::Settled,
        &[],
        "the user's password is what the Secret says",
        "",
    ),
    entry(
        Reason::AppliedAfterLostReply,
        "AppliedAfterLostReply",
        Class::Settled,
        &[],
        "the reply to the set was lost, and Cognito's password history now shows that the value had been applied, so the operator infers that the user's password is what the Secret says",
        "",
    ),
    entry(
        Reason::Progressing,
        "Progressing",
        Class::Unknown,
        &[],
        "the password is being set",
        "",
    ),
    entry(
        Reason::InternalError,
        "InternalError",
        Class::Unknown,
        &["InternalErrorException"],
        "Cognito failed internally, and the operator can't tell whether Cognito applied the password",
        "nothing to do: the operator sends the same value again by itself",
    ),
    entry(
        Reason::InvalidParameter,
        "InvalidParameter",
        Class::Stalled,
        &["InvalidParameterException"],
        "Cognito refused a parameter",
        "correct the spec or the value in the Secret",
    ),
    entry(
        Reason::InvalidPassword,
        "InvalidPassword",
        Class::Stalled,
        &["InvalidPasswordException"],
        "the pool's password policy refused the password",
        "put a value that fits the policy into the Secret, or change the policy and run kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)",
    ),
    entry(
        Reason::PasswordHistoryPolicyViolation,
        "PasswordHistoryPolicyViolation",
        Class::Stalled,
        &["PasswordHistoryPolicyViolationException"],
        "the pool's password history refused the password: the user has this password already, or had this password earlier",
        "put a new value into the Secret",
    ),
    entry(
        Reason::NotAuthorized,
        "NotAuthorized",
        Class::Waiting,
        &["NotAuthorizedException"],
        "Cognito doesn't allow the set in the present state of the user or the pool",
        "enable the user or correct the pool; the operator tries again by itself",
    ),
    entry(
        Reason::OperationNotEnabled,
        "OperationNotEnabled",
        Class::Waiting,
        &["OperationNotEnabledException"],
        "the pool doesn't offer this operation here",
        "use the pool's primary Region, or correct the pool's configuration; the operator tries again by itself",
    ),
    entry(
        Reason::ResourceNotFound,
        "ResourceNotFound",
        Class::Waiting,
        &["ResourceNotFoundException"],
        "there is no such user pool in this account and Region",
        "correct spec.userPoolId (in a new resource), give the operator an identity of the pool's account, or create the pool; the operator tries again by itself",
    ),
    entry(
        Reason::UserNotFound,
        "UserNotFound",
        Class::Waiting,
        &["UserNotFoundException"],
        "the pool has no user of this name",
        "create the user, or use the canonical username or the sub instead of an alias (in a new resource); the operator tries again by itself, and at once after kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)",
    ),
    entry(
        Reason::TooManyRequests,
        "TooManyRequests",
        Class::Transient,
        // The throttling codes of the Rust SDK's retry classifier (`aws-runtime`).
        &[
            "TooManyRequestsException",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottledException",
            "RequestThrottled",
            "ProvisionedThroughputExceededException",
            "TransactionInProgressException",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "LimitExceededException",
            "SlowDown",
            "PriorRequestNotComplete",
            "EC2ThrottledException",
        ],
        "Cognito throttles the account",
        "nothing to do: the operator tries again by itself",
    ),
    entry(
        Reason::AccessDenied,
        "AccessDenied",
        Class::Waiting,
        &["AccessDeniedException", "AccessDenied"],
        "IAM doesn't allow the operator to set passwords in this user pool",
        "allow cognito-idp:AdminSetUserPassword on the user pool in the IAM policy of the operator's role; the operator tries again by itself",
    ),
    entry(
        Reason::InvalidCredentials,
        "InvalidCredentials",
        Class::Waiting,
        &[
            "ExpiredTokenException",
            "ExpiredToken",
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "IncompleteSignatureException",
            "IncompleteSignature",
            "MissingAuthenticationTokenException",
            "MissingAuthenticationToken",
            "InvalidAccessKeyId",
            "AuthFailure",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "OptInRequired",
        ],
        "the operator has no AWS credentials that work",
        "give the operator's ServiceAccount a role by EKS Pod Identity or IRSA (or set AWS_* in the operator's environment), and check the clock of the operator's node; the operator tries again by itself",
    ),
    entry(
        Reason::Unreachable,
        "Unreachable",
        Class::Transient,
        &[],
        "the operator can't reach Cognito, and sent nothing",
        "check DNS, proxy, egress rules and CA certificates; the operator tries again by itself",
    ),
    entry(
        Reason::UnhandledError,
        "UnhandledError",
        Class::Transient,
        &[],
        "Cognito answered with an error that this version doesn't know",
        "read AWS's own words; the operator tries again by itself",
    ),
    entry(
        Reason::OutcomeUnknown,
        "OutcomeUnknown",
        Class::Unknown,
        &[],
        "the operator sent the request and got no usable reply, so the operator can't tell whether Cognito applied the password",
        "nothing to do: the operator sends the same value again by itself",
    ),
    entry(
        Reason::NotConfirmed,
        "NotConfirmed",
        Class::Stalled,
        &[],
        "Cognito's password history has this value, and Cognito says so of the current password and of earlier ones alike, so the operator can't tell whether the value is the user's password now",
        "put a new value into the Secret",
    ),
    entry(
        Reason::SecretNotFound,
        "SecretNotFound",
        Class::Waiting,
        &[],
        "the Secret does not exist",
        "create the Secret, or correct spec.passwordSecretRef.name",
    ),
    entry(
        Reason::SecretKeyNotFound,
        "SecretKeyNotFound",
        Class::Waiting,
        &[],
        "the Secret does not have the key",
        "add the key, or correct spec.passwordSecretRef.key",
    ),
    entry(
        Reason::InvalidSecretValue,
        "InvalidSecretValue",
        Class::Stalled,
        &[],
        "the value in the Secret can't be a password",
        "correct the value in the Secret",
    ),
    entry(
        Reason::NotGranted,
        "NotGranted",
        Class::Waiting,
        &[],
        "no CognitoUserPoolGrant lets this namespace manage this user of this pool, so the operator neither read the Secret nor called Cognito",
        "ask your platform team for a CognitoUserPoolGrant that names the pool, the username and this namespace; the operator acts as soon as the grant exists",
    ),
    entry(
        Reason::AmbiguousGrant,
        "AmbiguousGrant",
        Class::Stalled,
        &[],
        "several CognitoUserPoolGrants let this namespace manage this user, but with different roles or Regions, so the operator didn't call Cognito",
        "ask your platform team to make these grants agree, or to delete all but one",
    ),
    entry(
        Reason::UnknownRegion,
        "UnknownRegion",
        Class::Stalled,
        &[],
        "the user pool's id names no AWS Region, so the operator neither read the Secret nor called Cognito",
        "correct spec.userPoolId (in a new resource), or have a CognitoUserPoolGrant name the pool's Region in spec.region; an emulator's pools need AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER in the operator's environment",
    ),
    entry(
        Reason::DuplicateUser,
        "DuplicateUser",
        Class::Stalled,
        &[],
        "an older resource manages this user of this pool already, so the operator didn't call Cognito",
        "delete one of the two; or, if the pool is case-sensitive and the usernames differ in case, name one of the users by the sub, in a new resource",
    ),
    entry(
        Reason::RevokingSessions,
        "RevokingSessions",
        Class::Unknown,
        &[],
        "the password is set, and the operator ends the user's sessions",
        "nothing to do: the operator ends the sessions by itself",
    ),
    entry(
        Reason::UserDisabled,
        "UserDisabled",
        Class::Waiting,
        &[],
        "the user is disabled in the pool, so the user can't sign in",
        "enable the user, or suspend this resource; the operator looks again by itself",
    ),
    entry(
        Reason::UserGone,
        "UserGone",
        Class::Waiting,
        &[],
        "the pool has no user of this name any more",
        "create the user again, or delete this resource; the operator looks again by itself",
    ),
    entry(
        Reason::UserRecreated,
        "UserRecreated",
        Class::Stalled,
        &[],
        "the user was created after the operator set the password, so the present user doesn't have this password",
        "make sure that the present user is the user that this resource means, and then run kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)",
    ),
    entry(
        Reason::UserUnconfirmed,
        "UserUnconfirmed",
        Class::Stalled,
        &[],
        "the user signed up and is not confirmed, so the user may belong to a stranger",
        "make sure that the user is the one that this resource means (otherwise delete the user and create the right one), and then run kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)",
    ),
    entry(
        Reason::PasswordReset,
        "PasswordReset",
        Class::Stalled,
        &[],
        "somebody else reset the user's password after the operator set the password",
        "put a new value into the Secret, or run kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s); with drift: Correct the operator sets the password by itself",
    ),
    entry(
        Reason::FederatedUser,
        "FederatedUser",
        Class::Stalled,
        &[],
        "the user signs in with a federated identity provider, and a password would make the user a native one",
        "name a native user (in a new resource), or set spec.federatedUser to Allow",
    ),
    entry(
        Reason::Contested,
        "Contested",
        Class::Stalled,
        &[],
        "somebody else keeps changing this user, so the operator corrects the password no more",
        "find out who changes the user (CloudTrail: AdminSetUserPassword, AdminResetUserPassword), and then put a new value into the Secret, or run kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)",
    ),
    entry(
        Reason::TemporaryPasswordExpired,
        "TemporaryPasswordExpired",
        Class::Stalled,
        &[],
        "the temporary password has expired, and the user never signed in",
        "put a new value into the Secret, or run kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)",
    ),
];

impl Reason {
    /// The reason's row of the table.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        &REASONS[self as usize]
    }

    /// The word in the condition, e.g. `InvalidPassword`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.entry().word
    }

    /// Whether the reason says that the resource is not admitted, or that the pool has no known Region. The
    /// operator made no call then. An earlier result is not evidence once a grant admits the resource.
    #[must_use]
    pub fn is_about_grants(self) -> bool {
        matches!(
            self,
            Self::NotGranted | Self::AmbiguousGrant | Self::UnknownRegion
        )
    }

    /// Whether a stalled resource leaves open if the user's password is the value in the Secret. Ready is
    /// then Unknown instead of False.
    #[must_use]
    pub fn is_password_unknown(self) -> bool {
        self == Self::NotConfirmed
    }

    /// Whether the reason says what a look at the user found. Only another look, another value, or a request
    /// ends such a reason: the record alone says nothing about the user.
    #[must_use]
    pub fn is_about_user(self) -> bool {
        matches!(
            self,
            Self::UserDisabled
                | Self::UserGone
                | Self::UserRecreated
                | Self::UserUnconfirmed
                | Self::PasswordReset
                | Self::FederatedUser
                | Self::Contested
                | Self::TemporaryPasswordExpired
        )
    }

    /// Whether the reason says that the user may belong to a stranger, or to an identity provider. Only a request,
    /// or a look that finds another user, ends such a reason.
    #[must_use]
    pub fn may_be_a_stranger(self) -> bool {
        matches!(
            self,
            Self::UserRecreated | Self::UserUnconfirmed | Self::FederatedUser
        )
    }

    /// Whether a watch event on a Secret or a grant, or a look at the user, always ends the wait. Such a resource
    /// is not rechecked, and its status needs no retry time.
    #[must_use]
    pub fn ends_with_an_event(self) -> bool {
        matches!(
            self,
            Self::SecretNotFound
                | Self::SecretKeyNotFound
                | Self::NotGranted
                | Self::UserDisabled
                | Self::UserGone
        )
    }

    /// Whether the operator read the Secret and found no value that can be sent.
    #[must_use]
    pub fn is_about_an_unusable_secret(self) -> bool {
        matches!(self, Self::SecretKeyNotFound | Self::InvalidSecretValue)
    }

    /// The class of the reason.
    #[must_use]
    pub fn class(self) -> Class {
        self.entry().class
    }

    /// The reason with this word in a condition; None if no reason has this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        REASONS
            .iter()
            .find(|entry| entry.word == word)
            .map(|entry| entry.reason)
    }

    /// The reason of one of AWS's error codes; None if the table does not have the code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        REASONS
            .iter()
            .find(|entry| entry.codes.contains(&code))
            .map(|entry| entry.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_reason_has_its_own_row_word_and_codes() {
        let mut words = HashSet::new();
        let mut codes = HashSet::new();
        for (row, entry) in REASONS.iter().enumerate() {
            assert_eq!(entry.reason as usize, row, "{} is out of order", entry.word);
            assert_eq!(format!("{:?}", entry.reason), entry.word);
            assert_eq!(Reason::parse(entry.word), Some(entry.reason));
            assert!(words.insert(entry.word), "{} stands twice", entry.word);
            for code in entry.codes {
                assert!(codes.insert(*code), "{code} stands twice");
                assert_eq!(Reason::of_code(code), Some(entry.reason));
            }
        }
    }

    #[test]
    fn every_reason_that_is_not_settled_has_a_cure() {
        for entry in REASONS {
            let needs_none = entry.class == Class::Settled || entry.reason == Reason::Progressing;
            assert_eq!(entry.cure.is_empty(), needs_none, "{}", entry.word);
        }
    }
}
