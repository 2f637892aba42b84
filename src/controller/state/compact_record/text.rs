//! Short forms of the texts in a resource. Most texts are numbers, uuids, fingerprints, or words that the
//! operator itself writes into every status.

use crate::{
    api::{ConditionType, PASSWORD_KEY, REASONS},
    core::condition::{
        verdict::Verdict,
        verified::{NOT_SEEN, UNKNOWN_STATE, USER_SEEN},
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fmt::Write as _};

/// A text in its shortest form. Equal texts from the same constructor have equal forms, so forms can be
/// compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Text {
    /// The number of a word in the [`Interner`].
    Word(u16),
    /// A decimal number, such as a resourceVersion.
    Number(u64),
    /// A uuid, such as a uid.
    Uuid([u8; 16]),
    /// `<8 hex digits>.<hex digits>`, such as a fingerprint.
    Signed([u8; 4], Box<[u8]>),
    /// Any other text.
    Plain(Box<str>),
}

/// The condition types, reasons and messages that the operator writes into statuses, and the usual key of a
/// Secret, numbered.
pub struct Interner {
    words: Vec<String>,
    numbers: HashMap<String, u16>,
}

impl Default for Interner {
    fn default() -> Self {
        let types = ConditionType::ALL
            .iter()
            .map(|type_| type_.as_str().to_owned());
        let reasons = REASONS.iter().map(|entry| entry.word.to_owned());
        let messages = REASONS
            .iter()
            .map(|entry| Verdict::new(entry.reason).message);
        let mut known = Self {
            words: Vec::new(),
            numbers: HashMap::new(),
        };
        let looks = [USER_SEEN, NOT_SEEN, UNKNOWN_STATE];
        let looks = looks
            .into_iter()
            .flat_map(|(reason, message)| [reason, message]);
        let looks = looks.map(str::to_owned);
        let words = types.chain(reasons).chain(messages).chain(looks);
        for word in words.chain([PASSWORD_KEY.to_owned()]) {
            if let Ok(number) = u16::try_from(known.words.len())
                && known.numbers.insert(word.clone(), number).is_none()
            {
                known.words.push(word);
            }
        }
        known
    }
}

impl Text {
    /// The form of a text without an [`Interner`]: never [`Text::Word`].
    pub fn of(text: &str) -> Self {
        number(text)
            .map(Self::Number)
            .or_else(|| uuid(text))
            .or_else(|| signed(text))
            .unwrap_or_else(|| Self::Plain(text.into()))
    }
}

impl Interner {
    /// The form of a text: [`Text::Word`] for a known word, otherwise as [`Text::of`].
    pub fn text(&self, text: &str) -> Text {
        let word = self.numbers.get(text).copied().map(Text::Word);
        word.unwrap_or_else(|| Text::of(text))
    }

    /// Expands a form to its text.
    pub fn string(&self, text: &Text) -> String {
        match text {
            Text::Word(number) => {
                let word = self.words.get(usize::from(*number));
                word.cloned().unwrap_or_default()
            }
            Text::Number(number) => number.to_string(),
            Text::Uuid(bytes) => {
                let mut text = String::with_capacity(36);
                for (n, byte) in bytes.iter().enumerate() {
                    if [4, 6, 8, 10].contains(&n) {
                        text.push('-');
                    }
                    hex(&mut text, *byte);
                }
                text
            }
            Text::Signed(key, digest) => {
                let mut text = String::with_capacity(9 + 2 * digest.len());
                for byte in key {
                    hex(&mut text, *byte);
                }
                text.push('.');
                for byte in digest {
                    hex(&mut text, *byte);
                }
                text
            }
            Text::Plain(text) => text.to_string(),
        }
    }
}

fn hex(text: &mut String, byte: u8) {
    // Writing to a `String` can't fail.
    let _ = write!(text, "{byte:02x}");
}

/// A number without leading zeros or sign, so that `to_string` gives the same text.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text.len() == 1 || !text.starts_with('0'));
    canonical.then(|| text.parse().ok())?
}

fn uuid(text: &str) -> Option<Text> {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    let bytes = text.as_bytes();
    if bytes.len() != 36 || HYPHENS.iter().any(|at| bytes[*at] != b'-') {
        return None;
    }
    let digits: Vec<u8> = (0..36)
        .filter(|at| !HYPHENS.contains(at))
        .map(|at| bytes[at])
        .collect();
    unhex(&digits)?.try_into().ok().map(Text::Uuid)
}

fn signed(text: &str) -> Option<Text> {
    let (key, digest) = text.split_once('.')?;
    let key = unhex(key.as_bytes())?.try_into().ok()?;
    Some(Text::Signed(key, unhex(digest.as_bytes())?.into()))
}

/// The bytes of an even number of lower-case hex digits, or `None`.
fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::reason("PasswordSet")]
    #[case::type_("Ready")]
    #[case::version("4711")]
    #[case::zero("0")]
    #[case::not_canonical("0815")]
    #[case::signed_number("+1")]
    #[case::huge("18446744073709551616")]
    #[case::empty("")]
    #[case::uid("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")]
    #[case::upper("0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0")]
    #[case::fingerprint(
        "0a1b2c3d.00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    )]
    #[case::odd("0a1b2c3d.001")]
    #[case::no_digest("0a1b2c3d.")]
    #[case::two_dots("0a1b2c3d.00.11")]
    fn known_texts_survive_the_round_trip(#[case] text: &str) {
        let words = Interner::default();
        assert_eq!(words.string(&words.text(text)), text);
    }

    #[test]
    fn frequent_texts_are_short() {
        let words = Interner::default();
        let said = Verdict::new(crate::api::Reason::PasswordSet).message;
        assert!(matches!(words.text(&said), Text::Word(_)));
        assert_eq!(words.text("4711"), Text::Number(4711));
        assert_eq!(size_of::<Text>(), 24);
    }

    proptest! {
        #[test]
        fn any_text_survives_the_round_trip(text in "[0-9a-f]{0,20}|[0-9a-f]{8}\\.[0-9a-fA-F]{0,70}|\\PC{0,40}") {
            let words = Interner::default();
            prop_assert_eq!(words.string(&words.text(&text)), text);
        }
    }
}
