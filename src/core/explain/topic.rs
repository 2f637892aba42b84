//! What can be explained: every reason of every condition.

use crate::{
    api::{Class, REASONS, aws_codes},
    core::{
        access::grant_status::GRANT_REASONS,
        checkup::finding::Cure,
        condition::{
            ready::SUSPENDED,
            verified::{NOT_SEEN, UNKNOWN_STATE, USER_SEEN},
        },
    },
};
use serde::Serialize;

/// The command in cures that requests a set now.
const REQUEST: &str =
    "kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)";

/// Who acts next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub enum Next {
    /// A person. The operator doesn't try again before something changes.
    You,
    /// A person, or whoever owns what is missing. The operator then goes on by itself.
    Both,
    /// The operator, by itself.
    Operator,
    /// Nobody.
    Nobody,
}

impl Next {
    /// The word of the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::You => "you",
            Self::Both => "you first",
            Self::Operator => "operator",
            Self::Nobody => "nobody",
        }
    }

    /// The word as a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::You => {
                "you: the operator waits for a change of the spec, the Secret, the grant or a request"
            }
            Self::Both => "you: mend the cause, and the operator goes on by itself",
            Self::Operator => "the operator, by itself",
            Self::Nobody => "nothing to do",
        }
    }

    const fn of(class: Class) -> Self {
        match class {
            Class::Settled => Self::Nobody,
            Class::Stalled => Self::You,
            Class::Waiting => Self::Both,
            Class::Transient | Class::Unknown => Self::Operator,
        }
    }
}

/// One reason of one condition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Topic {
    /// The word in the condition.
    pub reason: String,
    /// The kind that has the condition.
    pub kind: &'static str,
    /// The condition.
    pub condition: &'static str,
    /// The class: `Settled`, `Stalled`, `Waiting`, `Transient` or `Unknown`.
    pub class: &'static str,
    /// Who acts next.
    pub next: Next,
    /// AWS's error codes that lead to the reason.
    pub codes: Vec<&'static str>,
    /// What happened.
    pub meaning: String,
    /// What to do; None if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<Cure>,
    /// The page, below `docs/`.
    pub page: String,
}

/// Every topic: the reasons of a resource's Ready, then those of Verified and Suspended, then those of a grant.
#[must_use]
pub fn topics() -> Vec<Topic> {
    let others = aws_codes().filter(|code| !REASONS.iter().any(|it| it.codes.contains(code)));
    let others: Vec<_> = others.collect();
    let mut topics: Vec<_> = REASONS
        .iter()
        .map(|entry| {
            let mut codes = entry.codes.to_vec();
            if entry.word == "UnhandledError" {
                codes.extend(&others);
            }
            let page = format!("reasons.md#{}", entry.word.to_lowercase());
            Topic {
                reason: entry.word.to_owned(),
                kind: "CognitoUserPassword",
                condition: "Ready",
                class: class_word(entry.class),
                next: Next::of(entry.class),
                codes,
                meaning: entry.meaning.to_owned(),
                cure: cure(entry.cure, &page),
                page,
            }
        })
        .collect();
    topics.extend(of_verified());
    topics.push(Topic {
        reason: SUSPENDED.to_owned(),
        kind: "CognitoUserPassword",
        condition: "Suspended",
        class: "Settled",
        next: Next::You,
        codes: Vec::new(),
        meaning: "spec.suspend is true, so the operator leaves the user's password alone"
            .to_owned(),
        cure: cure(
            "set spec.suspend to false when the operator shall set the password again",
            SUSPENSION,
        ),
        page: SUSPENSION.to_owned(),
    });
    topics.extend(GRANT_REASONS.iter().map(|reason| of_grant(reason)));
    topics
}

/// The page about suspensions.
const SUSPENSION: &str = "tenant.md#suspend-or-delete";

/// The page about the condition Verified.
const VERIFIED: &str = "reasons.md#the-condition-verified";

/// The page about the condition of a grant.
const GRANT: &str = "multi-tenancy.md#the-status-of-a-grant";

/// A cure in words, with the command that the words name apart from the words. None without words.
fn cure(words: &str, page: &str) -> Option<Cure> {
    let commands = words.contains(REQUEST).then(|| REQUEST.to_owned());
    let text = words.replace(REQUEST, "the command below");
    (!words.is_empty()).then(|| Cure::commands(&text, commands).more(page))
}

fn of_verified() -> [Topic; 3] {
    let topic = |(reason, message): (&str, &str), next, words: &str| {
        // The message is one sentence about what the look found, and perhaps a second one, the cure.
        let meaning = message.split(". ").next().unwrap_or(message);
        Topic {
            reason: reason.to_owned(),
            kind: "CognitoUserPassword",
            condition: "Verified",
            class: if next == Next::Nobody {
                "Settled"
            } else {
                "Waiting"
            },
            next,
            codes: Vec::new(),
            meaning: decapitalized(meaning.trim_end_matches('.')),
            cure: cure(words, VERIFIED),
            page: VERIFIED.to_owned(),
        }
    };
    [
        topic(USER_SEEN, Next::Nobody, ""),
        topic(
            NOT_SEEN,
            Next::Both,
            "name the user by the username that Cognito stores, or by the sub, in a new resource",
        ),
        topic(
            UNKNOWN_STATE,
            Next::Operator,
            "nothing to do if the user can sign in; otherwise look at the user in Cognito, and install a newer version",
        ),
    ]
}

