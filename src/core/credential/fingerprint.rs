//! Fingerprints: the form in which a status records a password.
//!
//! A fingerprint is a key id and an HMAC-SHA-256 over pool, username, `permanent` and password. A bare hash
//! would let anyone who may read a resource guess passwords offline.
//!
//! Text form: `<key id, 8 hex digits>.<64 hex digits>`. A retired fingerprint keeps the first 16 of the 64
//! digits.

use super::password::Password;
use crate::core::names::target::Target;
use hmac::{HmacReset, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::{
    cmp::Ordering,
    fmt::{self, Write as _},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The length of a key in bytes.
pub const KEY_BYTES: usize = 32;

/// The number of hex digits, of the 64, that a retired fingerprint keeps.
const RETIRED_DIGITS: usize = 16;

/// The number of hex digits in a key's id.
const ID_DIGITS: usize = 8;

/// The fingerprint of a value. Reveals nothing about the password without the key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint(String);

/// The id of a key: the first 4 bytes of the key's SHA-256, as hex. The id is computed, so a key keeps its
/// id if the key is stored under another name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KeyId(String);

/// The fingerprint keys. The newest key signs; every key verifies.
pub struct Keyring {
    newest: Key,
    others: Vec<Key>,
}

struct Key {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

/// The result of comparing a recorded fingerprint with a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Match {
    /// The fingerprint is the fingerprint of the value.
    Same,
    /// The fingerprint belongs to another value.
    Different,
    /// The key that signed is not in the keyring, so the comparison is impossible.
    KeyGone,
}

/// Why a keyring is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidKey {
    /// A key does not have 32 bytes.
    #[error("a fingerprint key must have exactly 32 bytes")]
    Length,
    /// The keyring has no key.
    #[error("there is no fingerprint key")]
    None,
}

/// Orders the names of the entries in the key Secret by length, then by name. The newest key is last. The
/// order puts `key-2` before `key-10`.
fn by_age(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

impl Keyring {
    /// Makes a keyring from the entries of the key Secret: name and bytes. The newest key has the longest
    /// name, and of the names with that length the greatest: `key-1`, `key-2`, .. `key-10`.
    ///
    /// # Errors
    /// [`InvalidKey`] if there is no key, or if a key hasn't 32 bytes.
    pub fn new<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, InvalidKey> {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by(|(a, _), (b, _)| by_age(a, b));
        let mut keys = entries
            .into_iter()
            .map(|(_, bytes)| Key::new(bytes))
            .collect::<Result<Vec<_>, _>>()?;
        let newest = keys.pop().ok_or(InvalidKey::None)?;
        Ok(Self {
            newest,
            others: keys,
        })
    }

    /// The fingerprint of the value, signed by the newest key.
    #[must_use]
    pub fn sign(&self, target: &Target, permanent: bool, password: &Password) -> Fingerprint {
        self.newest.sign(target, permanent, password)
    }

    /// Compares a recorded fingerprint, whole or retired, with this value.
    #[must_use]
    pub fn compare(
        &self,
        recorded: &str,
        target: &Target,
        permanent: bool,
        password: &Password,
    ) -> Match {
        let Some((_, digits)) = recorded.split_once('.') else {
            return Match::KeyGone;
        };
        let Some(key) = self.keys().find(|key| key.signed(recorded)) else {
            return Match::KeyGone;
        };
        let signed = key.sign(target, permanent, password);
        let own = signed.digits().as_bytes();
        let recorded = digits.as_bytes();
        let whole = recorded.len() == own.len() || recorded.len() == RETIRED_DIGITS;
        let cut = &own[..recorded.len().min(own.len())];
        if whole && bool::from(cut.ct_eq(recorded)) {
            Match::Same
        } else {
            Match::Different
        }
    }

    /// Whether the keyring has the key that signed the recorded fingerprint.
    #[must_use]
    pub fn knows(&self, recorded: &str) -> bool {
        self.keys().any(|key| key.signed(recorded))
    }

    /// Whether the newest key signed the recorded fingerprint.
    #[must_use]
    pub fn newest_signed(&self, recorded: &str) -> bool {
        self.newest.signed(recorded)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.newest).chain(&self.others)
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let bytes: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| InvalidKey::Length)?;
        let digest = Sha256::digest(bytes);
        Ok(Self {
            id: KeyId(hex(&digest[..ID_DIGITS / 2])),
            bytes: Zeroizing::new(bytes),
        })
    }

    fn signed(&self, recorded: &str) -> bool {
        recorded
            .split_once('.')
            .is_some_and(|(id, _)| id == self.id.0)
    }

    fn sign(&self, target: &Target, permanent: bool, password: &Password) -> Fingerprint {
        let mut mac = HmacReset::<Sha256>::new_from_slice(self.bytes.as_slice())
            .expect("HMAC takes keys of any length");
        let permanent: &[u8] = if permanent {
            b"permanent"
        } else {
            b"temporary"
        };
        let fields = [
            target.pool.as_str().as_bytes(),
            target.username.as_str().as_bytes(),
            permanent,
            password.expose().as_bytes(),
        ];
        for field in fields {
            // A length prefix, so that no two tuples of fields have the same bytes.
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        // Not `finalize`: the move would leave a copy of the MAC's state that is never zeroized.
        let digest = mac.finalize_reset().into_bytes();
        Fingerprint(format!("{}.{}", self.id.0, hex(&digest)))
    }
}

impl Fingerprint {
    /// The text form, as a status contains the fingerprint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digits(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, digits)| digits)
    }
}

