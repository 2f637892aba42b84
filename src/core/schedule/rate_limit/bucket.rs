//! The token bucket of one rate limiter.

use std::time::Duration;

/// How long the rate takes to grow from nothing to the full rate.
const RECOVERY_SECONDS: f64 = 30.0;

/// The lowest rate, as a fraction of the full rate.
const RATE_MIN: f64 = 0.1;

/// How many calls of one quota category the operator may make to one account and Region.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RateLimits {
    /// Calls per second, in the long run.
    pub rps: f64,
    /// Calls at once, after a rest.
    pub burst: u32,
}

impl RateLimits {
    /// How many calls may leave in any second: at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the command line takes up to 10,000 calls a second, and a burst of 1 to 10,000"
    )]
    pub(super) fn calls_a_second(self) -> usize {
        (self.rps + f64::from(self.burst)).max(1.0) as usize
    }
}

/// A token bucket. The rate is halved when Cognito throttles, and recovers slowly.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) limits: RateLimits,
    /// The current rate in calls per second, at most `limits.rps`.
    pub(super) rate: f64,
    pub(super) tokens: f64,
    /// The time at which `rate` and `tokens` were computed.
    pub(super) at: Duration,
    /// When the rate was last halved.
    halved_at: Option<Duration>,
}

impl Bucket {
    pub(super) fn new(limits: RateLimits, now: Duration) -> Self {
        Self {
            limits,
            rate: limits.rps,
            tokens: f64::from(limits.burst),
            at: now,
            halved_at: None,
        }
    }

    /// The burst shrinks with the rate. After a rest at a lowered rate, Cognito would throttle a full burst
    /// again.
    pub(super) fn capacity(&self) -> f64 {
        (f64::from(self.limits.burst) * self.rate / self.limits.rps).max(1.0)
    }

    pub(super) fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + self.rate * passed).min(self.capacity());
        let recovered = self.rate + self.limits.rps * passed / RECOVERY_SECONDS;
        self.rate = recovered.min(self.limits.rps);
    }

    pub(super) fn is_full(&self) -> bool {
        // Compared with the capacity and not with the burst: 3 * 0.7 / 0.7 is less than 3.
        self.rate >= self.limits.rps && self.tokens >= self.capacity()
    }

    /// Halves the rate, unless the call was sent before the last halving. Cognito throttles calls that are in
    /// flight together, and such calls count once.
    pub(super) fn throttled(&mut self, sent_at: Duration, now: Duration) {
        self.advance(now);
        if self.halved_at.is_some_and(|halved| sent_at < halved) {
            return;
        }
        self.rate = (self.rate / 2.0).max(self.limits.rps * RATE_MIN);
        self.tokens = 0.0;
        self.halved_at = Some(now);
    }

    pub(super) fn until_token(&self) -> Duration {
        self.until_tokens(1.0)
    }

    pub(super) fn until_tokens(&self, tokens: f64) -> Duration {
        let missing = (tokens - self.tokens).max(0.0);
        // Rounded up: a timer that fires too early would find no token and be set to zero again.
        Duration::from_secs_f64(missing / self.rate) + Duration::from_millis(1)
    }
}
