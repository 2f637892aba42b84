//! Whether the operator is ready: the checks behind `/readyz`. [`server`](super::server) serves `/readyz`
//! without authentication, so no name and no message of a check may be secret.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All checks together: ready if every check passes. Clones share the checks.
///
/// Without any check the operator counts as ready, so make the checks before serving.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    checks: Checks,
}

/// One thing that must work before the operator is ready. Clones share the state. After a drop, the last
/// state stays.
#[derive(Clone, Debug)]
pub struct Check {
    name: String,
    checks: Checks,
}

/// By name, so that the answer of `/readyz` is sorted.
type Checks = Arc<Mutex<BTreeMap<String, CheckResult>>>;

#[derive(Debug)]
struct CheckResult {
    /// The last lasting state: passed, or the reason for the failure.
    lasting: Result<(), String>,
    /// A temporary failure, which hides the lasting state until the failure expires.
    temporary: Option<TemporaryFailure>,
}

#[derive(Debug)]
struct TemporaryFailure {
    message: String,
    /// When the failure expires, unless the failure is repeated.
    until: Instant,
}

impl CheckResult {
    fn not_yet() -> Self {
        Self {
            lasting: Err("not yet".to_owned()),
            temporary: None,
        }
    }

    fn failure_at(&self, now: Instant) -> Option<&str> {
        match (&self.temporary, &self.lasting) {
            (Some(failure), _) if now < failure.until => Some(&failure.message),
            (_, Err(message)) => Some(message),
            (_, Ok(())) => None,
        }
    }
}

/// A poisoned lock is safe to use: each verdict changes by one assignment.
fn lock(checks: &Checks) -> MutexGuard<'_, BTreeMap<String, CheckResult>> {
    checks.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readiness {
    /// Ready, as long as there are no checks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a check, which fails with "not yet" until it passes. If a check of this name exists, returns
    /// that check with its state.
    pub fn check(&self, name: impl Into<String>) -> Check {
        let name = name.into();
        lock(&self.checks)
            .entry(name.clone())
            .or_insert_with(CheckResult::not_yet);
        Check {
            name,
            checks: Arc::clone(&self.checks),
        }
    }

    /// The checks that fail now, as `name: message`, one line each, sorted by name. Empty means ready.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.failures_at(Instant::now())
    }

    fn failures_at(&self, now: Instant) -> Vec<String> {
        lock(&self.checks)
            .iter()
            .filter_map(|(name, result)| {
                let message = result.failure_at(now)?;
                Some(one_line(&format!("{name}: {message}")))
            })
            .collect()
    }
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

impl Check {
    /// Reports that the check passes.
    pub fn pass(&self) {
        self.set(Ok(()));
    }

    /// Reports a failure that lasts until [`pass`](Self::pass).
    pub fn fail(&self, message: impl Into<String>) {
        self.set(Err(message.into()));
    }

    /// Reports a failure that expires after `heal_after`, unless the failure is repeated. After the expiry,
    /// the check has its previous state: passed, or failing with the previous message. For sources that
    /// repeat failures but report no recovery, such as kube's watcher. `heal_after` must be longer than the
    /// longest pause between two such reports.
    pub fn fail_for(&self, message: impl Into<String>, heal_after: Duration) {
        self.fail_for_at(message.into(), heal_after, Instant::now());
    }

    fn fail_for_at(&self, message: String, heal_after: Duration, now: Instant) {
        let Some(until) = now.checked_add(heal_after) else {
            return self.fail(message); // past the end of the clock: never expires
        };
        self.update(|result| result.temporary = Some(TemporaryFailure { message, until }));
    }

    fn set(&self, lasting: Result<(), String>) {
        self.update(|result| {
            *result = CheckResult {
                lasting,
                temporary: None,
            };
        });
    }

    fn update(&self, change: impl FnOnce(&mut CheckResult)) {
        let mut checks = lock(&self.checks);
        let result = checks
            .entry(self.name.clone())
            .or_insert_with(CheckResult::not_yet);
        change(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_new_check_fails_with_not_yet() {
        let readiness = Readiness::new();
        assert_eq!(readiness.failures(), [""; 0]);
        let lease = readiness.check("lease");
        assert_eq!(readiness.failures(), ["lease: not yet"]);
        lease.pass();
        assert_eq!(readiness.failures(), [""; 0]);
    }

    #[test]
    fn failing_checks_are_listed_by_name_one_line_each() {
        let readiness = Readiness::new();
        readiness.check("watch").fail("403\nForbidden\r\nx: y");
        readiness.check("keys").pass();
        readiness.check("api");
        assert_eq!(
            readiness.failures(),
            ["api: not yet", "watch: 403 Forbidden  x: y"]
        );
    }

    #[test]
    fn a_failure_lasts_until_the_check_passes() {
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.pass();
        check.fail("gone");
        assert_eq!(
            readiness.failures_at(Instant::now() + 1000 * MINUTE),
            ["watch: gone"]
        );
    }

    #[test]
    fn a_temporary_failure_that_is_not_repeated_expires() {
        let now = Instant::now();
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.pass();
        check.fail_for_at("gone".to_owned(), MINUTE, now);
        assert_eq!(readiness.failures_at(now), ["watch: gone"]);
        assert_eq!(readiness.failures_at(now + 59 * SECOND), ["watch: gone"]);
        assert_eq!(readiness.failures_at(now + MINUTE), [""; 0]);
    }

    #[test]
    fn a_repeated_temporary_failure_lasts_longer() {
        let now = Instant::now();
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.pass();
        check.fail_for_at("gone".to_owned(), MINUTE, now);
        check.fail_for_at("still gone".to_owned(), MINUTE, now + 50 * SECOND);
        assert_eq!(
            readiness.failures_at(now + 100 * SECOND),
            ["watch: still gone"]
        );
        assert_eq!(readiness.failures_at(now + 110 * SECOND), [""; 0]);
    }

    #[test]
    fn a_check_that_never_passed_does_not_pass_when_a_temporary_failure_expires() {
        let now = Instant::now();
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.fail_for_at("403".to_owned(), MINUTE, now);
        assert_eq!(readiness.failures_at(now), ["watch: 403"]);
        assert_eq!(readiness.failures_at(now + 2 * MINUTE), ["watch: not yet"]);
    }

    #[test]
    fn a_pass_ends_a_temporary_failure() {
        let now = Instant::now();
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.fail_for_at("403".to_owned(), MINUTE, now);
        check.pass();
        assert_eq!(readiness.failures_at(now), [""; 0]);
    }

    #[test]
    fn a_temporary_failure_beyond_the_end_of_the_clock_never_expires() {
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.pass();
        check.fail_for("gone", Duration::MAX);
        assert_eq!(readiness.failures(), ["watch: gone"]);
    }

    #[test]
    fn two_checks_of_one_name_share_their_state() {
        let readiness = Readiness::new();
        readiness.check("lease").pass();
        let again = readiness.clone().check("lease");
        assert_eq!(readiness.failures(), [""; 0]);
        again.fail("lost");
        assert_eq!(readiness.failures(), ["lease: lost"]);
    }
}
