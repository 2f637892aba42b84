//! The length of the drills, and the seed.

use crate::support::Random;

/// Settings from the environment. `ROUNDS` selects the long form. `SEED` repeats the faults, values and times
/// of an earlier run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// None: the short form, a part of `make test`.
    rounds: Option<usize>,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        let number = |name: &str| -> Option<u64> {
            let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
            let number = text.parse();
            Some(number.unwrap_or_else(|_| panic!("{name} is a whole number, not {text:?}")))
        };
        let rounds = number("ROUNDS").and_then(|rounds| usize::try_from(rounds).ok());
        let fresh = || u64::from(getrandom::u32().expect("the system has randomness"));
        Self {
            seed: number("SEED").unwrap_or_else(fresh),
            rounds,
        }
    }

    pub(crate) fn is_long(self) -> bool {
        self.rounds.is_some()
    }

    /// The number of repetitions: `short` in the short form, `a_round` for each round of the long form.
    pub(crate) fn count(self, short: usize, a_round: usize) -> usize {
        self.rounds
            .map_or(short, |rounds| (rounds * a_round).max(1))
    }

    /// Random numbers for this drill.
    pub(crate) fn random(self, drill: &str) -> Random {
        let number = drill
            .bytes()
            .fold(0_u64, |sum, byte| sum * 31 + u64::from(byte));
        Random::new(self.seed).fork(number)
    }
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rounds {
            Some(rounds) => write!(f, "ROUNDS={rounds} SEED={}", self.seed),
            None => write!(f, "short form, SEED={}", self.seed),
        }
    }
}
