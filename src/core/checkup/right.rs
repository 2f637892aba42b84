//! The rights at the API server without which the operator can't work.

use std::fmt;

/// The API group of the resources and grants.
const OURS: &str = "cognito-password-operator.io";

/// A right: one verb on one resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Right {
    /// The verb, as in a rule of a Role.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The plural name of the resource.
    pub resource: &'static str,
    /// The subresource; empty without one.
    pub subresource: &'static str,
    /// The namespace. None: all namespaces, or a resource without namespaces.
    pub namespace: Option<String>,
    /// The name of one object. None: all objects.
    pub name: Option<String>,
}

impl fmt::Display for Right {
    /// As `kubectl auth can-i` takes a right: `get secrets/name -n namespace`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, "/{name}")?;
        }
        if !self.subresource.is_empty() {
            write!(f, " --subresource={}", self.subresource)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " -n {namespace}"),
            None => write!(f, " -A"),
        }
    }
}

/// What the operator of an installation is set up to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Installation {
    /// The operator's own namespace.
    pub namespace: String,
    /// The name of the Secret with the fingerprint keys, in the operator's own namespace.
    pub key_secret: &'static str,
    /// The watched namespaces; empty for all.
    pub watched: Vec<String>,
    /// The Lease of the election. None without an election.
    pub lease: Option<String>,
}

/// Every right that the operator of this installation needs.
#[must_use]
pub fn needed(installation: &Installation) -> Vec<Right> {
    let mut rights = Vec::new();
    let mut need =
        |namespace: Option<&str>, (group, resource, subresource), verbs: &[&'static str]| {
            rights.extend(verbs.iter().map(|verb| Right {
                verb,
                group,
                resource,
                subresource,
                namespace: namespace.map(str::to_owned),
                name: None,
            }));
        };
    let places: Vec<_> = if installation.watched.is_empty() {
        vec![None]
    } else {
        installation.watched.iter().map(|it| Some(&**it)).collect()
    };
    for place in places {
        need(
            place,
            (OURS, "cognitouserpasswords", ""),
            &["get", "list", "watch"],
        );
        need(place, (OURS, "cognitouserpasswords", "status"), &["patch"]);
        need(place, ("", "secrets", ""), &["get", "list", "watch"]);
        need(place, ("events.k8s.io", "events", ""), &["create", "patch"]);
    }
    if installation.watched.is_empty() {
        need(
            None,
            (OURS, "cognitouserpoolgrants", ""),
            &["list", "watch"],
        );
        need(None, (OURS, "cognitouserpoolgrants", "status"), &["patch"]);
        need(None, ("", "namespaces", ""), &["list", "watch"]);
    }
    let own = Some(&*installation.namespace);
    need(own, ("", "secrets", ""), &["create"]);
    let named = |verb, group, resource, name: &str| Right {
        verb,
        group,
        resource,
        subresource: "",
        namespace: Some(installation.namespace.clone()),
        name: Some(name.to_owned()),
    };
    if installation.lease.is_some() {
        need(own, ("coordination.k8s.io", "leases", ""), &["create"]);
    }
    rights.push(named("get", "", "secrets", installation.key_secret));
    if let Some(lease) = &installation.lease {
        for verb in ["get", "update"] {
            rights.push(named(verb, "coordination.k8s.io", "leases", lease));
        }
    }
    rights
}

/// The rights without their verbs, each with its verbs.
pub(super) fn by_object(rights: &[&Right]) -> Vec<(Right, Vec<&'static str>)> {
    let mut groups: Vec<(Right, Vec<_>)> = Vec::new();
    for right in rights {
        let without = Right {
            verb: "",
            ..(*right).clone()
        };
        match groups.iter_mut().find(|(it, _)| *it == without) {
            Some((_, verbs)) => verbs.push(right.verb),
            None => groups.push((without, vec![right.verb])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(watched: &[&str], lease: Option<&str>) -> Installation {
        Installation {
            namespace: "home".to_owned(),
            key_secret: "keys",
            watched: watched.iter().map(|it| (*it).to_owned()).collect(),
            lease: lease.map(str::to_owned),
        }
    }

    fn words(installation: &Installation) -> Vec<String> {
        let rights = needed(installation);
        rights.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_installation_for_all_namespaces_needs_these_rights() {
        assert_eq!(
            words(&installation(&[], Some("lease"))),
            [
                "get cognitouserpasswords.cognito-password-operator.io -A",
                "list cognitouserpasswords.cognito-password-operator.io -A",
                "watch cognitouserpasswords.cognito-password-operator.io -A",
                "patch cognitouserpasswords.cognito-password-operator.io --subresource=status -A",
                "get secrets -A",
                "list secrets -A",
                "watch secrets -A",
                "create events.events.k8s.io -A",
                "patch events.events.k8s.io -A",
                "list cognitouserpoolgrants.cognito-password-operator.io -A",
                "watch cognitouserpoolgrants.cognito-password-operator.io -A",
                "patch cognitouserpoolgrants.cognito-password-operator.io --subresource=status -A",
                "list namespaces -A",
                "watch namespaces -A",
                "create secrets -n home",
                "create leases.coordination.k8s.io -n home",
                "get secrets/keys -n home",
                "get leases.coordination.k8s.io/lease -n home",
                "update leases.coordination.k8s.io/lease -n home",
            ]
        );
    }

    #[test]
    fn an_installation_for_two_namespaces_needs_nothing_in_others() {
        let words = words(&installation(&["a", "b"], None));
        assert_eq!(words.len(), 2 * 9 + 2);
        let is_elsewhere = |it: &&String| {
            !["-n a", "-n b", "-n home"]
                .iter()
                .any(|place| it.ends_with(place))
        };
        assert_eq!(words.iter().find(is_elsewhere), None);
        assert!(words.contains(&"watch secrets -n b".to_owned()));
        assert!(
            !words
                .iter()
                .any(|it| it.contains("leases") || it.contains("grants"))
        );
    }
}
