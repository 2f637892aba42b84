//! Applies watch events of Secrets to the index. The events hold metadata only.

use super::EventHandler;
use crate::{
    cluster::watch::{Scope, SecretName, WatchKind},
    cognito::Cognito,
    controller::{schedule::pace::Pace, state::key::Key},
    core::protocol::observation::SecretVersion,
};
use kube::runtime::watcher::Event;
use std::time::Instant;

impl<C: Cognito> EventHandler<C> {
    pub(crate) async fn secret(&mut self, scope: &Scope, event: Event<SecretName>) {
        let affected = match event {
            Event::Init => {
                self.context.index().secrets_listing(scope);
                return;
            }
            Event::InitApply(secret) | Event::Apply(secret) => {
                let key = Key::of(&secret);
                let index = || {
                    let version = SecretVersion {
                        uid: secret.metadata.uid.unwrap_or_default(),
                        resource_version: secret.metadata.resource_version.unwrap_or_default(),
                    };
                    let (secret, now) = (key.clone(), Instant::now());
                    self.context
                        .index()
                        .apply_secret(scope, secret, &version, now)
                };
                match self.context.isolated(&key, "indexing a Secret", index) {
                    Some(affected) => affected,
                    None => self.forget_version(&key),
                }
            }
            Event::Delete(secret) => self.delete_secret(&Key::of(&secret)),
            Event::InitDone => {
                let known = self.context.index().secrets_listed(scope);
                let mut pace = Pace::new();
                for gone in known {
                    if let Some(secret) = gone {
                        let affected = self.delete_secret(&secret);
                        self.triage(affected).await;
                    }
                    pace.step().await;
                }
                self.mark_listed(scope, WatchKind::Secrets).await;
                return;
            }
        };
        self.triage(affected).await;
        self.mark_working(scope, WatchKind::Secrets);
    }

    /// Removes the version of a Secret from the index, after indexing the Secret panicked. Without a
    /// version in the index, a reconcile reads the Secret, so no rotation is missed. With a label
    /// selector, only the index tells which Secrets may be read. So the former version stays there
    /// until the Secret's next event.
    fn forget_version(&self, secret: &Key) -> Vec<Key> {
        if self.context.secret_selector.is_some() {
            return Vec::new();
        }
        self.delete_secret(secret)
    }

    fn delete_secret(&self, secret: &Key) -> Vec<Key> {
        let remove = || self.context.index().delete_secret(secret);
        let affected = self
            .context
            .isolated(secret, "removing a Secret from the index", remove);
        affected.unwrap_or_default()
    }
}
