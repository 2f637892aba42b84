//! Why the operator has no credentials.

use std::fmt;

/// Why the operator could not get credentials, as the service that refused reports (including the code of
/// STS). At most 1,000 characters, and without secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CredentialsFailure(pub String);

impl fmt::Display for CredentialsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
