//! What a cure may know beside the resource itself.

use crate::core::doctor::facts::FoundSecret;

/// What a cure may know beside the resource itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The Secret, if the caller may read it.
    pub secret: Option<&'a FoundSecret>,
    /// The labels that the operator looks for, in kubectl's syntax, if known.
    pub selector: Option<&'a str>,
    /// The grants that fit.
    pub fitting: &'a [String],
    /// `namespace/name` of the older resource of the same user.
    pub older: Option<&'a str>,
    /// The operator's namespace and Deployment, if known.
    pub operator: Option<(&'a str, &'a str)>,
    /// The role that the operator assumes for this resource.
    pub role: Option<&'a str>,
    /// The name of the role that AWS's words in the status name.
    pub refused_role: Option<&'a str>,
    /// The Region of the calls, if known.
    pub region: Option<&'a str>,
    /// Whether the status says that a person must act, whatever the class of the reason.
    pub is_stalled: bool,
    /// When the next try is due, as the end of a sentence.
    pub next_try: Option<&'a str>,
}
