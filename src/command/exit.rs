//! How a command ends.

use std::process::ExitCode;

/// The exit status of a command that did its work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Exit {
    /// All is well: 0.
    Well,
    /// The command found something that a person should mend: 1.
    Found,
    /// Something could not be found out: 3.
    Unknown,
}

impl Exit {
    /// The number of the exit status.
    #[must_use]
    pub const fn status(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Found => 1,
            Self::Unknown => 3,
        }
    }

    /// How a command ends with these results: something found counts more than something unknown.
    pub fn worst(all: impl Iterator<Item = Self>) -> Self {
        let weight = |exit: &Self| match exit {
            Self::Well => 0,
            Self::Unknown => 1,
            Self::Found => 2,
        };
        all.max_by_key(weight).unwrap_or(Self::Well)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// Why a command could not do its work. The text is one line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// An argument is wrong, or an argument is missing: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// The API server can't be reached, or refuses: exit status 3.
    #[error("{0}")]
    Unknown(String),
}

impl Failure {
    /// The number of the exit status.
    #[must_use]
    pub const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Unknown(_) => Exit::Unknown.status(),
        }
    }
}
