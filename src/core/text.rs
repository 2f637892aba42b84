//! What somebody else wrote, made fit to be read beside our own words.

/// Whether a character can't be seen, or changes how its neighbours are seen: control characters, line
/// and paragraph separators, and those of Unicode's format characters that order, join, part or hide what
/// stands around them. None of these may be in a username either.
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

/// On one line, at most so many characters, and each of them seen where it stands.
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
    // Shown as "user: alice" by whatever obeys the marks.
    #[case("user: \u{202e}ecila\u{202c}", "user:  ecila ")]
    #[case("\u{2066}a\u{2069}\u{200b}b\u{feff}", " a  b ")]
    #[case("a\u{2028}b\u{e0041}", "a b ")]
    #[case("שלום, é e\u{301} 日本 🦀", "שלום, é e\u{301} 日本 🦀")]
    fn what_hides_or_reorders_is_blank(#[case] text: &str, #[case] read: &str) {
        assert_eq!(legible(text, 100), read);
    }

    proptest! {
        #[test]
        fn it_is_never_longer_nor_unseen(text in any::<String>(), most in 0_usize..40) {
            let read = legible(&text, most);
            prop_assert!(read.chars().count() <= most);
            prop_assert!(!read.chars().any(is_unseen));
        }
    }
}
