//! Follows one resource until a judgement ends the wait, or until the time is over. Says each change on standard
//! error.

use super::entries::{Entry, State, say};
use crate::{
    cluster::inspect::{follow::Follower, observed::Sight},
    core::ask::{awaited::Judgement, observed::ObservedResource},
};
use jiff::SignedDuration;
use kube::Client;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A resource, and how long to follow the resource.
pub(super) struct Followed<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// What is waited for, in a word or two, for the lines of the progress.
    pub(super) goal: &'a str,
    pub(super) until: Instant,
}

impl Followed<'_> {
    /// Follows the resource. The resource is read once, even if the time is over already. The state is `met` for the
    /// judgement of this name.
    pub(super) async fn follow(
        &self,
        met: State,
        judge: impl Fn(Option<&ObservedResource>) -> Judgement,
    ) -> Entry {
        let entry = |state| Entry::new(self.namespace, self.name, state);
        let mut follower = Follower::new(self.client.clone(), self.namespace, self.name);
        let (mut said, mut is_polling) = (String::new(), false);
        let mut sight = follower.next().await;
        loop {
            let (line, over) = match &sight {
                Sight::Denied(_) => {
                    let denied = Entry::of_sight(self.namespace, self.name, &sight);
                    return denied.unwrap_or_else(|| entry(State::Unknown));
                }
                Sight::Failed(why) => {
                    let line = format!("can't be read, and is tried again: {why}");
                    (line, entry(State::Unknown).message(why))
                }
                Sight::Present(_) | Sight::Absent => {
                    let resource = match &sight {
                        Sight::Present(resource) => Some(&**resource),
                        Sight::Absent | Sight::Denied(_) | Sight::Failed(_) => None,
                    };
                    match judge(resource) {
                        Judgement::Met(words) => return entry(met).words(words),
                        Judgement::Failed(words) => return entry(State::Failed).words(words),
                        Judgement::Waiting(words) => {
                            let line = format!(
                                "waiting for {}: {}: {}",
                                self.goal, words.reason, words.message
                            );
                            (line, entry(State::TimedOut).words(words))
                        }
                    }
                }
            };
            if Instant::now() >= self.until {
                return over;
            }
            if line != said {
                say(&format!("{}/{}: {line}", self.namespace, self.name));
                said = line;
            }
            sight = match timeout_at(self.until, follower.next()).await {
                Ok(sight) => sight,
                Err(_) => return over,
            };
            if let Some(right) = follower.unwatched().filter(|_| !is_polling) {
                is_polling = true;
                say(&format!(
                    "{}/{}: you may not {right}, so the resource is read every 2 s",
                    self.namespace, self.name
                ));
            }
        }
    }
}

/// Ends on SIGINT, or on SIGTERM: the first process of a container ends by no signal that the process doesn't handle.
pub(super) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// The longest time limit: a year.
const SPAN_MAX: Duration = Duration::from_hours(24 * 366);

/// A time such as `30s`, `5m` or `1h30m`, or a number of seconds.
///
/// # Errors
/// The form that is right.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u32>().ok();
    let span = || text.parse::<SignedDuration>().ok()?.try_into().ok();
    let span: Option<Duration> = seconds
        .map(|it| Duration::from_secs(it.into()))
        .or_else(span);
    span.filter(|it| *it <= SPAN_MAX)
        .ok_or_else(|| "a time such as 30s, 5m, 1h30m or 90 is needed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", Some(0))]
    #[case("0s", Some(0))]
    #[case("30s", Some(30))]
    #[case("5m", Some(300))]
    #[case("1h30m", Some(5400))]
    #[case("5", Some(5))]
    #[case("-5m", None)]
    #[case("9000000h", None)]
    #[case("soon", None)]
    #[case("", None)]
    fn a_time_is_a_span_or_a_number_of_seconds(#[case] text: &str, #[case] seconds: Option<u64>) {
        assert_eq!(span(text).ok(), seconds.map(Duration::from_secs));
    }
}
