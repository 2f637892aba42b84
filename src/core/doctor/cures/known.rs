//! What a cure may know beside the resource itself.

use super::refusal::Refusal;
use crate::core::doctor::facts::{FoundGrant, FoundSecret};

/// What a cure may know beside the resource itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The Secret, if the caller may read it.
    pub secret: Option<&'a FoundSecret>,
    /// How many other resources read the same key of the same Secret, as far as the caller sees.
    pub shared: usize,
    /// The names of the first of them.
    pub shared_with: &'a [String],
    /// The labels that the operator looks for, in kubectl's syntax, if known.
    pub selector: Option<&'a str>,
    /// All grants that the caller sees.
    pub grants: &'a [FoundGrant],
    /// The grants that fit.
    pub fitting: &'a [String],
    /// `namespace/name` of the older resource of the same user.
    pub older: Option<&'a str>,
    /// The operator's namespace and Deployment, if known.
    pub operator: Option<(&'a str, &'a str)>,
    /// The `ServiceAccount` of the operator, if known.
    pub service_account: Option<&'a str>,
    /// The ARN of the role that the operator assumes for this resource.
    pub role: Option<&'a str>,
    /// The external id with which the operator assumes the role.
    pub external_id: Option<&'a str>,
    /// What AWS's words in the status say of a refusal by IAM.
    pub refusal: Option<Refusal<'a>>,
    /// The operator's words about the role, if the operator can't assume the role.
    pub role_words: Option<&'a str>,
    /// Another pool, whose grant lets this namespace manage this username.
    pub other_pool: Option<OtherPool<'a>>,
    /// Whether grants decide, and not the operator's list of namespaces.
    pub needs_grants: bool,
    /// A grant that names the pool and is invalid, because the pool's id names no AWS Region.
    pub without_region: Option<&'a str>,
    /// Whether the cause is gone, although the status still names the reason.
    pub is_mended: bool,
    /// The Region of the calls, if known.
    pub region: Option<&'a str>,
    /// Whether the status says that a person must act, whatever the class of the reason.
    pub is_stalled: bool,
    /// When the next try is due, as the end of a sentence.
    pub next_try: Option<&'a str>,
}

/// A pool that the resource could name.
#[derive(Clone, Copy, Debug)]
pub struct OtherPool<'a> {
    /// The id of the pool.
    pub id: &'a str,
    /// Whether no grant names the resource's own pool, and its id differs from this one by a slip of the fingers.
    pub is_likely: bool,
}