fn of_grant(reason: &str) -> Topic {
    let (class, next, meaning, words) = match reason {
        "Accepted" => ("Settled", Next::Nobody, "the grant is in force", ""),
        "InvalidSpec" => (
            "Stalled",
            Next::You,
            "the grant is invalid and admits no resource",
            "correct the field that the message names",
        ),
        _ => (
            "Waiting",
            Next::Both,
            "the operator can't assume the grant's role",
            "let the role's trust policy name the operator's identity, and spec.externalId if it asks for one, and let the operator's own policy allow sts:AssumeRole on it; the operator tries again by itself",
        ),
    };
    Topic {
        reason: reason.to_owned(),
        kind: "CognitoUserPoolGrant",
        condition: "Ready",
        class,
        next,
        codes: Vec::new(),
        meaning: meaning.to_owned(),
        cure: cure(words, GRANT),
        page: GRANT.to_owned(),
    }
}

const fn class_word(class: Class) -> &'static str {
    match class {
        Class::Settled => "Settled",
        Class::Stalled => "Stalled",
        Class::Waiting => "Waiting",
        Class::Transient => "Transient",
        Class::Unknown => "Unknown",
    }
}

fn decapitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_lowercase);
    first.chain(chars).collect()
}

/// The topics of a reason or of one of AWS's error codes, in upper or lower case. Empty for an unknown word.
#[must_use]
pub fn topics_of(word: &str) -> Vec<Topic> {
    let is_word = |other: &str| other.eq_ignore_ascii_case(word);
    let topics = topics().into_iter();
    let (by_word, others): (Vec<_>, Vec<_>) = topics.partition(|topic| is_word(&topic.reason));
    if !by_word.is_empty() {
        return by_word;
    }
    let by_code = others.into_iter();
    by_code
        .filter(|topic| topic.codes.iter().any(|code| is_word(code)))
        .collect()
}

/// Up to five reasons and codes that are spelled like an unknown word, the nearest first.
#[must_use]
pub fn near(word: &str) -> Vec<String> {
    let folded = word.to_lowercase();
    let all = topics().into_iter().flat_map(|topic| {
        let codes = topic.codes.into_iter().map(str::to_owned);
        [topic.reason].into_iter().chain(codes).collect::<Vec<_>>()
    });
    let mut near: Vec<_> = all
        .filter_map(|known| {
            let other = known.to_lowercase();
            let is_part = folded.len() >= 4 && other.contains(&folded);
            let distance = if is_part {
                1
            } else {
                distance(&folded, &other)
            };
            (distance <= 1 + folded.len() / 4).then_some((distance, known))
        })
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().map(|(_, known)| known).take(5).collect()
}

/// The edit distance of two words, up to 64 characters of each.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, of_a) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, of_b) in b.iter().enumerate() {
            let changed = diagonal + usize::from(of_a != of_b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn every_reason_and_every_code_is_explained_in_any_case() {
        for entry in REASONS {
            for word in [entry.word.to_owned(), entry.word.to_uppercase()] {
                let topics = topics_of(&word);
                assert!(topics.iter().any(|it| it.reason == entry.word), "{word}");
            }
        }
        for code in aws_codes() {
            assert!(!topics_of(&code.to_lowercase()).is_empty(), "{code}");
        }
        for word in
            GRANT_REASONS
                .iter()
                .chain(&["UserSeen", "NotSeen", "UnknownUserState", "Suspended"])
        {
            assert!(!topics_of(word).is_empty(), "{word}");
        }
        // A resource's Ready and a grant's Ready both have this reason.
        assert_eq!(topics_of("InvalidCredentials").len(), 2);
        assert_eq!(topics_of("UserNotFoundException")[0].reason, "UserNotFound");
    }

    #[rstest]
    #[case("UserNotFond", "UserNotFound")]
    #[case("usernotfound_", "UserNotFound")]
    #[case("Throttled", "ThrottledException")]
    #[case("granted", "NotGranted")]
    fn an_unknown_word_has_near_ones(#[case] word: &str, #[case] wanted: &str) {
        assert!(topics_of(word).is_empty());
        assert!(near(word).iter().any(|it| it == wanted), "{:?}", near(word));
    }

    #[test]
    fn nothing_is_near_to_nonsense() {
        for word in ["", "xyzzyxyzzy", "\u{1b}[31m"] {
            assert_eq!(near(word), Vec::<String>::new(), "{word:?}");
        }
    }

    #[test]
    fn a_command_stands_apart_from_its_sentence() {
        for topic in topics() {
            let cure = topic.cure.unwrap_or_default();
            assert!(!cure.text.contains("kubectl annotate"), "{}", topic.reason);
            assert_eq!(
                cure.text.contains("command below"),
                !cure.commands.is_empty()
            );
        }
    }

    #[test]
    fn each_page_has_the_place_that_its_topic_names() {
        let pages = [
            ("reasons.md", include_str!("../../../docs/reasons.md")),
            (
                "multi-tenancy.md",
                include_str!("../../../docs/multi-tenancy.md"),
            ),
            ("tenant.md", include_str!("../../../docs/tenant.md")),
        ];
        for topic in topics() {
            let (page, anchor) = topic.page.split_once('#').expect("a place");
            let (_, text) = pages
                .iter()
                .find(|(name, _)| *name == page)
                .expect("a page");
            let is_heading = |line: &str| {
                line.starts_with('#')
                    && line
                        .trim_start_matches(['#', ' '])
                        .to_lowercase()
                        .replace(' ', "-")
                        == anchor
            };
            assert!(text.lines().any(is_heading), "{}", topic.page);
        }
    }
}
