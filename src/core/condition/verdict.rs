//! A verdict: reason, class and one sentence. The sentence says what happened and what would fix
//! it, in AWS's own words where AWS spoke, and is the same bytes for the same state.

use crate::{
    api::{Class, Reason},
    core::text::legible,
};

/// The longest message, in characters: the API allows 32,768 bytes, people read less.
const MESSAGE_MAX: usize = 2_000;

/// What is said of a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The word.
    pub reason: Reason,
    /// What follows: the reason's class, but for codes that nobody knows, where it also depends on
    /// the HTTP status.
    pub class: Class,
    /// The sentence.
    pub message: String,
}

/// A sentence of a condition: what happened, somebody's own words, what would fix it.
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
    // All of it: what names a Secret is as good as its schema.
    let mut message = legible(&message, MESSAGE_MAX);
    message.push('.');
    message
}

impl Verdict {
    /// The reason's own sentence.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self::with(reason, reason.entry().meaning, None, reason.entry().cure)
    }

    /// The reason's own sentence, with somebody's own words in it.
    #[must_use]
    pub fn quoting(reason: Reason, words: &str) -> Self {
        Self::with(
            reason,
            reason.entry().meaning,
            Some(words),
            reason.entry().cure,
        )
    }

    /// A sentence of its own: what happened, somebody's own words, what would fix it.
    #[must_use]
    pub fn with(reason: Reason, meaning: &str, words: Option<&str>, cure: &str) -> Self {
        Self {
            reason,
            class: reason.class(),
            message: sentence(meaning, words, cure),
        }
    }

    /// The same, of another class.
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
            "The pool's password policy refused the password (InvalidPasswordException: Password did not conform with policy: Password not long enough): put a value that fits the policy into the Secret, or change the policy and annotate the resource with cognito-password-operator.io/requestedAt."
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
    fn what_hides_or_reorders_is_not_repeated() {
        let said = Verdict::with(
            Reason::SecretNotFound,
            "the Secret a\u{202e}b\n",
            Some("\u{2066}x"),
            "",
        );
        assert_eq!(said.message, "The Secret a b  ( x).");
    }
}
