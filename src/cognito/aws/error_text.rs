//! Prepares texts of the SDK and AWS for a status that many people may read.

use crate::core::{
    credential::password::Password,
    text::{is_unseen, legible},
};
use aws_smithy_types::error::ErrorMetadata;
use std::error::Error;
use zeroize::Zeroizing;

/// Texts of AWS that contain no user's password. A password that occurs in these texts is not replaced. The
/// replacement would tell every reader of the status that the password is, say, the word `Password`.
const AWS_OWN_WORDS: &str = "Password did not conform with policy: Password not long enough, \
    Password must have uppercase characters, Password must have lowercase characters, \
    Password must have numeric characters, Password must have symbol characters, \
    Password has previously been used. \
    1 validation error detected: Value at 'password' failed to satisfy constraint: Member must \
    satisfy regular expression pattern: [\\S]+.*[\\S]+, Member must have length less than or equal \
    to 256. User does not exist. User pool does not exist. Rate exceeded. Too many requests. \
    User: arn:aws:sts:: assumed-role is not authorized to perform: cognito-idp:AdminSetUserPassword \
    on resource: arn:aws:cognito-idp: userpool because no identity-based policy allows the \
    cognito-idp:AdminSetUserPassword action with an explicit deny. \
    The security token included in the request is invalid. expired. Signature expired. \
    Internal server error.";

/// Replaces the password in a text, both verbatim and as JSON escapes the password.
pub(super) fn redact(text: &str, password: &Password) -> String {
    const REDACTED: &str = "[password]";
    let plain = password.expose();
    if AWS_OWN_WORDS.contains(plain) {
        return text.to_owned();
    }
    // Enough capacity for `\u0000` escapes and quotes, because a buffer that grows leaves copies in memory.
    let mut quoted = Zeroizing::new(Vec::with_capacity(6 * plain.len() + 2));
    let escaped = serde_json::to_writer(&mut *quoted, plain)
        .ok()
        .and_then(|()| std::str::from_utf8(&quoted).ok())
        .map_or(plain, |quoted| &quoted[1..quoted.len() - 1]);
    text.replace(escaped, REDACTED).replace(plain, REDACTED)
}

/// Puts a text on one line, without invisible characters, and cuts the text to `max` characters. Call
/// [`redact`] first, because a password that was cut in two is no longer found.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let blank = |c: char| c.is_whitespace() || is_unseen(c);
    legible(text.trim_matches(blank), max)
}

/// Replaces the name of each session in an ARN by `*`. Session names of web identities and pods differ each
/// time, and the same state must give the same text.
pub(super) fn without_session_names(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split(' ') {
        words.push(match word.rsplit_once('/') {
            Some((role, _)) if role.contains(":assumed-role/") => format!("{role}/*"),
            Some(_) | None => word.to_owned(),
        });
    }
    words.join(" ")
}

/// The distinct messages of an error and its causes, outermost first. An error reply contributes only code
/// and message: the `Display` of its metadata also has the request id, which differs each time.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for error in chain(error) {
        let words = match error.downcast_ref::<ErrorMetadata>() {
            Some(reply) => {
                [reply.code(), reply.message()].map(|words| words.unwrap_or_default().to_owned())
            }
            None => [error.to_string(), String::new()],
        };
        for words in words {
            if !text.contains(&words) {
                text.push_str(if text.is_empty() { "" } else { ": " });
                text.push_str(&words);
            }
        }
    }
    text
}

/// The first error of a type in a chain of causes.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn password(text: &str) -> Password {
        Password::parse(text.as_bytes()).expect("a fit password")
    }

    #[rstest]
    #[case(
        "S3cret!",
        "got 'S3cret!', twice S3cret!",
        "got '[password]', twice [password]"
    )]
    #[case(
        "a\"b\\c1",
        r#"raw a"b\c1, JSON a\"b\\c1"#,
        "raw [password], JSON [password]"
    )]
    #[case(
        "tab\tin 1t",
        r"raw tab	in 1t, JSON tab\tin 1t",
        "raw [password], JSON [password]"
    )]
    #[case("ünïcode", "ünïcode!", "[password]!")]
    fn an_echoed_password_is_redacted(
        #[case] secret: &str,
        #[case] text: &str,
        #[case] clean: &str,
    ) {
        assert_eq!(redact(text, &password(secret)), clean);
    }

    #[test]
    fn a_password_that_occurs_in_texts_of_aws_is_not_redacted() {
        let text = "Password did not conform with policy: Password not long enough";
        assert_eq!(redact(text, &password("Password")), text);
    }

    #[test]
    fn session_names_are_replaced() {
        let text = "User: arn:aws:sts::1:assumed-role/op/pod-4711 is not authorized on resource: \
            arn:aws:iam::2:role/a/b";
        let expected = "User: arn:aws:sts::1:assumed-role/op/* is not authorized on resource: \
            arn:aws:iam::2:role/a/b";
        assert_eq!(without_session_names(text), expected);
    }

    #[test]
    fn a_text_is_one_line_and_cut_between_characters() {
        assert_eq!(one_line(" one\r\ntwo\u{7}\n", 1_024), "one  two");
        assert_eq!(one_line(&"ü".repeat(1_100), 1_024), "ü".repeat(1_024));
        assert_eq!(one_line("\u{feff}no \u{202e}resu", 1_024), "no  resu");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Middle(#[source] ErrorMetadata);

    #[test]
    fn each_cause_appears_once_and_without_request_id() {
        let reply = ErrorMetadata::builder()
            .code("AccessDenied")
            .message("Not authorized")
            .custom("aws_request_id", "4711")
            .build();
        let error = Outer(Middle(reply));
        assert_eq!(causes(&error), "outer: AccessDenied: Not authorized");
    }
}
