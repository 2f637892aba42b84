//! Applies watch events to the state, and queues the resources that need a reconcile. No resource is
//! triaged before these lists are complete:
//! - The resources and Secrets of the scope: a Secret that is not listed yet may exist.
//! - The resources of all scopes, except scopes whose watch is broken: any scope may have an older
//!   resource for the same user.
//! - The grants and the namespaces, if grants are on.
//!
//! Imports `context`, `reconcile`, `schedule` and `state`.

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

/// How many resources are triaged at a time after another resource has become the manager of their
/// user.
const STALE_AT_ONCE: usize = 32;

/// The pause between two portions of [`STALE_AT_ONCE`] resources.
const STALE_EVERY: Duration = Duration::from_millis(500);

/// Handles the watch events of all scopes, for ever.
pub(crate) async fn follow<C: Cognito>(
    context: Arc<Context<C>>,
    scopes: Vec<Scope>,
    readiness: Readiness,
) {
    let watches = scopes.iter().map(|scope| {
        let scope = scope.clone();
        let selector = context.secret_selector.as_ref();
        watch::watch(&context.client, &scope, selector)
            .map(move |event| (scope.clone(), event))
            .boxed()
    });
    // Grants are cluster-scoped, so an operator that watches only some namespaces works without grants.
    let grants = scopes.contains(&Scope::All).then(|| {
        watch::watch_grants(&context.client)
            .map(|event| (Scope::All, event))
            .boxed()
    });
    let watches = watches.chain(grants);
    let mut events = futures::stream::select_all(watches);
    let mut event_handler = EventHandler::new(context.clone(), &scopes, &readiness);
    let mut pace = Pace::new();
    let mut next_stale = tokio::time::Instant::now();
    loop {
        let has_stale = context.index().has_stale();
        let (scope, event) = tokio::select! {
            event = events.next() => match event {
                Some(event) => event,
                None => return,
            },
            () = sleep_until(next_stale), if has_stale => {
                next_stale = tokio::time::Instant::now() + STALE_EVERY;
                event_handler.triage_stale().await;
                continue;
            }
        };
        event_handler.handle(&scope, event).await;
        pace.step().await;
    }
}

