//! The watches: resources, and the metadata of Secrets. What comes out is trimmed to what is used
//! ([`crate::cluster::watch::lean_object`]); a Secret's annotations are dropped unseen, because `kubectl apply` with
//! `stringData` puts the password there.

pub mod lean_object;

pub(crate) mod initial;
pub mod selector;

use super::{
    client::{
        call::chain,
        connect::WATCH_TIMEOUT_SECONDS,
        patience::{NoAnswer, Patience, bounded},
    },
    watch::{
        initial::{Incomplete, while_it_gets_on},
        lean_object::{DecodeError, LeanObject, Named, UserNamed},
    },
};
use crate::{
    api::{CognitoUserPassword, CognitoUserPoolGrant, RETIRED_MAX},
    core::protocol::request,
};
use futures::{Stream, StreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::Selector,
    runtime::{
        WatchStreamExt,
        utils::Backoff,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use std::{
    error::Error,
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// Where is watched: one namespace, or all.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Cluster-wide.
    All,
    /// One namespace.
    Namespace(String),
}

/// What is watched.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WatchKind {
    /// `CognitoUserPassword` resources.
    Resources,
    /// The metadata of Secrets.
    Secrets,
    /// `CognitoUserPoolGrant` resources.
    Grants,
    /// The metadata of namespaces.
    Namespaces,
}

/// A resource, or the metadata of one that this version can't read.
pub type MaybeResource = LeanObject<CognitoUserPassword>;

/// A grant, or the metadata of one that this version can't read.
pub type MaybeGrant = LeanObject<CognitoUserPoolGrant>;

/// A Secret's name and version.
pub type SecretName = Named<Secret, false>;

/// A namespace's name and labels.
pub type LabelledNamespace = Named<Namespace, true>;

/// What a watch told.
pub enum WatchEvent {
    /// Of a resource.
    Resource(Box<watcher::Event<MaybeResource>>),
    /// Of a Secret.
    Secret(Box<watcher::Event<SecretName>>),
    /// Of a grant.
    Grant(Box<watcher::Event<MaybeGrant>>),
    /// Of a namespace.
    Namespace(Box<watcher::Event<LabelledNamespace>>),
    /// It is broken, and tried again by itself.
    Broken {
        /// What was being watched.
        watched: WatchKind,
        /// Why, in one line.
        why: String,
        /// The code that the API server answered with, if it did.
        code: Option<u16>,
        /// How long its next try may take to fail, beyond the pause before it.
        fails_within: Duration,
    },
}

/// The pauses between the tries of a broken watch.
struct WatchBackoff {
    streak: Streak,
    patience: Patience,
}

/// Failures of a watch in a row. Nothing tells that a watch works again (an idle one is silent),
/// only that its failure isn't repeated in time.
#[derive(Default)]
pub struct Streak {
    failures: u32,
    ends: Option<Instant>,
}

/// The pause after so many failures of a watch in a row: 0.5 s growing to 10 s.
fn retry_pause(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(10);
    FIRST
        .saturating_mul(2_u32.pow(failures.clamp(1, 10) - 1))
        .min(MAX)
}

/// How long after so many failures in a row another counts as one more, where a try may take so long
/// to fail.
#[must_use]
pub fn repeats_within(failures: u32, fails_within: Duration) -> Duration {
    retry_pause(failures) + fails_within
}

impl Streak {
    /// It failed, and its next try may take so long to. Answers with how often it failed in a row.
    pub fn failed(&mut self, now: Instant, fails_within: Duration) -> u32 {
        let goes_on = self.ends.is_some_and(|ends| now < ends);
        self.failures = if goes_on {
            self.failures.saturating_add(1)
        } else {
            1
        };
        self.ends = Some(now + repeats_within(self.failures, fails_within));
        self.failures
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let fails_within = self.patience.fails_within();
        let failures = self.streak.failed(Instant::now(), fails_within);
        Some(retry_pause(failures))
    }
}

impl Backoff for WatchBackoff {
    /// Called for each event, and `Init` comes before every list, also before one that fails: that
    /// nothing failed for a while is told by the time.
    fn reset(&mut self) {}
}

/// Watches both kinds in one scope, of the Secrets those that the selector fits. A broken watch is
/// reported and tried again, for ever.
#[must_use]
pub fn watch(
    client: &Client,
    scope: &Scope,
    secret_selector: Option<&Selector>,
) -> BoxStream<'static, WatchEvent> {
    let resources = Way::to(client, WatchKind::Resources);
    let to_resources = api::<MaybeResource>(&resources.client, scope);
    let resources = streamed(to_resources, config(), &resources)
        .modify(trim_resource)
        .map(move |event| match event {
            Ok(event) => Some(WatchEvent::Resource(Box::new(event))),
            Err(error) => resources.broken(&error),
        });
    // Metadata-only requests: 1 MB instead of 5 for 2,000 Secrets, and no value on the wire.
    let selected = secret_selector.map_or_else(config, |fits| config().labels_from(fits));
    let secrets = Way::to(client, WatchKind::Secrets);
    let to_secrets = api::<SecretName>(&secrets.client, scope);
    let secrets = streamed(to_secrets, selected, &secrets).map(move |event| match event {
        Ok(event) => Some(WatchEvent::Secret(Box::new(event))),
        Err(error) => secrets.broken(&error),
    });
    told(futures::stream::select(resources, secrets))
}

