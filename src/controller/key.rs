//! Names in namespaces, of resources and of Secrets.

use crate::api::CognitoUserPassword;
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use std::fmt;

/// The namespace and name of an object; of which kind, its place tells.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    #[must_use]
    pub fn of<K: Resource>(object: &K) -> Self {
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }

    /// The key of the Secret that a resource references.
    #[must_use]
    pub fn of_secret(resource: &CognitoUserPassword) -> Self {
        Self {
            namespace: resource.namespace().unwrap_or_default(),
            name: resource.spec.password_secret_ref.name.clone(),
        }
    }

    /// kube's reference to the resource of this key.
    #[must_use]
    pub fn object_ref(&self) -> ObjectRef<CognitoUserPassword> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

impl<K: kube::runtime::reflector::Lookup> From<&ObjectRef<K>> for Key {
    fn from(reference: &ObjectRef<K>) -> Self {
        Self {
            namespace: reference.namespace.clone().unwrap_or_default(),
            name: reference.name.clone(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// For tests: the key of something with this name.
#[cfg(test)]
pub fn key(name: &str) -> Key {
    Key {
        namespace: "team-a".to_owned(),
        name: name.to_owned(),
    }
}
