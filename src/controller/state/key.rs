//! Keys: namespace and name of a resource or a Secret.

use crate::api::CognitoUserPassword;
use kube::{Resource, ResourceExt};
use std::{fmt, sync::Arc};

/// The namespace and name of an object. The kind follows from where the key is used. Cheap to clone: the
/// clones share one allocation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key(
    /// `namespace/name`. The first slash is the separator, because a namespace's name has no slash.
    Arc<str>,
);

impl Key {
    /// The key for this namespace and name.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}/{name}").into())
    }

    /// The key of an object.
    #[must_use]
    pub fn of<K: Resource>(object: &K) -> Self {
        let metadata = object.meta();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        Self::new(namespace, metadata.name.as_deref().unwrap_or_default())
    }

    /// The key of the Secret that a resource references.
    #[must_use]
    pub fn of_secret(resource: &CognitoUserPassword) -> Self {
        let namespace = resource.namespace().unwrap_or_default();
        Self::new(&namespace, &resource.spec.password_secret_ref.name)
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or_default()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of this name in `team-a`, for tests.
#[cfg(test)]
pub fn key(name: &str) -> Key {
    Key::new("team-a", name)
}

/// The name of a grant or a namespace: both are cluster-scoped.
pub type Name = Arc<str>;

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn a_key_keeps_namespace_and_name_apart_for_any_secret_name() {
        for name in ["bot", "../../team-b/secrets/bot", "", "a/b"] {
            let key = Key::new("team-a", name);
            assert_eq!((key.namespace(), key.name()), ("team-a", name));
            assert_eq!(key.to_string(), format!("team-a/{name}"));
        }
    }
}
