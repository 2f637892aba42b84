//! May a namespace manage a user: the answer of `grants test`, as findings and for programs.

use super::book::{Answer, Rules, ShownAuthority, authority_words};
use crate::core::{
    access::{
        grant::{Admission, UngrantedPolicy},
        why_not::Misfit,
    },
    checkup::finding::{Cure, Finding, Level},
    names::target::Target,
    text::legible,
};
use serde::Serialize;

/// A question about one namespace and one user, with its answer.
#[derive(Debug)]
pub struct Tested<'a> {
    /// The namespace's name.
    pub namespace: &'a str,
    /// Whether the namespace exists; `None` if the caller may not see.
    pub exists: Option<bool>,
    /// Whether the grants can't be read, so that nothing is known.
    pub is_blind: bool,
    /// The user.
    pub target: &'a Target,
    /// The answer.
    pub answer: Answer,
}

/// The answer for programs.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct TestReport {
    /// The namespace.
    pub namespace: String,
    /// The pool.
    pub user_pool_id: String,
    /// The username.
    pub username: String,
    /// `Granted`, `NotGranted`, `AmbiguousGrant`, `UnknownRegion` or `Unknown`.
    pub admission: &'static str,
    /// The Region and the role of the calls, where the admission is `Granted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<ShownAuthority>,
    /// Whether the namespace exists; left out if the caller may not see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_exists: Option<bool>,
    /// Whether the operator watches the namespace.
    pub watched: bool,
    /// Each grant that names the pool, or may name any pool.
    pub grants: Vec<GrantReport>,
    /// What the answer assumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One grant, for programs.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct GrantReport {
    /// The name of the grant.
    pub name: String,
    /// Whether the grant lets the namespace manage the user: `Yes`, `No`, or `Unknown` without the labels.
    pub fits: &'static str,
    /// The Region and the role of a grant that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<ShownAuthority>,
    /// Why the grant doesn't fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why_not: Vec<String>,
}

impl Tested<'_> {
    /// The answer for programs.
    #[must_use]
    pub fn report(&self, notes: &[String]) -> TestReport {
        let standing = self.answer.standing();
        let by = self.answer.by.iter().map(|(name, authority)| GrantReport {
            name: name.clone(),
            fits: "Yes",
            authority: Some(authority.into()),
            why_not: Vec::new(),
        });
        let by_labels = self.answer.by_labels.iter().map(|name| GrantReport {
            name: name.clone(),
            fits: "Unknown",
            authority: None,
            why_not: Vec::new(),
        });
        let misfits = self.answer.misfits.iter().map(|(name, why)| GrantReport {
            name: name.clone(),
            fits: "No",
            authority: None,
            why_not: why.iter().map(Misfit::to_string).collect(),
        });
        TestReport {
            namespace: self.namespace.to_owned(),
            user_pool_id: self.target.pool.as_str().to_owned(),
            username: self.target.username.as_str().to_owned(),
            admission: standing.admission,
            authority: standing.authority,
            namespace_exists: self.exists,
            watched: self.answer.is_watched,
            grants: by.chain(by_labels).chain(misfits).collect(),
            notes: notes.to_vec(),
        }
    }

    /// The answer as findings: the decision first, then one finding for each grant.
    #[must_use]
    pub fn findings(&self, rules: &Rules) -> Vec<Finding> {
        let mut findings = vec![self.decision(rules)];
        findings.extend(self.answer.by.iter().map(|(name, authority)| {
            let text = format!("{name} fits: {}", authority_words(authority));
            Finding::new("grant", Level::Well, text)
        }));
        findings.extend(self.answer.by_labels.iter().map(|name| {
            let text = format!(
                "{name} decides by labels of {}, which can't be read",
                self.namespace
            );
            Finding::new("grant", Level::Unknown, text)
        }));
        // Beside a yes, the other grants don't matter.
        let misfits = self
            .answer
            .misfits
            .iter()
            .filter(|_| !self.answer.is_granted());
        findings.extend(misfits.map(|(name, why)| {
            let why: Vec<_> = why.iter().map(Misfit::to_string).collect();
            let text = format!("{name} doesn't fit: {}", why.join("; "));
            Finding::new("grant", Level::Failed, text)
        }));
        findings
    }

    fn decision(&self, rules: &Rules) -> Finding {
        let namespace = legible(self.namespace, 63);
        let user = legible(self.target.username.as_str(), 128);
        let pool = self.target.pool.as_str();
        let may_not = format!("no: resources of {namespace} may not manage {user} of {pool}");
        let ask = Cure::words(
            "ask your platform team for a CognitoUserPoolGrant that names the pool, the username and the namespace",
        );
        match &self.answer.admission {
            Admission::Granted(authority) => {
                let why = if !rules.watched.is_empty() {
                    ", because the operator watches this namespace and uses no grants"
                } else if self.answer.by.is_empty() {
                    ", because no grant names the pool and --ungranted is allow"
                } else {
                    ""
                };
                let how = authority_words(authority);
                let text = format!(
                    "yes: resources of {namespace} may manage {user} of {pool}, {how}{why}"
                );
                Finding::new("answer", Level::Well, text)
            }
            Admission::NotGranted if !self.answer.is_watched => {
                let text = format!("{may_not}, because the operator doesn't watch this namespace");
                Finding::new("answer", Level::Failed, text).cured_by(
                    Cure::words("add the namespace to --watch-namespaces")
                        .more("settings.md#flags-and-variables"),
                )
            }
            Admission::NotGranted => {
                let is_unreadable = self.answer.is_any_unreadable();
                let why = match (self.answer.misfits.is_empty(), rules.ungranted) {
                    (true, _) => ", because no grant names the pool",
                    (false, UngrantedPolicy::Allow) if is_unreadable => {
                        ", because a grant that can't be read may name the pool"
                    }
                    (false, _) => ", because no grant fits",
                };
                Finding::new("answer", Level::Failed, format!("{may_not}{why}"))
                    .cured_by(ask.more("reasons.md#notgranted"))
            }
            Admission::Ambiguous => {
                let text = format!("{may_not}, because grants with different roles or Regions fit");
                let cure = Cure::words("make these grants agree, or delete all but one");
                Finding::new("answer", Level::Failed, text)
                    .cured_by(cure.more("reasons.md#ambiguousgrant"))
            }
            Admission::UnknownRegion => {
                let text = format!("{may_not}, because the pool's id names no AWS Region");
                let cure = Cure::words(
                    "correct the pool's id, or have a grant name the pool's Region in spec.region",
                );
                Finding::new("answer", Level::Failed, text)
                    .cured_by(cure.more("reasons.md#unknownregion"))
            }
            Admission::Unknown if self.is_blind => {
                let text = format!(
                    "unknown: whether resources of {namespace} may manage {user} of {pool} depends on grants, which can't be read"
                );
                Finding::new("answer", Level::Unknown, text)
                    .cured_by(Cure::words("ask your platform team").more("multi-tenancy.md"))
            }
            Admission::Unknown => {
                let text = format!(
                    "unknown: whether resources of {namespace} may manage {user} of {pool} depends on labels, which can't be read"
                );
                Finding::new("answer", Level::Unknown, text)
            }
        }
    }
}

#[cfg(test)]
mod tests;