/// Watches grants, and the labels of namespaces. A broken watch is reported and tried again, for ever.
#[must_use]
pub fn watch_grants(client: &Client) -> BoxStream<'static, WatchEvent> {
    let grants = Way::to(client, WatchKind::Grants);
    let to_grants: Api<MaybeGrant> = Api::all(grants.client.clone());
    let grants = in_pages(to_grants, config(), &grants).map(move |event| match event {
        Ok(event) => Some(WatchEvent::Grant(Box::new(event))),
        Err(error) => grants.broken(&error),
    });
    let namespaces = Way::to(client, WatchKind::Namespaces);
    let to_namespaces: Api<LabelledNamespace> = Api::all(namespaces.client.clone());
    let namespaces = in_pages(to_namespaces, config(), &namespaces).map(move |event| match event {
        Ok(event) => Some(WatchEvent::Namespace(Box::new(event))),
        Err(error) => namespaces.broken(&error),
    });
    told(futures::stream::select(grants, namespaces))
}

fn told(
    stream: impl Stream<Item = Option<WatchEvent>> + Send + 'static,
) -> BoxStream<'static, WatchEvent> {
    stream.filter_map(std::future::ready).boxed()
}

/// Where lists aren't streamed, so many objects are listed at a time: each may have 1.5 MB, and whoever may
/// write Secrets in one namespace may make hundreds of those. Measured with 400 of 250 kB: 311 MB in pages
/// of 500.
const PAGE: u32 = 50;

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_TIMEOUT_SECONDS)
}

/// What is watched.
trait Kind: Resource + Clone + Debug + DeserializeOwned + Send + 'static {}

impl<K: Resource + Clone + Debug + DeserializeOwned + Send + 'static> Kind for K {}

/// One watch, and how it reaches the API server.
struct Way {
    watched: WatchKind,
    client: Client,
    patience: Patience,
}

impl Way {
    fn to(client: &Client, watched: WatchKind) -> Self {
        let patience = Patience::default();
        Self {
            watched,
            client: bounded(client, &patience),
            patience,
        }
    }

    fn backoff(&self) -> WatchBackoff {
        WatchBackoff {
            streak: Streak::default(),
            patience: self.patience.clone(),
        }
    }

    fn broken(&self, error: &watcher::Error) -> Option<WatchEvent> {
        let (why, code) = why_broken(error)?;
        Some(WatchEvent::Broken {
            watched: self.watched,
            why,
            code,
            fails_within: self.patience.fails_within(),
        })
    }
}

