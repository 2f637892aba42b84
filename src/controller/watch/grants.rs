//! Applies watch events of grants and namespaces to the state.

use super::{EventHandler, Pace, redact_values};
use crate::{
    cluster::watch::{LabelledNamespace, MaybeGrant, Scope, WatchKind, lean_object::LeanObject},
    cognito::Cognito,
    controller::state::{
        grants::{Grants, RelistChange, ResourceWalk},
        key::Key,
    },
};
use kube::{ResourceExt, runtime::watcher::Event};
use std::{sync::Arc, time::Instant};
use tracing::warn;

/// How many resources are judged before the loop reads the clock. Walking past sixteen resources counts
/// like judging one. Judging takes microseconds, and up to 1 ms if a thousand grants, or hundreds of
/// globs, must be compared.
const JUDGED_AT_ONCE: usize = 4;

impl<C: Cognito> EventHandler<C> {
    pub(crate) async fn grant(&mut self, event: Event<MaybeGrant>) {
        match event {
            Event::Init => {
                self.context.index().grants().grants_listing();
                return;
            }
            Event::InitApply(LeanObject(Ok(grant))) | Event::Apply(LeanObject(Ok(grant))) => {
                let (name, grant) = (grant.name_any(), Arc::new(grant));
                let apply = |grants: &mut Grants| grants.apply_grant(&name, grant);
                let after_panic = |grants: &mut Grants| grants.panicking_grant(&name, true);
                self.change_grants(&name, apply, after_panic).await;
            }
            Event::InitApply(ref unreadable @ LeanObject(Err(ref invalid)))
            | Event::Apply(ref unreadable @ LeanObject(Err(ref invalid))) => {
                let name = unreadable.name_any();
                let why = redact_values(&invalid.error);
                warn!(
                    grant = name,
                    why, "this grant can't be read and admits no resource"
                );
                let apply = |grants: &mut Grants| grants.unreadable_grant(&name);
                let after_panic = |grants: &mut Grants| grants.panicking_grant(&name, true);
                self.change_grants(&name, apply, after_panic).await;
            }
            Event::Delete(grant) => {
                self.delete_grant(&grant.name_any()).await;
            }
            Event::InitDone => {
                let RelistChange { gone, walk } = self.context.index().grants().grants_listed();
                let mut pace = Pace::new();
                for name in gone {
                    self.delete_grant(&name).await;
                    pace.step().await;
                }
                self.judge(walk).await;
                return self.mark_cluster_listed(WatchKind::Grants).await;
            }
        }
        self.clear_doubt(WatchKind::Grants);
    }

    pub(crate) async fn namespace(&mut self, event: Event<LabelledNamespace>) {
        match event {
            Event::Init => {
                self.context.index().grants().namespaces_listing();
                return;
            }
            Event::InitApply(namespace) | Event::Apply(namespace) => {
                let name = namespace.name_any();
                let labels = namespace.metadata.labels.unwrap_or_default();
                let apply = |grants: &mut Grants| grants.apply_namespace(&name, labels);
                // Without known labels, no resource of the namespace is admitted.
                let after_panic = |grants: &mut Grants| grants.delete_namespace(&name);
                self.change_grants(&name, apply, after_panic).await;
            }
            Event::Delete(namespace) => {
                self.delete_namespace(&namespace.name_any()).await;
            }
            Event::InitDone => {
                let RelistChange { gone, walk } = self.context.index().grants().namespaces_listed();
                let mut pace = Pace::new();
                for name in gone {
                    self.delete_namespace(&name).await;
                    pace.step().await;
                }
                self.judge(walk).await;
                return self.mark_cluster_listed(WatchKind::Namespaces).await;
            }
        }
        self.clear_doubt(WatchKind::Namespaces);
    }

    /// Marks the known grants or namespaces as doubtful until this time. None: as current again.
    pub(crate) fn mark_doubtful(&self, watched: WatchKind, until: Option<Instant>) {
        let mut index = self.context.index();
        match watched {
            WatchKind::Grants => index.grants().doubt_grants(until),
            WatchKind::Namespaces => index.grants().doubt_namespaces(until),
            // A stale resource or Secret does no harm: a status write names the resourceVersion that
            // was decided on, and a set reads the Secret.
            WatchKind::Resources | WatchKind::Secrets => {}
        }
    }

    async fn delete_grant(&self, name: &str) {
        let delete = |grants: &mut Grants| grants.delete_grant(name);
        let after_panic = |grants: &mut Grants| grants.panicking_grant(name, false);
        self.change_grants(name, delete, after_panic).await;
    }

    async fn delete_namespace(&self, name: &str) {
        let delete = |grants: &mut Grants| grants.delete_namespace(name);
        self.change_grants(name, delete, delete).await;
    }

    /// Changes one grant or namespace in the state. `after_panic` repairs the state if the change
    /// panics half-way.
    async fn change_grants(
        &self,
        name: &str,
        change: impl FnOnce(&mut Grants) -> ResourceWalk,
        after_panic: impl FnOnce(&mut Grants) -> ResourceWalk,
    ) {
        let context = &self.context;
        let change = || change(context.index().grants());
        let after_panic = || after_panic(context.index().grants());
        let walk = context
            .isolated(&name, "indexing a grant or namespace", change)
            .or_else(|| context.isolated(&name, "closing a grant or namespace", after_panic));
        self.judge(walk.unwrap_or_default()).await;
    }

    /// Judges the resources that a change concerns, some at a time. Triages each resource whose
    /// admission, or whose manager, has changed.
    async fn judge(&self, mut walk: ResourceWalk) {
        let mut pace = Pace::new();
        while !walk.is_done() {
            let some = (self.context.index().grants()).next_resources(&mut walk, JUDGED_AT_ONCE);
            let affected = some.iter().flat_map(|key| {
                let judge = || self.judge_one(key);
                // After a panic the resource's claim stays as the claim was. Each decision on the
                // resource asks the grants again.
                let judged = self
                    .context
                    .isolated(key, "applying grants to a resource", judge);
                judged.unwrap_or_default()
            });
            self.triage(affected.collect()).await;
            pace.step().await;
        }
        // `ask` also notifies the reporter of grants: the status of a grant may have to change even if
        // the change concerns no resource.
        self.triage(Vec::new()).await;
    }

    fn judge_one(&self, key: &Key) -> Vec<Key> {
        let mut index = self.context.index();
        let affected = index.judge(key);
        // The log names the grants. The resource's status does not, because the grants may belong to
        // other tenants. The second lookup of the grants is rare: only after a change of the admission.
        // The index would otherwise keep the names of the grants for each resource.
        if affected.contains(key)
            && let Some(grants) = index.grants().conflicting(key)
        {
            let grants = grants.join(",");
            warn!(object = %key, grants, "these grants disagree, so none of them admits the resource");
        }
        affected
    }

    async fn mark_cluster_listed(&mut self, watched: WatchKind) {
        if let Some(state) = self.watches.get_mut(&(Scope::All, watched)) {
            state.listed = true;
        }
        self.clear_doubt(watched);
        self.stop_awaiting(&Scope::All, watched).await;
    }

    fn clear_doubt(&mut self, watched: WatchKind) {
        self.mark_doubtful(watched, None);
        self.mark_working(&Scope::All, watched);
    }
}
