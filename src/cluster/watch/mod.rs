//! The watches of resources, Secrets, grants and namespaces. Watch events carry only the fields that the
//! operator uses ([`crate::cluster::watch::lean_object`]). A Secret's annotations are skipped and never
//! decoded, because `kubectl apply` with `stringData` puts the password there.
//!
//! Imports [`crate::api`], `client` and the types of [`crate::core::protocol`].

pub mod lean_object;

pub(crate) mod initial;

use super::{
    client::{
        call::chain,
        connect::WATCH_TIMEOUT_SECONDS,
        response_timeout::{NoResponse, ResponseTimeout, with_response_timeout},
    },
    watch::{
        initial::{IncompleteList, until_list_fails},
        lean_object::{DecodeError, LeanObject, NamedObject, UserRef},
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

/// The namespaces that a watch covers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Cluster-wide.
    All,
    /// One namespace.
    Namespace(String),
}

/// The kinds that are watched.
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

/// A resource, or the metadata of a resource that this version can't decode.
pub type MaybeResource = LeanObject<CognitoUserPassword>;

/// A grant, or the metadata of a grant that this version can't decode.
pub type MaybeGrant = LeanObject<CognitoUserPoolGrant>;

/// A Secret's name, namespace, uid and resourceVersion.
pub type SecretName = NamedObject<Secret, false>;

/// A namespace's name and labels.
pub type LabelledNamespace = NamedObject<Namespace, true>;

/// What a watch reports.
pub enum WatchEvent {
    /// A watch event of resources.
    Resource(Box<watcher::Event<MaybeResource>>),
    /// A watch event of Secrets.
    Secret(Box<watcher::Event<SecretName>>),
    /// A watch event of grants.
    Grant(Box<watcher::Event<MaybeGrant>>),
    /// A watch event of namespaces.
    Namespace(Box<watcher::Event<LabelledNamespace>>),
    /// A watch is broken. The stream retries the watch by itself.
    Broken {
        /// The kind that was watched.
        watched: WatchKind,
        /// The reason, in one line.
        why: String,
        /// The API server's status code, if the API server answered.
        code: Option<u16>,
        /// How long the next try may take to fail, beyond the pause before the try.
        fails_within: Duration,
    },
}

/// The backoff of a broken watch.
struct WatchBackoff {
    streak: Streak,
    response_timeout: ResponseTimeout,
}

/// Consecutive failures of a watch. No signal says that a watch works again, because an idle watch is silent.
/// So a streak ends when no further failure follows in time.
#[derive(Default)]
pub struct Streak {
    failures: u32,
    ends: Option<Instant>,
}

/// The pause after this many consecutive failures of a watch: 0.5 s growing to 10 s.
fn retry_pause(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(10);
    FIRST
        .saturating_mul(2_u32.pow(failures.clamp(1, 10) - 1))
        .min(MAX)
}

/// The time within which another failure continues a streak of `failures`. `fails_within` is how long a try
/// may take to fail.
#[must_use]
pub fn repetition_window(failures: u32, fails_within: Duration) -> Duration {
    retry_pause(failures) + fails_within
}

impl Streak {
    /// Counts a failure of a watch whose next try may take `fails_within` to fail. Returns the number of
    /// consecutive failures.
    pub fn record_failure(&mut self, now: Instant, fails_within: Duration) -> u32 {
        let goes_on = self.ends.is_some_and(|ends| now < ends);
        self.failures = if goes_on {
            self.failures.saturating_add(1)
        } else {
            1
        };
        self.ends = Some(now + repetition_window(self.failures, fails_within));
        self.failures
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let fails_within = self.response_timeout.fails_within();
        let failures = self.streak.record_failure(Instant::now(), fails_within);
        Some(retry_pause(failures))
    }
}

impl Backoff for WatchBackoff {
    /// Does nothing. kube calls this at each event, and an `Init` comes before every list, even one that then
    /// fails. A reset would end the backoff too early. A [`Streak`] ends by time.
    fn reset(&mut self) {}
}

/// Watches resources, and the Secrets that match `secret_selector`, in one scope. A broken watch is reported
/// and retried for ever.
#[must_use]
pub fn watch(
    client: &Client,
    scope: &Scope,
    secret_selector: Option<&Selector>,
) -> BoxStream<'static, WatchEvent> {
    let resources = WatchClient::new(client, WatchKind::Resources);
    let to_resources = api::<MaybeResource>(&resources.client, scope);
    let resources = streamed(to_resources, config(), &resources)
        .modify(trim_resource)
        .map(move |event| match event {
            Ok(event) => Some(WatchEvent::Resource(Box::new(event))),
            Err(error) => resources.broken_event(&error),
        });
    // Metadata-only requests: 1 MB instead of 5 for 2,000 Secrets, and no value on the wire.
    let selected = secret_selector.map_or_else(config, |fits| config().labels_from(fits));
    let secrets = WatchClient::new(client, WatchKind::Secrets);
    let to_secrets = api::<SecretName>(&secrets.client, scope);
    let secrets = streamed(to_secrets, selected, &secrets).map(move |event| match event {
        Ok(event) => Some(WatchEvent::Secret(Box::new(event))),
        Err(error) => secrets.broken_event(&error),
    });
    without_none(futures::stream::select(resources, secrets))
}

