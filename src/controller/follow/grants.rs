//! Following grants and namespaces.

use super::{Follower, Pace, without_values};
use crate::{
    cluster::{
        lean::Lean,
        watch::{LabelledNamespace, MaybeGrant, Scope, Watched},
    },
    cognito::Cognito,
    controller::grants::{Concerned, Grants, Relisted},
};
use kube::{ResourceExt, runtime::watcher::Event};
use std::{sync::Arc, time::Instant};
use tracing::warn;

/// So many resources are judged, or sixteen times as many walked past, before the loop looks at the clock.
/// One takes microseconds, and up to 1 ms where a thousand grants, or hundreds of globs, must be asked.
const JUDGED_AT_ONCE: usize = 4;

impl<C: Cognito> Follower<C> {
    pub(super) async fn grant(&mut self, event: Event<MaybeGrant>) {
        match event {
            Event::Init => {
                self.context.index().grants().grants_listing();
                return;
            }
            Event::InitApply(Lean(Ok(grant))) | Event::Apply(Lean(Ok(grant))) => {
                let (name, grant) = (grant.name_any(), Arc::new(grant));
                self.regrant(|grants| grants.apply_grant(&name, grant))
                    .await;
            }
            Event::InitApply(ref unreadable @ Lean(Err(ref invalid)))
            | Event::Apply(ref unreadable @ Lean(Err(ref invalid))) => {
                let name = unreadable.name_any();
                let why = without_values(&invalid.error);
                warn!(
                    grant = name,
                    why, "this grant can't be read and lets nobody in"
                );
                self.regrant(|grants| grants.unreadable_grant(&name)).await;
            }
            Event::Delete(grant) => {
                let name = grant.name_any();
                self.regrant(|grants| grants.delete_grant(&name)).await;
            }
            Event::InitDone => {
                let Relisted { gone, concerned } = self.context.index().grants().grants_listed();
                let mut pace = Pace::new();
                for name in gone {
                    self.regrant(|grants| grants.delete_grant(&name)).await;
                    pace.step().await;
                }
                self.judge(concerned).await;
                return self.listed_of_cluster(Watched::Grants).await;
            }
        }
        self.known_again(Watched::Grants);
    }

    pub(super) async fn namespace(&mut self, event: Event<LabelledNamespace>) {
        match event {
            Event::Init => {
                self.context.index().grants().namespaces_listing();
                return;
            }
            Event::InitApply(namespace) | Event::Apply(namespace) => {
                let name = namespace.name_any();
                let labels = namespace.metadata.labels.unwrap_or_default();
                self.regrant(|grants| grants.apply_namespace(&name, labels))
                    .await;
            }
            Event::Delete(namespace) => {
                let name = namespace.name_any();
                self.regrant(|grants| grants.delete_namespace(&name)).await;
            }
            Event::InitDone => {
                let Relisted { gone, concerned } =
                    self.context.index().grants().namespaces_listed();
                let mut pace = Pace::new();
                for name in gone {
                    self.regrant(|grants| grants.delete_namespace(&name)).await;
                    pace.step().await;
                }
                self.judge(concerned).await;
                return self.listed_of_cluster(Watched::Namespaces).await;
            }
        }
        self.known_again(Watched::Namespaces);
    }

    /// What is known of them may be out of date until then; or isn't.
    pub(super) fn doubt(&self, watched: Watched, until: Option<Instant>) {
        let mut index = self.context.index();
        match watched {
            Watched::Grants => index.grants().doubt_grants(until),
            Watched::Namespaces => index.grants().doubt_namespaces(until),
            // What is decided on them is written with the version that it was decided on, or read.
            Watched::Resources | Watched::Secrets => {}
        }
    }

    async fn regrant(&self, change: impl FnOnce(&mut Grants) -> Concerned) {
        let concerned = change(self.context.index().grants());
        self.judge(concerned).await;
    }

    /// Judges the resources that a change concerns, some at a time, and asks for a look at those for
    /// which something else follows.
    async fn judge(&self, mut concerned: Concerned) {
        let mut pace = Pace::new();
        while !concerned.is_done() {
            let affected = {
                let mut index = self.context.index();
                let affected = index.judge_some(&mut concerned, JUDGED_AT_ONCE);
                for key in &affected {
                    // Its own status names none of them: they may be other tenants' business.
                    if let Some(grants) = index.grants().conflicting(key) {
                        let grants = grants.join(",");
                        warn!(object = %key, grants, "these grants disagree, so none lets it in");
                    }
                }
                affected
            };
            self.ask(affected).await;
            pace.step().await;
        }
        // Also where no resource is concerned, something may be to be said of a grant.
        self.ask(Vec::new()).await;
    }

    async fn listed_of_cluster(&mut self, watched: Watched) {
        if let Some(state) = self.watches.get_mut(&(Scope::All, watched)) {
            state.listed = true;
        }
        self.known_again(watched);
        self.await_no_longer(&Scope::All, watched).await;
    }

    fn known_again(&mut self, watched: Watched) {
        self.doubt(watched, None);
        self.works(&Scope::All, watched);
    }
}
