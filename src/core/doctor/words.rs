//! Words of the doctor: ages, and words of a shell's command.

pub(super) use crate::core::words::{count, span};

use crate::core::text::{is_unseen, legible};
use jiff::Timestamp;

/// How long ago a time is: `12m ago`.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.duration_since(time)))
}

/// When a time comes: `in 12m`, or `12m ago`.
pub(super) fn when(time: Timestamp, now: Timestamp) -> String {
    if time > now {
        format!("in {}", span(time.duration_since(now)))
    } else {
        ago(time, now)
    }
}

/// Foreign text in a message: without invisible characters, and not too long.
pub(super) fn shown(text: &str) -> String {
    legible(text, 128)
}

/// A text as one word of a shell's command. A text with invisible characters can't be copied from a terminal, so
/// the placeholder stands for it.
pub(super) fn word(text: &str, placeholder: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if text.is_empty() || text.chars().any(is_unseen) {
        placeholder.to_owned()
    } else if text.chars().all(is_plain) && !text.starts_with('-') {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("ci-bot", "ci-bot")]
    #[case("it's $(me)", r"'it'\''s $(me)'")]
    #[case("-x", "'-x'")]
    #[case("a\u{202e}b", "USERNAME")]
    #[case("a\nb", "USERNAME")]
    #[case("", "USERNAME")]
    fn a_word_of_a_command_stays_one_word(#[case] text: &str, #[case] quoted: &str) {
        assert_eq!(word(text, "USERNAME"), quoted);
    }
}
