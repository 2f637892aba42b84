//! Globs for usernames. `*` matches any number of characters, also none. `?` matches exactly one character.
//! No other character is special. Nothing is case-folded or normalized, so a look-alike character never
//! matches.

/// A glob for usernames; see the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Glob(Vec<Part>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Any,
    One,
    Char(char),
}

impl Glob {
    /// Parses a glob. Every text is a valid glob.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let parts = text.chars().map(|c| match c {
            '*' => Part::Any,
            '?' => Part::One,
            c => Part::Char(c),
        });
        Self(parts.collect())
    }

    /// The literal prefix, which ends at the first wildcard, and whether the glob has no wildcard. Each
    /// text that matches begins with the prefix, or equals the prefix if the glob has no wildcard.
    #[must_use]
    pub fn literal_prefix(&self) -> (String, bool) {
        let literal = self.0.iter().map_while(|part| match part {
            Part::Char(c) => Some(*c),
            Part::Any | Part::One => None,
        });
        let prefix: String = literal.collect();
        let is_literal = prefix.chars().count() == self.0.len();
        (prefix, is_literal)
    }

    /// Whether the glob matches the whole text, Unicode scalar by Unicode scalar. Takes at most time
    /// proportional to the product of both lengths: a tenant's glob cannot make the match exponential.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut part, mut at) = (0, 0);
        // The last `*`, and the position in the text from which the parts after the `*` were tried.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(part) {
                Some(Part::Any) => {
                    star = Some((part, at));
                    part += 1;
                }
                Some(Part::One) => (part, at) = (part + 1, at + 1),
                Some(Part::Char(c)) if *c == text[at] => (part, at) = (part + 1, at + 1),
                Some(Part::Char(_)) | None => {
                    // Backtrack: the last `*` takes one more character.
                    let Some((any, from)) = star else {
                        return false;
                    };
                    star = Some((any, from + 1));
                    (part, at) = (any + 1, from + 1);
                }
            }
        }
        self.0[part..].iter().all(|part| *part == Part::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("ci-bot", "ci-bot", true)]
    #[case("ci-bot", "ci-bot2", false)]
    #[case("ci-bot", "my-ci-bot", false)]
    #[case("ci-bot", "CI-Bot", false)]
    #[case("ci-*", "ci-", true)]
    #[case("ci-*", "ci-bot", true)]
    #[case("ci-*", "ci", false)]
    #[case("*-bot", "ci-bot", true)]
    #[case("*-bot", "ci-bot-2", false)]
    #[case("ci-?", "ci-1", true)]
    #[case("ci-?", "ci-", false)]
    #[case("ci-?", "ci-12", false)]
    #[case("ci-?", "ci-é", true)]
    // Two scalars, displayed as one letter.
    #[case("ci-?", "ci-e\u{301}", false)]
    #[case("*", "", true)]
    #[case("*", "anybody", true)]
    #[case("?", "", false)]
    #[case("", "", true)]
    #[case("", "a", false)]
    #[case("a*b*c", "aXbXbXc", true)]
    #[case("a*b*c", "aXbX", false)]
    #[case("**", "a", true)]
    #[case("[a-z]*", "abc", false)]
    #[case("[a-z]*", "[a-z]bc", true)]
    #[case("{a,b}", "a", false)]
    #[case("a.c", "abc", false)]
    #[case("a+", "aa", false)]
    #[case("ci\\*", "ci*", false)]
    #[case("ci\\*", "ci\\anything", true)]
    #[case("^ci$", "ci", false)]
    // Wildcard look-alikes that are not ASCII: fullwidth, small, low and operator forms.
    #[case("ci-＊", "ci-bot", false)]
    #[case("ci-﹡", "ci-bot", false)]
    #[case("ci-⁎", "ci-bot", false)]
    #[case("ci-∗", "ci-bot", false)]
    #[case("ci-？", "ci-1", false)]
    // A Cyrillic letter, and invisible marks.
    #[case("ci-*", "сi-bot", false)]
    #[case("ci-bot", "ci\u{200b}-bot", false)]
    #[case("ci-bot", "\u{202e}ci-bot", false)]
    fn nothing_but_star_and_question_mark_is_special(
        #[case] glob: &str,
        #[case] text: &str,
        #[case] fits: bool,
    ) {
        assert_eq!(Glob::new(glob).fits(text), fits);
    }

    /// The recursive definition of a match.
    fn defined(glob: &[char], text: &[char]) -> bool {
        match (glob.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => {
                defined(&glob[1..], text) || (!text.is_empty() && defined(glob, &text[1..]))
            }
            (Some('?'), Some(_)) => defined(&glob[1..], &text[1..]),
            (Some(g), Some(t)) => g == t && defined(&glob[1..], &text[1..]),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn a_glob_fits_as_its_definition_says(glob in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Glob::new(&glob).fits(&text), defined(&chars(&glob), &chars(&text)));
        }

        #[test]
        fn a_glob_without_wildcards_fits_itself_only(glob in "[^*?]{0,12}", text in any::<String>()) {
            prop_assert!(Glob::new(&glob).fits(&glob));
            prop_assert_eq!(Glob::new(&glob).fits(&text), glob == text);
        }

        #[test]
        fn no_text_makes_it_panic(glob in any::<String>(), text in any::<String>()) {
            let _ = Glob::new(&glob).fits(&text);
        }
    }

    #[test]
    fn the_worst_glob_is_matched_quickly() {
        let glob = format!("{}b", "*a".repeat(63));
        assert!(!Glob::new(&glob).fits(&"a".repeat(128)));
    }
}
