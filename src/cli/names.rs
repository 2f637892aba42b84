//! The names of Kubernetes objects, as arguments of the command line.

/// A namespace's name: an RFC 1123 label.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = |c: Option<char>| c.is_some_and(|c| inner(c) && c != '-');
    let fits = text.len() <= 63
        && text.chars().all(inner)
        && edge(text.chars().next())
        && edge(text.chars().next_back());
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "a namespace's name has 1 to 63 lower case letters, digits and '-', and begins and ends with a letter or digit".to_owned()
    })
}

/// A `ServiceAccount`'s name: an RFC 1123 subdomain.
pub(crate) fn service_account(text: &str) -> Result<String, String> {
    let fits = text.len() <= 253 && text.split('.').all(|label| namespace(label).is_ok());
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "a ServiceAccount's name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit".to_owned()
    })
}

/// A Lease's name: an RFC 1123 subdomain.
pub(crate) fn lease_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 253 && text.split('.').all(|label| namespace(label).is_ok());
    fits.then(|| text.to_owned()).ok_or_else(|| {
        "a Lease's name has lower case letters, digits, '-' and '.', and begins and ends with a letter or digit".to_owned()
    })
}
