//! A verdict: reason, class and one sentence. The sentence says what happened and what fixes the failure,
//! with AWS's own words if AWS replied. The same state always gives the same bytes.

use crate::{
    api::{Class, Reason},
    core::text::legible,
};

/// The longest message, in characters. The API allows 32,768 bytes; people read less.
const MESSAGE_MAX: usize = 2_000;

/// The reason, class and message that the conditions of a resource express.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The reason of the conditions.
    pub reason: Reason,
    /// The class: usually the reason's own class. For an unknown error code, the class also depends on the
    /// HTTP status. An unknown outcome can be Stalled, if only a person can settle whether the call was
    /// applied.
    pub class: Class,
    /// The message of the conditions.
    pub message: String,
}

/// Builds a message: what happened, the words of AWS or of another source, and the cure.
pub(crate) fn sentence(meaning: &str, words: Option<&str>, cure: &str) -> String {
    let mut message = String::new();
    let mut letters = meaning.chars();
    message.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    message.extend(letters);
    if let Some(words) = words.map(str::trim).filter(|words| !words.is_empty()) {
        let words = legible(words, MESSAGE_MAX / 2);
        message = format!("{message} ({})", words.trim_end_matches('.'));
    }
    if !cure.is_empty() {
        message = format!("{message}: {cure}");
    }
    // The whole message is made legible: the names of Secrets in a message are only as safe as the CRD's
    // schema.
    let mut message = legible(&message, MESSAGE_MAX);
    message.push('.');
    message
}

impl Verdict {
    /// A verdict with the reason's own meaning and cure.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self::with(reason, reason.entry().meaning, None, reason.entry().cure)
    }

    /// A verdict with the reason's own meaning and cure, and the words of AWS or of another source.
    #[must_use]
    pub fn quoting(reason: Reason, words: &str) -> Self {
        Self::with(
            reason,
            reason.entry().meaning,
            Some(words),
            reason.entry().cure,
        )
    }

    /// A verdict with its own meaning and cure. `words` are those of AWS or of another source.
    #[must_use]
    pub fn with(reason: Reason, meaning: &str, words: Option<&str>, cure: &str) -> Self {
        Self {
            reason,
            class: reason.class(),
            message: sentence(meaning, words, cure),
        }
    }

    /// The same verdict with another class.
    #[must_use]
    pub fn of_class(self, class: Class) -> Self {
        Self { class, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_sentence_with_awss_own_words() {
        let said = Verdict::quoting(
            Reason::InvalidPassword,
            "InvalidPasswordException: Password did not conform with policy: Password not long enough",
        );
        assert_eq!(
            said.message,
            "The pool's password policy refused the password (InvalidPasswordException: Password did not conform with policy: Password not long enough): put a value that fits the policy into the Secret, or change the policy and run kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)."
        );
    }

    #[test]
    fn a_million_characters_from_outside_stay_within_the_limits() {
        let said = Verdict::quoting(Reason::AccessDenied, &"é\n".repeat(1_000_000));
        assert!(said.message.chars().count() <= MESSAGE_MAX + 1);
        assert!(!said.message.contains('\n'));
        assert!(
            said.message.contains("IAM policy"),
            "the cure is not cut off"
        );
    }

    #[test]
    fn invisible_and_reordering_characters_are_not_repeated() {
        let said = Verdict::with(
            Reason::SecretNotFound,
            "the Secret a\u{202e}b\n",
            Some("\u{2066}x"),
            "",
        );
        assert_eq!(said.message, "The Secret a b  ( x).");
    }
}
