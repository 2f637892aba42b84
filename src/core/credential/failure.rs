//! Why there are no credentials.

use std::fmt;

/// Why no credentials could be had, in the words of whoever refused them (STS's own code among
/// them), without secrets, at most 1,000 characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CredentialsFailure(pub String);

impl fmt::Display for CredentialsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
