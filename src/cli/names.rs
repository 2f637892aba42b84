//! The names of Kubernetes objects, as arguments of the command line.

use crate::command::object_names::is_namespace;

/// A namespace's name: an RFC 1123 label.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    is_namespace(text).then(|| text.to_owned()).ok_or_else(|| {
        "a namespace's name has 1 to 63 lower case letters, digits and '-', and begins and ends with a letter or digit".to_owned()
    })
}

/// A `ServiceAccount`'s name: an RFC 1123 subdomain.
pub(crate) fn service_account(text: &str) -> Result<String, String> {
    let fits = text.len() <= 253 && text.split('.').all(is_namespace);
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "a ServiceAccount's name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit".to_owned()
    })
}

/// A Lease's name: an RFC 1123 subdomain.
pub(crate) fn lease_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 253 && text.split('.').all(is_namespace);
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "a Lease's name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit".to_owned()
    })
}
