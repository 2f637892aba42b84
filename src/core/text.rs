//! Makes foreign text safe to print in messages of the operator.

/// Whether a character is invisible, or changes how the characters around it are displayed. These are
/// control characters, line and paragraph separators, and Unicode's format characters that reorder, join,
/// separate or hide other characters. A username with such a character is refused.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Cuts the text to `most` characters and replaces each invisible character, also a line break, with a
/// space.
#[must_use]
pub fn legible(text: &str, most: usize) -> String {
    let seen = |c| if is_unseen(c) { ' ' } else { c };
    text.chars().take(most).map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("one\r\ntwo\u{7}", "one  two ")]
    // A terminal that obeys the marks displays "user: alice".
    #[case("user: \u{202e}ecila\u{202c}", "user:  ecila ")]
    #[case("\u{2066}a\u{2069}\u{200b}b\u{feff}", " a  b ")]
    #[case("a\u{2028}b\u{e0041}", "a b ")]
    #[case("שלום, é e\u{301} 日本 🦀", "שלום, é e\u{301} 日本 🦀")]
    fn invisible_and_reordering_characters_become_blanks(#[case] text: &str, #[case] read: &str) {
        assert_eq!(legible(text, 100), read);
    }

    proptest! {
        #[test]
        fn a_shortened_text_is_never_longer_and_has_no_invisible_character(text in any::<String>(), most in 0_usize..40) {
            let read = legible(&text, most);
            prop_assert!(read.chars().count() <= most);
            prop_assert!(!read.chars().any(is_unseen));
        }
    }
}
