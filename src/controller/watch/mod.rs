//! Following the watches: what they tell goes into the index, and what follows for
//! whom goes into the queue. Nothing is asked for before both kinds are listed in a scope: a
//! Secret that isn't listed yet is not a Secret that isn't there. Nor before the resources of all
//! scopes are listed, or known not to be for now: an older resource for the same user may be in any.
//! Nor before the grants and the namespaces are listed, where there are grants.

mod grants;
mod secrets;

use super::{
    context::Context, isolate::isolated_async, reconcile::triage, schedule::pace::Pace,
    state::key::Key,
};
use crate::{
    api::CognitoUserPassword,
    cluster::{
        events,
        watch::{
            self, MaybeResource, Scope, WatchEvent, WatchKind,
            lean_object::{DecodeError, LeanObject},
        },
    },
    cognito::Cognito,
    ops::health::{Check, Readiness},
};
use futures::StreamExt;
use kube::{
    ResourceExt,
    runtime::{events::EventType, watcher::Event},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

/// So many resources that wait for a user whom another one manages by now are woken at a time.
const STALE_AT_ONCE: usize = 32;

/// Between two such portions.
const STALE_EVERY: Duration = Duration::from_millis(500);

/// Follows the watches of all scopes, for ever.
pub(crate) async fn follow<C: Cognito>(
    context: Arc<Context<C>>,
    scopes: Vec<Scope>,
    readiness: Readiness,
) {
    let watches = scopes.iter().map(|scope| {
        let scope = scope.clone();
        let selector = context.secret_selector.as_ref();
        watch::watch(&context.client, &scope, selector)
            .map(move |told| (scope.clone(), told))
            .boxed()
    });
    // Grants belong to the whole cluster: who sees but a part of it goes without.
    let grants = scopes.contains(&Scope::All).then(|| {
        watch::watch_grants(&context.client)
            .map(|told| (Scope::All, told))
            .boxed()
    });
    let watches = watches.chain(grants);
    let mut told = futures::stream::select_all(watches);
    let mut follower = EventHandler::new(context.clone(), &scopes, &readiness);
    let mut pace = Pace::new();
    let mut next_stale = tokio::time::Instant::now();
    loop {
        let has_stale = context.index().has_stale();
        let (scope, told) = tokio::select! {
            told = told.next() => match told {
                Some(told) => told,
                None => return,
            },
            () = sleep_until(next_stale), if has_stale => {
                next_stale = tokio::time::Instant::now() + STALE_EVERY;
                follower.ask_stale().await;
                continue;
            }
        };
        follower.follow(&scope, told).await;
        pace.step().await;
    }
}

/// Makes the checks of all watches, failing until they have listed. Called before `/readyz` is
/// served: a check that isn't there yet doesn't fail, and the operator would be called ready.
pub fn expect(readiness: &Readiness, scopes: &[Scope]) {
    for (scope, watched) in all_watches(scopes) {
        drop(readiness.check(check_name(&scope, watched)));
    }
}

fn all_watches(scopes: &[Scope]) -> impl Iterator<Item = (Scope, WatchKind)> {
    scopes.iter().flat_map(|scope| {
        let watched: &[WatchKind] = match scope {
            Scope::All => &[
                WatchKind::Resources,
                WatchKind::Secrets,
                WatchKind::Grants,
                WatchKind::Namespaces,
            ],
            Scope::Namespace(_) => &[WatchKind::Resources, WatchKind::Secrets],
        };
        watched.iter().map(|watched| (scope.clone(), *watched))
    })
}

pub(crate) struct EventHandler<C> {
    context: Arc<Context<C>>,
    watches: HashMap<(Scope, WatchKind), State>,
    /// What was last reported as unreadable.
    unreadable: HashMap<Key, Option<String>>,
}

/// The event on a resource that can't be read.
const UNDECODABLE: &str = "Undecodable";

/// So many failures in a row, and it is no longer merely late (a second or two): before the first list
/// nobody waits for it any longer, and what is known of grants is doubtful.
const BROKEN_AFTER: u32 = 3;

struct State {
    check: Check,
    listed: bool,
    /// What was said last of what is wrong.
    broken: Option<String>,
    streak: watch::Streak,
}

impl<C: Cognito> EventHandler<C> {
    pub(crate) fn new(context: Arc<Context<C>>, scopes: &[Scope], readiness: &Readiness) -> Self {
        let state = |(scope, watched): (Scope, WatchKind)| {
            let check = readiness.check(check_name(&scope, watched));
            let state = State {
                check,
                listed: false,
                broken: None,
                streak: watch::Streak::default(),
            };
            ((scope, watched), state)
        };
        let awaited = all_watches(scopes).filter(|(_, watched)| *watched != WatchKind::Secrets);
        context.index().await_all(awaited);
        Self {
            context,
            watches: all_watches(scopes).map(state).collect(),
            unreadable: HashMap::new(),
        }
    }

    /// Follows a watch event. The work for each object is isolated by itself, so that the rest of the
    /// event is followed, and so that a half-done change is made up for. This is for what is left.
    pub(crate) async fn follow(&mut self, scope: &Scope, told: WatchEvent) {
        let metrics = self.context.metrics.clone();
        let step = "following a watch event";
        isolated_async(&metrics, &scope_name(scope), step, self.told(scope, told)).await;
    }

    /// Asks for reconciles of some resources whose message may name a former manager of their user.
    pub(crate) async fn ask_stale(&self) {
        let take = || self.context.index().take_stale(STALE_AT_ONCE);
        let step = "finding the resources of a user with a new manager";
        let stale = self.context.isolated(&"claims", step, take);
        self.ask(stale.unwrap_or_default()).await;
    }

    async fn told(&mut self, scope: &Scope, told: WatchEvent) {
        match told {
            WatchEvent::Resource(event) => self.resource(scope, *event).await,
            WatchEvent::Secret(event) => self.secret(scope, *event).await,
            WatchEvent::Grant(event) => self.grant(*event).await,
            WatchEvent::Namespace(event) => self.namespace(*event).await,
            WatchEvent::Broken {
                watched,
                why,
                code,
                fails_within,
            } => {
                let now = Instant::now();
                let failures = self.broken(scope, watched, &why, now, fails_within).await;
                if is_doubtful(code, failures) {
                    let until = now + watch::repeats_within(failures, fails_within);
                    self.doubt(watched, Some(until));
                }
            }
        }
    }

    async fn resource(&mut self, scope: &Scope, event: Event<MaybeResource>) {
        match event {
            // The beginning of a list that may fail yet.
            Event::Init => {
                self.context.index().resources_listing(scope);
                return;
            }
            Event::InitApply(LeanObject(Ok(resource))) | Event::Apply(LeanObject(Ok(resource))) => {
                self.apply(scope, &resource).await;
            }
            Event::InitApply(ref unreadable @ LeanObject(Err(ref invalid)))
            | Event::Apply(ref unreadable @ LeanObject(Err(ref invalid))) => {
                self.unreadable(scope, unreadable, invalid).await;
            }
            Event::Delete(resource) => self.gone(&Key::of(&resource)).await,
            Event::InitDone => {
                let known = self.context.index().resources_listed(scope);
                let mut pace = Pace::new();
                for gone in known {
                    if let Some(key) = gone {
                        self.gone(&key).await;
                    }
                    pace.step().await;
                }
                self.listed(scope, WatchKind::Resources).await;
                self.await_no_longer(scope, WatchKind::Resources).await;
                return;
            }
        }
        self.works(scope, WatchKind::Resources);
    }

    async fn apply(&mut self, scope: &Scope, resource: &CognitoUserPassword) {
        let key = Key::of(resource);
        self.moved_on(&key);
        let context = self.context.clone();
        let index = || {
            let affected = context.index().apply_resource(scope, resource);
            // The watch may lag behind what this process itself wrote.
            if let Some(own) = context.memory.later_own(&key, resource) {
                context.index().wrote(&own);
            }
            affected
        };
        let affected = match context.isolated(&key, "indexing a resource", index) {
            Some(affected) => affected,
            None => self.keep_claim(scope, &key, resource),
        };
        self.ask(affected).await;
    }

    /// Indexing this resource panicked, perhaps half-way. Until its next event it is as one that can't be
    /// read: the resource keeps its claim, or a younger resource's value would be set over its own, and
    /// is not reconciled.
    fn keep_claim(&mut self, scope: &Scope, key: &Key, resource: &CognitoUserPassword) -> Vec<Key> {
        let context = self.context.clone();
        let keep = || {
            let affected = context.index().apply_claim_only(scope, resource);
            self.forget(key);
            affected
        };
        let kept = context.isolated(key, "keeping a resource's claim", keep);
        kept.unwrap_or_default()
    }

    async fn gone(&mut self, key: &Key) {
        let context = self.context.clone();
        let remove = || {
            let affected = context.index().delete_resource(key);
            self.forget(key);
            affected
        };
        let affected = context.isolated(key, "removing a resource", remove);
        self.ask(affected.unwrap_or_default()).await;
    }

    fn forget(&mut self, key: &Key) {
        self.moved_on(key);
        self.context.memory.forget(key);
        self.context.permits.leave(key);
        self.context.queue.forget(key);
        self.context.version_queue.forget(key);
        self.context.credential_gate.forget(key);
    }

    /// A resource that this version can't read: said once for each of its versions. It keeps its claim on
    /// its user, and nothing is done for it.
    async fn unreadable(
        &mut self,
        scope: &Scope,
        resource: &MaybeResource,
        unreadable: &DecodeError,
    ) {
        let key = Key::of(resource);
        let index = || {
            let mut index = self.context.index();
            index.apply_unreadable(scope, &key, unreadable)
        };
        let step = "indexing a resource that can't be read";
        let affected = self.context.isolated(&key, step, index);
        self.ask(affected.unwrap_or_default()).await;
        let version = resource.resource_version();
        let said = self.unreadable.get(&key);
        if said.is_some_and(|said| *said == version) {
            return;
        }
        self.forget(&key);
        let why = without_values(&unreadable.error);
        warn!(object = %key, why, "this resource can't be read and is skipped");
        self.context.metrics.undecodable_resource();
        let note = format!(
            "This version of the operator can't read the resource and skips it ({why}): write it anew after the CRD of this version."
        );
        let regarding = events::reference(resource);
        let type_ = EventType::Warning;
        let events = &self.context.events;
        events.tell(regarding, type_, UNDECODABLE, "Read", &note);
        self.unreadable.insert(key, version);
    }

    /// What was unreadable isn't there any more in this version. On a standby nobody has said so yet,
    /// and whoever leads one day would.
    fn moved_on(&mut self, key: &Key) {
        if self.unreadable.remove(key).is_some() {
            let events = &self.context.events;
            events.take_back(key.namespace(), key.name(), UNDECODABLE);
        }
    }

    /// Asks for reconciles, once everything is listed that they go by.
    async fn ask(&self, keys: Vec<Key>) {
        if self.context.index().grants().have_changed() {
            self.context.grants_changed.notify_one();
        }
        triage::ask(&self.context, keys).await;
    }

    /// Something is listed, or can't be for now: if it is the last one that was waited for, everything
    /// is looked at.
    async fn await_no_longer(&mut self, scope: &Scope, watched: WatchKind) {
        let all = {
            let mut index = self.context.index();
            let last = index.await_no_longer(scope, watched);
            if last { index.resources() } else { Vec::new() }
        };
        self.ask(all).await;
    }

    /// A list is complete: when it is the last one of its scope, everything is looked at.
    async fn listed(&mut self, scope: &Scope, watched: WatchKind) {
        let Some(state) = self.watches.get_mut(&(scope.clone(), watched)) else {
            return;
        };
        let first = !std::mem::replace(&mut state.listed, true);
        self.works(scope, watched);
        if !first {
            return;
        }
        let all = {
            let index = self.context.index();
            if !index.is_listed(scope) {
                return;
            }
            index.resources_in(scope)
        };
        info!(scope = scope_name(scope), resources = all.len(), "listed");
        self.ask(all).await;
    }

    fn works(&mut self, scope: &Scope, watched: WatchKind) {
        if let Some(state) = self.watches.get_mut(&(scope.clone(), watched))
            && state.listed
        {
            state.check.pass();
            if state.broken.take().is_some() {
                info!(watch = check_name(scope, watched), "works again");
            }
        }
    }

    /// Answers with how often in a row.
    async fn broken(
        &mut self,
        scope: &Scope,
        watched: WatchKind,
        why: &str,
        now: Instant,
        fails_within: Duration,
    ) -> u32 {
        self.context.metrics.watch_error(match watched {
            WatchKind::Resources => "resources",
            WatchKind::Secrets => "secrets",
            WatchKind::Grants => "grants",
            WatchKind::Namespaces => "namespaces",
        });
        let Some(state) = self.watches.get_mut(&(scope.clone(), watched)) else {
            return 0;
        };
        let failures = state.streak.failed(now, fails_within);
        if state.listed && failures == 1 {
            // A single failure of what worked before is the next try's business (a new CRD's
            // storage answers 429 for a moment).
            debug!(watch = check_name(scope, watched), why, "interrupted");
            return failures;
        }
        if state.broken.as_deref() == Some(why) {
            debug!(watch = check_name(scope, watched), why, "still broken");
        } else {
            warn!(
                watch = check_name(scope, watched),
                why, "broken; it is tried again"
            );
            state.broken = Some(why.to_owned());
        }
        // After the log: whoever reads it at /readyz finds it there too.
        let fails_for = watch::repeats_within(failures, fails_within);
        state.check.fail_for(why, fails_for);
        if watched == WatchKind::Resources && failures >= BROKEN_AFTER {
            self.await_no_longer(scope, WatchKind::Resources).await;
        }
        failures
    }
}

/// Whether what was known before a watch failed may be out of date while statuses are written all the
/// same: it may not be watched any more, or a webhook that converts it is down. Where the API server is
/// away or overloaded nothing is lost by what is known: no attempt is written, and nothing is set.
const fn is_doubtful(code: Option<u16>, failures: u32) -> bool {
    match code {
        Some(401 | 403 | 404) => true,
        None | Some(429 | 503 | 504) => false,
        Some(_) => failures >= BROKEN_AFTER,
    }
}

fn check_name(scope: &Scope, watched: WatchKind) -> String {
    let kind = match watched {
        WatchKind::Resources => "CognitoUserPasswords",
        WatchKind::Secrets => "Secrets",
        WatchKind::Grants => "CognitoUserPoolGrants",
        WatchKind::Namespaces => "Namespaces",
    };
    format!("watch of {kind} in {}", scope_name(scope))
}

fn scope_name(scope: &Scope) -> &str {
    match scope {
        Scope::All => "all namespaces",
        Scope::Namespace(namespace) => namespace,
    }
}

/// Serde quotes what it couldn't read (`"text"`, or a number in backticks); somebody may have written a password where it doesn't
/// belong.
fn without_values(error: &str) -> String {
    let quotes = ['"', '`'];
    let said = match (error.find(quotes), error.rfind(quotes)) {
        (Some(first), Some(last)) if first < last => {
            format!("{}..{}", &error[..=first], &error[last..])
        }
        (_, _) => error.to_owned(),
    };
    said.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn what_could_not_be_read_is_not_repeated() {
        assert_eq!(
            without_values(r#"invalid type: string "hunter2", expected struct PasswordSecretRef"#),
            r#"invalid type: string "..", expected struct PasswordSecretRef"#
        );
        assert_eq!(without_values(r#"x "a\"hunter2\" b" y"#), r#"x ".." y"#);
        assert_eq!(
            without_values("invalid type: integer `123456`, expected a string"),
            "invalid type: integer `..`, expected a string"
        );
    }
}