/// Watches grants, and the labels of namespaces. A broken watch is reported and retried for ever.
#[must_use]
pub fn watch_grants(client: &Client) -> BoxStream<'static, WatchEvent> {
    let grants = WatchClient::new(client, WatchKind::Grants);
    let to_grants: Api<MaybeGrant> = Api::all(grants.client.clone());
    let grants = in_pages(to_grants, config(), &grants).map(move |event| match event {
        Ok(event) => Some(WatchEvent::Grant(Box::new(event))),
        Err(error) => grants.broken_event(&error),
    });
    let namespaces = WatchClient::new(client, WatchKind::Namespaces);
    let to_namespaces: Api<LabelledNamespace> = Api::all(namespaces.client.clone());
    let namespaces = in_pages(to_namespaces, config(), &namespaces).map(move |event| match event {
        Ok(event) => Some(WatchEvent::Namespace(Box::new(event))),
        Err(error) => namespaces.broken_event(&error),
    });
    without_none(futures::stream::select(grants, namespaces))
}

fn without_none(
    stream: impl Stream<Item = Option<WatchEvent>> + Send + 'static,
) -> BoxStream<'static, WatchEvent> {
    stream.filter_map(std::future::ready).boxed()
}

/// Objects per page of a list that isn't streamed. An object may have 1.5 MB, and a user with the right to
/// write Secrets in one namespace may create hundreds of that size. Measured with 400 Secrets of 250 kB:
/// pages of 500 took 311 MB.
const PAGE: u32 = 50;

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_TIMEOUT_SECONDS)
}

/// The bounds on a kind that can be watched.
trait Kind: Resource + Clone + Debug + DeserializeOwned + Send + 'static {}

impl<K: Resource + Clone + Debug + DeserializeOwned + Send + 'static> Kind for K {}

/// One watch, with its own client of the API server.
struct WatchClient {
    watched: WatchKind,
    client: Client,
    response_timeout: ResponseTimeout,
}

impl WatchClient {
    fn new(client: &Client, watched: WatchKind) -> Self {
        let response_timeout = ResponseTimeout::default();
        Self {
            watched,
            client: with_response_timeout(client, &response_timeout),
            response_timeout,
        }
    }

    fn backoff(&self) -> WatchBackoff {
        WatchBackoff {
            streak: Streak::default(),
            response_timeout: self.response_timeout.clone(),
        }
    }

    fn broken_event(&self, error: &watcher::Error) -> Option<WatchEvent> {
        let (why, code) = failure_reason(error)?;
        Some(WatchEvent::Broken {
            watched: self.watched,
            why,
            code,
            fails_within: self.response_timeout.fails_within(),
        })
    }
}

/// Lists in pages from the current state, then watches. For kinds that have few objects and must not be
/// stale: a deleted grant keeps admitting until the operator sees the deletion. Also the fallback of
/// [`streamed`].
fn in_pages<K: Kind>(
    api: Api<K>,
    config: watcher::Config,
    watch_client: &WatchClient,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K> {
    watcher(api, config.page_size(PAGE)).backoff(watch_client.backoff())
}

/// Lists and watches in one request, object by object. For kinds with many objects: two hundred pages would
/// take as many sequential round trips. It does no harm that the list can be as stale as a watch: a watch is
/// only a hint, and reads and fenced writes decide.
///
/// Changes to pages for good once the API server refuses a streamed list or doesn't complete the list. Some
/// versions of Kubernetes disable `WatchList`, others don't know `WatchList`, and etcd may be too old.
fn streamed<K: Kind>(
    api: Api<K>,
    config: watcher::Config,
    watch_client: &WatchClient,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K> {
    let streaming = watcher(api.clone(), config.clone().streaming_lists())
        .backoff(watch_client.backoff())
        .take_while(|event| std::future::ready(!is_unsupported(event)));
    until_list_fails(streaming).chain(in_pages(api, config, watch_client))
}

/// Whether the API server refuses the request as invalid.
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

/// Why a watch is broken, and the API server's status code, if any. `None` for a watch that merely ended, or
/// whose resourceVersion is too old: kube resumes such a watch by itself.
fn failure_reason(error: &watcher::Error) -> Option<(String, Option<u16>)> {
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
        | watcher::Error::NoResourceVersion) => own_message(other).unwrap_or_else(|| chain(other)),
    };
    Some((why, code))
}

/// The message of the cause, if this crate and not kube made the cause.
fn own_message(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<NoResponse>() || error.is::<IncompleteList>() {
            return Some(error.to_string());
        }
        next = error.source();
    }
    None
}

fn trim_resource(resource: &mut MaybeResource) {
    trim_with(trim, resource);
}

/// An object whose trimming panics counts as undecodable. The watch serves all objects, so the watch must go
/// on.
fn trim_with(trim: impl FnOnce(&mut MaybeResource), resource: &mut MaybeResource) {
    if catch_unwind(AssertUnwindSafe(|| trim(resource))).is_ok() {
        return;
    }
    let user = match &resource.0 {
        Ok(resource) => Some(UserRef {
            user_pool_id: resource.spec.user_pool_id.clone(),
            username: resource.spec.username.clone(),
        }),
        Err(unreadable) => unreadable.user.clone(),
    };
    let mut metadata = resource.meta().clone();
    metadata.annotations = None;
    *resource = LeanObject(Err(DecodeError {
        error: "trimming the object panicked".to_owned(),
        metadata,
        user,
    }));
}

fn trim(resource: &mut MaybeResource) {
    for requested_at in resource.annotations_mut().values_mut() {
        *requested_at = request::known_by(requested_at).into_owned();
    }
    // `retired` is longer only if a person has edited the schema of the CRD.
    let resource = resource.0.as_mut().ok();
    if let Some(status) = resource.and_then(|resource| resource.status.as_mut()) {
        let surplus = status.retired.len().saturating_sub(RETIRED_MAX);
        status.retired.drain(..surplus);
    }
}

#[cfg(test)]
mod tests;