/// Registers the readiness checks of all watches. Each check fails until its watch has listed. Call
/// this before `/readyz` is served: a check that is not registered does not fail, and the operator
/// would count as ready.
pub fn register_checks(readiness: &Readiness, scopes: &[Scope]) {
    for (scope, watched) in all_watches(scopes) {
        drop(readiness.check(readiness_check_name(&scope, watched)));
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

/// Applies watch events to the state, and tracks whether each watch works.
pub(crate) struct EventHandler<C> {
    context: Arc<Context<C>>,
    watches: HashMap<(Scope, WatchKind), WatchState>,
    /// The resources that cannot be read, each with the resourceVersion that was reported last.
    undecodable: HashMap<Key, Option<String>>,
}

/// The reason of the Event on a resource that cannot be read.
const UNDECODABLE: &str = "Undecodable";

/// After this many failures in a row a watch is broken, not merely late by a second or two. Triage does
/// not wait for the first list of a broken watch of resources. What is known of grants and namespaces
/// becomes doubtful, except after the errors that [`is_doubtful`] exempts.
const BROKEN_AFTER: u32 = 3;

struct WatchState {
    check: Check,
    listed: bool,
    /// The error that was last logged as a warning, until the watch works again.
    broken: Option<String>,
    streak: watch::Streak,
}

impl<C: Cognito> EventHandler<C> {
    pub(crate) fn new(context: Arc<Context<C>>, scopes: &[Scope], readiness: &Readiness) -> Self {
        let state = |(scope, watched): (Scope, WatchKind)| {
            let check = readiness.check(readiness_check_name(&scope, watched));
            let state = WatchState {
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
            undecodable: HashMap::new(),
        }
    }

    /// Handles a watch event, and catches a panic. The work for each object has a guard of its own,
    /// which repairs a half-done change. So a panic for one object does not stop the rest of the event.
    /// The guard here catches every other panic.
    pub(crate) async fn handle(&mut self, scope: &Scope, event: WatchEvent) {
        let metrics = self.context.metrics.clone();
        let step = "following a watch event";
        isolated_async(
            &metrics,
            &scope_name(scope),
            step,
            self.dispatch(scope, event),
        )
        .await;
    }

    /// Triages some resources whose status message may name a former manager of their user.
    pub(crate) async fn triage_stale(&self) {
        let take = || self.context.index().take_stale(STALE_AT_ONCE);
        let step = "finding the resources of a user with a new manager";
        let stale = self.context.isolated(&"claims", step, take);
        self.triage(stale.unwrap_or_default()).await;
    }

    async fn dispatch(&mut self, scope: &Scope, event: WatchEvent) {
        match event {
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
                let failures = self
                    .mark_broken(scope, watched, &why, now, fails_within)
                    .await;
                if is_doubtful(code, failures) {
                    let until = now + watch::repetition_window(failures, fails_within);
                    self.mark_doubtful(watched, Some(until));
                }
            }
        }
    }

    async fn resource(&mut self, scope: &Scope, event: Event<MaybeResource>) {
        match event {
            // A list begins, and may still fail.
            Event::Init => {
                self.context.index().resources_listing(scope);
                return;
            }
            Event::InitApply(LeanObject(Ok(resource))) | Event::Apply(LeanObject(Ok(resource))) => {
                self.apply(scope, &resource).await;
            }
            Event::InitApply(ref unreadable @ LeanObject(Err(ref invalid)))
            | Event::Apply(ref unreadable @ LeanObject(Err(ref invalid))) => {
                self.apply_undecodable(scope, unreadable, invalid).await;
            }
            Event::Delete(resource) => self.delete(&Key::of(&resource)).await,
            Event::InitDone => {
                let known = self.context.index().resources_listed(scope);
                let mut pace = Pace::new();
                for gone in known {
                    if let Some(key) = gone {
                        self.delete(&key).await;
                    }
                    pace.step().await;
                }
                self.mark_listed(scope, WatchKind::Resources).await;
                self.stop_awaiting(scope, WatchKind::Resources).await;
                return;
            }
        }
        self.mark_working(scope, WatchKind::Resources);
    }

    async fn apply(&mut self, scope: &Scope, resource: &CognitoUserPassword) {
        let key = Key::of(resource);
        self.withdraw_undecodable(&key);
        let context = self.context.clone();
        let index = || {
            let affected = context.index().apply_resource(scope, resource);
            // The watch may lag behind a write of this process.
            if let Some(own) = context.memory.later_own(&key, resource) {
                context.index().wrote(&own);
            }
            affected
        };
        let affected = match context.isolated(&key, "indexing a resource", index) {
            Some(affected) => affected,
            None => self.keep_claim(scope, &key, resource),
        };
        self.triage(affected).await;
    }

    /// Keeps only the claim of a resource whose indexing panicked, perhaps half-way. Until the next
    /// event of the resource, the resource counts as one that cannot be read, and is not reconciled.
    /// Without the claim, a younger resource would overwrite the older resource's value in Cognito.
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

    async fn delete(&mut self, key: &Key) {
        let context = self.context.clone();
        let remove = || {
            let affected = context.index().delete_resource(key);
            self.forget(key);
            affected
        };
        let affected = context.isolated(key, "removing a resource", remove);
        self.triage(affected.unwrap_or_default()).await;
    }

    fn forget(&mut self, key: &Key) {
        self.withdraw_undecodable(key);
        self.context.memory.forget(key);
        self.context.looks.forget(key);
        self.context.permits.leave(key);
        self.context.queue.forget(key);
        self.context.version_queue.forget(key);
        self.context.credential_gate.forget(key);
    }

    /// Handles a resource that this version cannot read. The resource keeps the claim on its user, and
    /// is not reconciled. Each resourceVersion of the resource is reported once.
    async fn apply_undecodable(
        &mut self,
        scope: &Scope,
        resource: &MaybeResource,
        undecodable: &DecodeError,
    ) {
        let key = Key::of(resource);
        let index = || {
            let mut index = self.context.index();
            index.apply_unreadable(scope, &key, undecodable)
        };
        let step = "indexing a resource that can't be read";
        let affected = self.context.isolated(&key, step, index);
        self.triage(affected.unwrap_or_default()).await;
        let version = resource.resource_version();
        let reported = self.undecodable.get(&key);
        if reported.is_some_and(|reported| *reported == version) {
            return;
        }
        self.forget(&key);
        let why = redact_values(&undecodable.error);
        warn!(object = %key, why, "this resource can't be read and is skipped");
        self.context.metrics.undecodable_resource();
        let note = format!(
            "This version of the operator can't read the resource and skips it ({why}): apply the resource again in the form that the CRD of this version requires."
        );
        let regarding = events::reference(resource);
        let type_ = EventType::Warning;
        let events = &self.context.events;
        events.enqueue(regarding, type_, UNDECODABLE, "Read", &note);
        self.undecodable.insert(key, version);
    }

    /// Removes the queued Event of a resource that could not be read, because the resource has changed
    /// or is gone. A standby queues Events without writing them, and would write the outdated Event
    /// when the standby becomes leader.
    fn withdraw_undecodable(&mut self, key: &Key) {
        if self.undecodable.remove(key).is_some() {
            let events = &self.context.events;
            events.withdraw(key.namespace(), key.name(), UNDECODABLE);
        }
    }

    /// Triages these resources, and notifies the reporter of grants if a grant has changed. Triage
    /// skips the resources until every list is complete that the decision needs.
    async fn triage(&self, keys: Vec<Key>) {
        if self.context.index().grants().have_changed() {
            self.context.grants_changed.notify_one();
        }
        triage::triage_all(&self.context, keys).await;
    }

    /// Stops waiting for a watch that has listed or is broken. After the last awaited watch, all
    /// resources are triaged.
    async fn stop_awaiting(&mut self, scope: &Scope, watched: WatchKind) {
        let all = {
            let mut index = self.context.index();
            let last = index.stop_awaiting(scope, watched);
            if last { index.resources() } else { Vec::new() }
        };
        self.triage(all).await;
    }

    /// Marks the list of a watch as complete. Triages all resources of a scope after the first lists of
    /// the scope's resources and Secrets.
    async fn mark_listed(&mut self, scope: &Scope, watched: WatchKind) {
        let Some(state) = self.watches.get_mut(&(scope.clone(), watched)) else {
            return;
        };
        let first = !std::mem::replace(&mut state.listed, true);
        self.mark_working(scope, watched);
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
        info!(
            scope = scope_name(scope),
            resources = all.len(),
            "listed all resources of the scope"
        );
        self.triage(all).await;
    }

    fn mark_working(&mut self, scope: &Scope, watched: WatchKind) {
        if let Some(state) = self.watches.get_mut(&(scope.clone(), watched))
            && state.listed
        {
            state.check.pass();
            if state.broken.take().is_some() {
                info!(
                    watch = readiness_check_name(scope, watched),
                    "the watch works again"
                );
            }
        }
    }

    /// Handles a failure of a watch. Returns how many times in a row the watch has failed.
    async fn mark_broken(
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
        let failures = state.streak.record_failure(now, fails_within);
        if state.listed && failures == 1 {
            // A single failure of a watch that worked is not reported, because the next try may
            // succeed. A new CRD's storage, for example, answers 429 for a moment.
            debug!(
                watch = readiness_check_name(scope, watched),
                why, "the watch failed once; trying again"
            );
            return failures;
        }
        if state.broken.as_deref() == Some(why) {
            debug!(
                watch = readiness_check_name(scope, watched),
                why, "the watch is still broken; trying again"
            );
        } else {
            warn!(
                watch = readiness_check_name(scope, watched),
                why, "the watch is broken; trying again"
            );
            state.broken = Some(why.to_owned());
        }
        // The log comes first, so that a person who reads the error at `/readyz` finds the error in the
        // log too.
        let fails_for = watch::repetition_window(failures, fails_within);
        state.check.fail_for(why, fails_for);
        if watched == WatchKind::Resources && failures >= BROKEN_AFTER {
            self.stop_awaiting(scope, WatchKind::Resources).await;
        }
        failures
    }
}

/// Whether a failed watch makes the known grants and namespaces doubtful. What is known may be outdated
/// while status writes still succeed: the operator may have lost the right to watch, or a conversion
/// webhook may be down. Outdated knowledge does no harm while the API server is away or overloaded,
/// because then no attempt can be written and nothing is set.
const fn is_doubtful(code: Option<u16>, failures: u32) -> bool {
    match code {
        Some(401 | 403 | 404) => true,
        None | Some(429 | 503 | 504) => false,
        Some(_) => failures >= BROKEN_AFTER,
    }
}

fn readiness_check_name(scope: &Scope, watched: WatchKind) -> String {
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

/// Removes the quoted values from an error of serde, and keeps at most 300 characters. Serde quotes
/// what serde could not read (`"text"`, or a number in backticks), and a person may have written a
/// password into the wrong field.
fn redact_values(error: &str) -> String {
    let quotes = ['"', '`'];
    let text = match (error.find(quotes), error.rfind(quotes)) {
        (Some(first), Some(last)) if first < last => {
            format!("{}..{}", &error[..=first], &error[last..])
        }
        (_, _) => error.to_owned(),
    };
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::redact_values;

    #[test]
    fn quoted_values_are_redacted() {
        assert_eq!(
            redact_values(r#"invalid type: string "hunter2", expected struct PasswordSecretRef"#),
            r#"invalid type: string "..", expected struct PasswordSecretRef"#
        );
        assert_eq!(redact_values(r#"x "a\"hunter2\" b" y"#), r#"x ".." y"#);
        assert_eq!(
            redact_values("invalid type: integer `123456`, expected a string"),
            "invalid type: integer `..`, expected a string"
        );
    }
}
