//! Passwords that Cognito's API can accept. A value that does not match AWS's pattern `^[\S]+.*[\S]+$`, or
//! that is longer than 256 characters, is never sent.

use std::fmt;
use zeroize::Zeroizing;

/// A value that Cognito's pattern accepts. Zeroized when dropped. `Debug` never prints the value.
pub struct Password(Zeroizing<String>);

/// Why the value of a Secret's key can't be a password. The error contains no part of the value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum InvalidValue {
    /// The value is empty.
    #[error("the value is empty: write the password into the Secret")]
    Empty,
    /// The value is one character. AWS's pattern needs two.
    #[error("the value is a single character, and Cognito wants at least two")]
    TooShort,
    /// The value has more than 256 Unicode scalars.
    #[error("the value is longer than 256 characters")]
    TooLong,
    /// The value is not UTF-8 text.
    #[error("the value is not valid UTF-8 text")]
    NotUtf8,
    /// The value ends with a line break, as from `echo | base64`.
    #[error(
        "the value ends with a line break, as `echo` writes one: make the value with `printf %s`, not `echo`"
    )]
    TrailingLineBreak,
    /// The value has a line break before its end.
    #[error("the value holds a line break: put the password alone on one line, with `printf %s`")]
    LineBreak,
    /// The value contains a NUL.
    #[error("the value holds a NUL character")]
    Nul,
    /// The value starts with white space or a byte order mark.
    #[error(
        "the value begins with white space or a byte order mark: make the value with `printf %s`"
    )]
    LeadingSpace,
    /// The value ends with white space or a byte order mark.
    #[error("the value ends with white space: make the value with `printf %s`, not `echo`")]
    TrailingSpace,
}

/// Whether `.` of AWS's pattern does not match the character.
fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Whether `\S` of AWS's pattern does not match the character. As in ECMA 262, that is Unicode's white
/// space and the byte order mark.
fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

impl Password {
    /// Parses the bytes of a Secret's key, without a call of Cognito.
    ///
    /// # Errors
    /// [`InvalidValue`] if Cognito would refuse the value.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidValue> {
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidValue::NotUtf8)?;
        let first = text.chars().next().ok_or(InvalidValue::Empty)?;
        let last = text.chars().next_back().ok_or(InvalidValue::Empty)?;
        if is_line_break(last) {
            return Err(InvalidValue::TrailingLineBreak);
        }
        if text.chars().any(is_line_break) {
            return Err(InvalidValue::LineBreak);
        }
        if text.contains('\0') {
            return Err(InvalidValue::Nul);
        }
        if is_space(first) {
            return Err(InvalidValue::LeadingSpace);
        }
        if is_space(last) {
            return Err(InvalidValue::TrailingSpace);
        }
        match text.chars().count() {
            1 => Err(InvalidValue::TooShort),
            2..=256 => Ok(Self(Zeroizing::new(text.to_owned()))),
            _ => Err(InvalidValue::TooLong),
        }
    }

    /// The plain text, for the call that sets the password and for the fingerprint.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"", InvalidValue::Empty)]
    #[case(b"a", InvalidValue::TooShort)]
    #[case(b"\xff\xfe", InvalidValue::NotUtf8)]
    #[case(b"Passw0rd!\n", InvalidValue::TrailingLineBreak)]
    #[case(b"Passw0rd!\r\n", InvalidValue::TrailingLineBreak)]
    #[case(b"\n", InvalidValue::TrailingLineBreak)]
    #[case(b"Pass\nw0rd!", InvalidValue::LineBreak)]
    #[case(b"Pass\rw0rd!", InvalidValue::LineBreak)]
    #[case("Pass\u{2028}w0rd".as_bytes(), InvalidValue::LineBreak)]
    #[case(b"Pass\0w0rd", InvalidValue::Nul)]
    #[case(b" Passw0rd", InvalidValue::LeadingSpace)]
    #[case("\u{feff}Passw0rd".as_bytes(), InvalidValue::LeadingSpace)]
    #[case(b"Passw0rd ", InvalidValue::TrailingSpace)]
    #[case(b"Passw0rd\t", InvalidValue::TrailingSpace)]
    #[case("Passw0rd\u{a0}".as_bytes(), InvalidValue::TrailingSpace)]
    fn a_value_that_the_pattern_of_aws_refuses_is_no_password(
        #[case] bytes: &[u8],
        #[case] why: InvalidValue,
    ) {
        assert_eq!(Password::parse(bytes).map(|_| ()), Err(why));
    }

    #[test]
    fn a_password_has_2_to_256_unicode_scalars() {
        assert!(Password::parse(b"ab").is_ok());
        assert!(Password::parse("ü".repeat(256).as_bytes()).is_ok());
        assert_eq!(
            Password::parse("ü".repeat(257).as_bytes()).map(|_| ()),
            Err(InvalidValue::TooLong)
        );
    }

    #[test]
    fn inner_spaces_are_kept() {
        let password = Password::parse(b"correct horse battery").expect("inner spaces are fine");
        assert_eq!(password.expose(), "correct horse battery");
    }

    #[test]
    fn the_message_says_how_to_remove_a_trailing_newline() {
        let said = InvalidValue::TrailingLineBreak.to_string();
        assert!(
            said.contains("printf %s") && said.contains("echo"),
            "{said}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_and_never_printed(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(password) = Password::parse(&bytes) {
                prop_assert_eq!(password.expose().as_bytes(), &bytes[..]);
                prop_assert_eq!(format!("{password:?}"), "Password(..)");
            }
        }
    }
}
