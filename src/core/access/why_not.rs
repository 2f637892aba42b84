//! Why a grant doesn't let a namespace manage a user, in words for people. [`Grant`] decides; this module says
//! which of the grant's conditions the decision follows from.

use super::{
    authority::Authority,
    glob::Glob,
    grant::{Grant, InvalidGrant, Namespace},
};
use crate::{
    api::{CognitoUserPoolGrantSpec, LabelOperator, LabelRequirement, Labels, NamespaceSelector},
    core::{
        names::{region::Regions, target::Target},
        text::legible,
        words::first,
    },
};
use std::{collections::BTreeMap, fmt};

/// How many names or patterns a text lists.
const LISTED: usize = 5;

/// How many characters of a foreign name a text shows.
const SHOWN: usize = 63;

/// A grant, as a list of the API server shows the grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListedGrant {
    /// A grant that can be read.
    Spec(CognitoUserPoolGrantSpec),
    /// A grant that is being deleted. Such a grant admits no resource, and names no pool.
    Deleting(CognitoUserPoolGrantSpec),
    /// A grant that this version can't read, and why. Such a grant admits no resource, and may name any pool.
    Unreadable(String),
}

/// A grant, beside one user and one namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fit {
    /// The grant names another pool.
    OtherPool,
    /// The grant lets the namespace manage the user, by this authority.
    Admits(Authority),
    /// The grant doesn't, for each of these reasons. Not empty.
    Misfits(Vec<Misfit>),
    /// The usernames fit, and the selector decides by labels of the namespace that the caller may not read.
    ByLabels(Authority),
}

/// Why a grant doesn't let a namespace manage a user. [`fmt::Display`] is the end of a sentence about the grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// The grant is being deleted.
    Deleting,
    /// This version can't read the grant, for this reason.
    Unreadable(String),
    /// The grant is invalid.
    Invalid(InvalidGrant),
    /// No pattern of the grant matches the username.
    Usernames {
        /// The patterns.
        patterns: Vec<String>,
        /// The username.
        username: String,
        /// Whether a pattern matches if upper and lower case are ignored.
        differs_in_case: bool,
    },
    /// The grant's list of names doesn't have the namespace.
    Names {
        /// The list.
        names: Vec<String>,
        /// The namespace.
        namespace: String,
    },
    /// The namespace doesn't meet one requirement of the grant's selector.
    Label {
        /// The requirement.
        requirement: LabelRequirement,
        /// The value of the label. `None` if the namespace doesn't have the label.
        value: Option<String>,
    },
}

impl ListedGrant {
    /// The parsed grant, as the operator that calls Cognito in `regions` reads the grant.
    ///
    /// # Errors
    /// [`Misfit::Deleting`], [`Misfit::Unreadable`] or [`Misfit::Invalid`]: the grant admits no resource.
    pub fn parse(&self, regions: Regions) -> Result<Grant, Misfit> {
        match self {
            Self::Spec(spec) => Grant::parse(spec)
                .and_then(|grant| grant.within(regions))
                .map_err(Misfit::Invalid),
            Self::Deleting(_) => Err(Misfit::Deleting),
            Self::Unreadable(why) => Err(Misfit::Unreadable(why.clone())),
        }
    }

    /// Whether and why the grant lets a namespace manage a user. `labels` are the namespace's labels; `None` if
    /// the caller may not read them.
    #[must_use]
    pub fn fit(
        &self,
        target: &Target,
        namespace: &str,
        labels: Option<&BTreeMap<String, String>>,
        regions: Regions,
    ) -> Fit {
        let spec = match self {
            Self::Spec(spec) | Self::Deleting(spec) => spec,
            Self::Unreadable(why) => return Fit::Misfits(vec![Misfit::Unreadable(why.clone())]),
        };
        // An invalid pool id may be meant for any pool.
        let pool = Grant::parse(spec).map(|grant| grant.pool);
        let is_other = match &pool {
            Ok(pool) => *pool != target.pool,
            Err(InvalidGrant::PoolId) => false,
            Err(_) => spec.user_pool_id != target.pool.as_str(),
        };
        if is_other {
            return Fit::OtherPool;
        }
        let grant = match self.parse(regions) {
            Ok(grant) => grant,
            Err(misfit) => return Fit::Misfits(vec![misfit]),
        };
        let none = BTreeMap::new();
        let admits = grant.admits(
            target,
            Namespace {
                name: namespace,
                labels: labels.unwrap_or(&none),
            },
        );
        let is_named = grant.names.contains(namespace);
        let username = username_misfit(spec, target);
        match (labels, &spec.namespaces.selector) {
            (None, Some(_)) if !is_named && username.is_none() => Fit::ByLabels(grant.authority),
            _ if admits => Fit::Admits(grant.authority),
            (labels, _) => {
                let of_namespace = (!is_named).then(|| namespace_misfits(spec, namespace, labels));
                let misfits = username
                    .into_iter()
                    .chain(of_namespace.into_iter().flatten());
                Fit::Misfits(misfits.collect())
            }
        }
    }
}