/// Lists in pages, as of now, and then watches: for what is few, and must not be out of date. Until a grant
/// that was taken away is seen to be, it lets somebody in.
fn in_pages<K: Kind>(
    api: Api<K>,
    config: watcher::Config,
    way: &Way,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K> {
    watcher(api, config.page_size(PAGE)).backoff(way.backoff())
}

/// Lists and watches in one request, object by object, for what is many: two hundred pages are as many round
/// trips one after the other. The list may be as late as any watch: it is a hint, and reads and fenced
/// writes decide. In pages from the first time on that the API server says that it can't, or that such a
/// list doesn't get on: `WatchList` is switched off in some versions, unknown to others, and etcd may be old.
fn streamed<K: Kind>(
    api: Api<K>,
    config: watcher::Config,
    way: &Way,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K> {
    let streaming = watcher(api.clone(), config.clone().streaming_lists())
        .backoff(way.backoff())
        .take_while(|event| std::future::ready(!is_unsupported(event)));
    while_it_gets_on(streaming).chain(in_pages(api, config, way))
}

/// Whether the API server refuses the request as such.
fn is_unsupported<K>(event: &watcher::Result<watcher::Event<K>>) -> bool {
    match event {
        Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) => {
            matches!(status.code, 400 | 422)
        }
        Ok(_) | Err(_) => false,
    }
}

fn api<K>(client: &Client, scope: &Scope) -> Api<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    match scope {
        Scope::All => Api::all(client.clone()),
        Scope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
    }
}

/// Why a watch is broken, and the code that the API server answered with. None for one that merely ended,
/// or whose version is too old: it goes on by itself.
fn why_broken(error: &watcher::Error) -> Option<(String, Option<u16>)> {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    };
    let why = match error {
        watcher::Error::WatchFailed(_) => return None,
        watcher::Error::WatchError(status) if status.code == 410 => return None,
        watcher::Error::InitialListFailed(kube::Error::SerdeError(_))
        | watcher::Error::WatchStartFailed(kube::Error::SerdeError(_)) => {
            "the API server's reply can't be read".to_owned()
        }
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => match status.code {
            404 => "the API server doesn't know this kind: are the CRDs installed?".to_owned(),
            _ => status.message.clone(),
        },
        watcher::Error::WatchError(status) => status.message.clone(),
        other @ (watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::NoResourceVersion) => in_our_words(other).unwrap_or_else(|| chain(other)),
    };
    Some((why, code))
}

/// What an error comes from, if this program found it and not kube.
fn in_our_words(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<NoAnswer>() || error.is::<Incomplete>() {
            return Some(error.to_string());
        }
        next = error.source();
    }
    None
}

fn trim_resource(resource: &mut MaybeResource) {
    trim_with(trim, resource);
}

/// The watch serves all objects. One whose trimming panics can't be read, and the watch goes on.
fn trim_with(trim: impl FnOnce(&mut MaybeResource), resource: &mut MaybeResource) {
    if catch_unwind(AssertUnwindSafe(|| trim(resource))).is_ok() {
        return;
    }
    let user = match &resource.0 {
        Ok(resource) => Some(UserNamed {
            user_pool_id: resource.spec.user_pool_id.clone(),
            username: resource.spec.username.clone(),
        }),
        Err(unreadable) => unreadable.user.clone(),
    };
    let mut metadata = resource.meta().clone();
    metadata.annotations = None;
    *resource = LeanObject(Err(DecodeError {
        error: "trimming it panicked".to_owned(),
        metadata,
        user,
    }));
}

fn trim(resource: &mut MaybeResource) {
    for requested_at in resource.annotations_mut().values_mut() {
        *requested_at = request::known_by(requested_at).into_owned();
    }
    // There are no more, unless somebody has edited the schema.
    let resource = resource.0.as_mut().ok();
    if let Some(status) = resource.and_then(|resource| resource.status.as_mut()) {
        let surplus = status.retired.len().saturating_sub(RETIRED_MAX);
        status.retired.drain(..surplus);
    }
}

#[cfg(test)]
mod tests;
