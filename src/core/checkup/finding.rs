//! What `check` and `doctor` find: findings, each with a level, and perhaps a cure.

use serde::Serialize;

/// How good or bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Level {
    /// As it should be.
    Well,
    /// The operator works, but a person should look at this.
    Warning,
    /// The caller could not find out.
    Unknown,
    /// The operator can't work, or not for everybody, or not for this resource.
    Failed,
}

impl Level {
    /// The mark in the output; one column wide.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Well => "✓",
            Self::Warning => "!",
            Self::Unknown => "?",
            Self::Failed => "×",
        }
    }
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What the finding is about, in one word, such as `kubernetes`, `crds`, `rights`, `grant` or `secret`.
    pub subject: &'static str,
    /// How good or bad it is.
    pub level: Level,
    /// What was found, in one or more sentences or parts of sentences, without line breaks.
    pub text: String,
    /// What mends it. None if nothing must be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<Cure>,
}

/// What mends a finding.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cure {
    /// What to do, as the end of a sentence; empty if the commands say enough.
    pub text: String,
    /// Commands to copy, each on one line. All of them together, in this order, are the cure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Other cures, each instead of the commands above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// The page of the documentation that says more, below `docs/`, such as `reasons.md#notgranted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// Another cure, instead of the first one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    /// What to do, as the end of a sentence.
    pub text: String,
    /// Commands to copy, each on one line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

impl Finding {
    /// A finding without a cure.
    #[must_use]
    pub const fn new(subject: &'static str, level: Level, text: String) -> Self {
        Self {
            subject,
            level,
            text,
            cure: None,
        }
    }

    /// The same finding with this cure.
    #[must_use]
    pub fn cured_by(mut self, cure: Cure) -> Self {
        self.cure = Some(cure);
        self
    }
}

impl Cure {
    /// A cure in words.
    #[must_use]
    pub fn words(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    /// A cure in words and one command.
    #[must_use]
    pub fn command(text: &str, command: String) -> Self {
        Self::commands(text, [command])
    }

    /// A cure in words and these commands.
    #[must_use]
    pub fn commands(text: &str, commands: impl IntoIterator<Item = String>) -> Self {
        Self {
            text: text.to_owned(),
            commands: commands.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The same cure, or instead of it these commands.
    #[must_use]
    pub fn or(mut self, text: &str, commands: impl IntoIterator<Item = String>) -> Self {
        self.alternatives.push(Alternative {
            text: text.to_owned(),
            commands: commands.into_iter().collect(),
        });
        self
    }

    /// The same cure, with the page that says more.
    #[must_use]
    pub fn more(mut self, page: &str) -> Self {
        self.page = Some(page.to_owned());
        self
    }
}

/// The exit status for these findings: 0 if all is well or only warned of, 1 if something failed, 3 if
/// something could not be found out.
#[must_use]
pub fn exit_status(findings: &[Finding]) -> u8 {
    match findings.iter().map(|it| it.level).max() {
        Some(Level::Failed) => 1,
        Some(Level::Unknown) => 3,
        Some(Level::Well | Level::Warning) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(level: Level) -> Finding {
        Finding {
            subject: "rights",
            level,
            text: "text".to_owned(),
            cure: None,
        }
    }

    #[test]
    fn the_worst_finding_decides_the_exit_status() {
        use Level::{Failed, Unknown, Warning, Well};
        let cases: [(&[Level], u8); 6] = [
            (&[], 0),
            (&[Well], 0),
            (&[Well, Warning], 0),
            (&[Unknown, Well], 3),
            (&[Failed, Unknown], 1),
            (&[Unknown, Failed, Warning], 1),
        ];
        for (levels, status) in cases {
            let findings: Vec<_> = levels.iter().copied().map(finding).collect();
            assert_eq!(exit_status(&findings), status, "{levels:?}");
        }
    }
}