/// Cuts a recorded fingerprint to key id and 8 bytes, as `status.retired` keeps the fingerprint. A text
/// that isn't a fingerprint is cut to 16 characters.
#[must_use]
pub fn retire(recorded: &str) -> String {
    match recorded.split_once('.') {
        Some((id, digits)) if id.len() == ID_DIGITS => {
            let kept: String = digits.chars().take(RETIRED_DIGITS).collect();
            format!("{id}.{kept}")
        }
        Some(_) | None => recorded.chars().take(RETIRED_DIGITS).collect(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys().map(|key| &key.id.0).collect();
        f.debug_struct("Keyring").field("ids", &ids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(pool: &str, username: &str) -> Target {
        Target::parse(pool, username).expect("a valid target")
    }

    fn password(text: &str) -> Password {
        Password::parse(text.as_bytes()).expect("a valid password")
    }

    fn keyring(keys: &[(&str, u8)]) -> Keyring {
        let bytes: Vec<_> = keys
            .iter()
            .map(|(name, byte)| (*name, [*byte; 32]))
            .collect();
        Keyring::new(bytes.iter().map(|(name, key)| (*name, key.as_slice()))).expect("valid keys")
    }

    #[test]
    fn the_newest_key_signs_and_all_verify() {
        let old = keyring(&[("key-9", 1)]);
        let both = keyring(&[("key-10", 2), ("key-9", 1)]);
        let (bot, value) = (target("eu-west-1_a", "bot"), password("one two"));
        let by_old = old.sign(&bot, true, &value);
        let by_new = both.sign(&bot, true, &value);
        assert_ne!(by_old, by_new);
        assert_eq!(
            both.compare(by_old.as_str(), &bot, true, &value),
            Match::Same
        );
        assert_eq!(
            both.compare(by_new.as_str(), &bot, true, &value),
            Match::Same
        );
        assert_eq!(
            old.compare(by_new.as_str(), &bot, true, &value),
            Match::KeyGone
        );
        assert!(!old.knows(by_new.as_str()) && both.knows(by_old.as_str()));
        assert!(both.newest_signed(by_new.as_str()) && !both.newest_signed(by_old.as_str()));
    }

    #[test]
    fn a_field_that_differs_makes_another_fingerprint() {
        let ring = keyring(&[("key-1", 7)]);
        let (bot, value) = (target("eu-west-1_a", "bot"), password("one two"));
        let signed = ring.sign(&bot, true, &value);
        let others = [
            ring.compare(signed.as_str(), &target("eu-west-1_b", "bot"), true, &value),
            ring.compare(
                signed.as_str(),
                &target("eu-west-1_a", "bots"),
                true,
                &value,
            ),
            ring.compare(signed.as_str(), &bot, false, &value),
            ring.compare(signed.as_str(), &bot, true, &password("one three")),
        ];
        assert_eq!(others, [Match::Different; 4]);
    }

    #[test]
    fn a_retired_fingerprint_is_recognised_by_8_bytes() {
        let ring = keyring(&[("key-1", 7)]);
        let (bot, value) = (target("eu-west-1_a", "bot"), password("one two"));
        let retired = retire(ring.sign(&bot, true, &value).as_str());
        assert_eq!(retired.len(), 8 + 1 + 16);
        assert_eq!(ring.compare(&retired, &bot, true, &value), Match::Same);
        assert_eq!(
            ring.compare(&retired, &bot, true, &password("other")),
            Match::Different
        );
    }

    #[test]
    fn a_key_that_has_not_32_bytes_is_refused() {
        let short = Keyring::new([("key-1", &[1_u8; 31][..])]);
        assert_eq!(short.err(), Some(InvalidKey::Length));
        assert_eq!(Keyring::new([]).err(), Some(InvalidKey::None));
    }

    #[test]
    fn a_keyring_never_prints_a_key() {
        let printed = format!("{:?}", keyring(&[("key-1", 0xab)]));
        assert!(
            !printed.contains("abab") && !printed.contains("171"),
            "{printed}"
        );
    }

    proptest! {
        #[test]
        fn forged_records_are_never_the_same_and_never_panic(recorded in ".{0,90}") {
            let ring = keyring(&[("key-1", 7)]);
            let same = ring.compare(&recorded, &target("eu-west-1_a", "bot"), true, &password("one two"));
            prop_assert_ne!(same, Match::Same);
            let _ = retire(&recorded);
        }

        #[test]
        fn fields_never_run_into_each_other(a in "[a-z]{1,8}", b in "[a-z]{2,8}", cut in 1_usize..7) {
            let ring = keyring(&[("key-1", 7)]);
            let joined = format!("{a}{b}");
            prop_assume!(cut < joined.len() - 1 && cut != a.len());
            let one = ring.sign(&target("eu-west-1_a", &a), true, &password(&b));
            let other = ring.sign(&target("eu-west-1_a", &joined[..cut]), true, &password(&joined[cut..]));
            prop_assert_ne!(one, other);
        }
    }
}