/// Why no pattern matches the username; `None` if one does.
fn username_misfit(spec: &CognitoUserPoolGrantSpec, target: &Target) -> Option<Misfit> {
    let username = target.username.as_str();
    let fits = |glob: &str, name: &str| Glob::new(glob).fits(name);
    if spec.usernames.iter().any(|glob| fits(glob, username)) {
        return None;
    }
    let folded = username.to_lowercase();
    let is_case = |glob: &String| fits(&glob.to_lowercase(), &folded);
    Some(Misfit::Usernames {
        patterns: spec.usernames.clone(),
        username: username.to_owned(),
        differs_in_case: spec.usernames.iter().any(is_case),
    })
}

/// Why neither the names nor the selector choose the namespace. Without labels, the selector's part is left out.
fn namespace_misfits(
    spec: &CognitoUserPoolGrantSpec,
    namespace: &str,
    labels: Option<&BTreeMap<String, String>>,
) -> Vec<Misfit> {
    let names = spec.namespaces.names.iter();
    let by_name = names.map(|names| Misfit::Names {
        names: names.clone(),
        namespace: namespace.to_owned(),
    });
    let selector = spec.namespaces.selector.as_ref().zip(labels);
    let by_label = selector.into_iter().flat_map(|(selector, labels)| {
        let unmet = requirements(selector).filter(|it| !is_met(it, labels));
        unmet.map(|requirement| Misfit::Label {
            value: labels.get(&requirement.key).cloned(),
            requirement,
        })
    });
    let mut misfits: Vec<_> = by_name.chain(by_label).collect();
    if misfits.is_empty() && spec.namespaces.selector.is_none() {
        // The schema refuses a grant without names and selector, but a schema can be edited.
        misfits.push(Misfit::Names {
            names: Vec::new(),
            namespace: namespace.to_owned(),
        });
    }
    misfits
}

/// Each requirement of a selector. A label with a value is the requirement that the value is in a list of one.
fn requirements(selector: &NamespaceSelector) -> impl Iterator<Item = LabelRequirement> {
    let labels = selector.match_labels.iter();
    let labels = labels.map(|(key, value)| LabelRequirement {
        key: key.clone(),
        operator: LabelOperator::In,
        values: vec![value.clone()],
    });
    labels.chain(selector.match_expressions.iter().cloned())
}

fn is_met(requirement: &LabelRequirement, labels: &BTreeMap<String, String>) -> bool {
    let alone = NamespaceSelector {
        match_labels: BTreeMap::new(),
        match_expressions: vec![requirement.clone()],
    };
    Labels::try_from(&alone).is_ok_and(|alone| alone.fit(labels))
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleting => write!(f, "the grant is being deleted"),
            Self::Unreadable(why) => {
                write!(
                    f,
                    "this version can't read the grant: {}",
                    legible(why, 200)
                )
            }
            Self::Invalid(why) => write!(
                f,
                "the grant is invalid: {}",
                legible(&why.to_string(), 400)
            ),
            Self::Usernames {
                patterns,
                username,
                differs_in_case,
            } => {
                let username = legible(username, 128);
                write!(f, "usernames {} don't match {username}", listed(patterns))?;
                if *differs_in_case {
                    write!(f, ", because upper and lower case count")?;
                }
                Ok(())
            }
            Self::Names { names, namespace } if names.is_empty() => {
                write!(
                    f,
                    "the grant names no namespace, so not {}",
                    legible(namespace, SHOWN)
                )
            }
            Self::Names { names, namespace } => {
                let namespace = legible(namespace, SHOWN);
                write!(
                    f,
                    "namespaces.names has {}, and not {namespace}",
                    listed(names)
                )
            }
            Self::Label { requirement, value } => {
                let wanted = wanted(requirement);
                let key = legible(&requirement.key, 317);
                write!(
                    f,
                    "namespaces.selector wants {wanted}, and the namespace has "
                )?;
                match value {
                    None => write!(f, "no label {key}"),
                    Some(value) => write!(f, "{key}={}", legible(value, SHOWN)),
                }
            }
        }
    }
}

/// The requirement in kubectl's syntax.
fn wanted(requirement: &LabelRequirement) -> String {
    let key = legible(&requirement.key, 317);
    match (requirement.operator, &*requirement.values) {
        (LabelOperator::In, [value]) => format!("{key}={}", legible(value, SHOWN)),
        (LabelOperator::NotIn, [value]) => format!("{key}!={}", legible(value, SHOWN)),
        (LabelOperator::In, values) => format!("{key} in ({})", listed(values)),
        (LabelOperator::NotIn, values) => format!("{key} notin ({})", listed(values)),
        (LabelOperator::Exists, _) => format!("a label {key}"),
        (LabelOperator::DoesNotExist, _) => format!("no label {key}"),
    }
}

/// The first few, and how many more there are.
#[must_use]
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown = names.iter().map(|it| legible(it.as_ref(), SHOWN));
    first(&shown.collect::<Vec<_>>(), LISTED, ", ")
}

#[cfg(test)]
pub(crate) mod random;
#[cfg(test)]
mod tests;
