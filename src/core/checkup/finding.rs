//! The result of `check`: findings, each with a level.

use std::fmt;

/// How good or bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// As it should be.
    Well,
    /// The operator works, but a person should look at this.
    Warning,
    /// The caller could not find out.
    Unknown,
    /// The operator can't work, or not for everybody.
    Failed,
}

impl Level {
    /// The word in the output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What the finding is about, in one word: `kubernetes`, `crds`, `rights`, `leader`, `operator`,
    /// `identity`.
    pub subject: &'static str,
    /// How good or bad it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What mends it; empty if nothing must be mended.
    pub cure: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            level,
            text,
            cure,
        } = self;
        write!(f, "{subject:<11} {:<8} {text}", level.word())?;
        if !cure.is_empty() {
            write!(f, "\n{:<20} cure: {cure}", "")?;
        }
        Ok(())
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
            cure: String::new(),
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

    #[test]
    fn a_cure_stands_under_its_finding() {
        let mut finding = finding(Level::Failed);
        assert_eq!(finding.to_string(), "rights      failed   text");
        finding.cure = "do this".to_owned();
        assert_eq!(
            finding.to_string(),
            "rights      failed   text\n                     cure: do this"
        );
    }
}
