//! The parts of an operator for tests: index, queue, and a Cognito and an API server in memory.

mod api_server;

use super::key;
use crate::{
    api::{
        CognitoUserPassword, CognitoUserPasswordSpec, CognitoUserPoolGrant,
        CognitoUserPoolGrantSpec, Drift, FederatedUser, GrantNamespaces, PasswordSecretRef,
    },
    cluster::{
        Leadership,
        watch::{
            LabelledNamespace, MaybeResource, Scope, SecretName, WatchEvent,
            lean_object::LeanObject,
        },
    },
    cognito::Cognito,
    controller::{
        context::{Context, Rules},
        schedule::queue::Queue,
        state::key::Key,
        watch::{EventHandler, register_checks},
    },
    core::{
        access::{authority::Authority, grant::UngrantedPolicy},
        credential::{failure::CredentialsFailure, fingerprint::Keyring, password::Password},
        look::user::{UserPage, UserQuery},
        names::{
            region::Regions,
            target::{Account, PoolId, Target},
        },
        protocol::reply::Reply,
        schedule::rate_limit::RateLimits,
    },
    ops::{health::Readiness, metrics::Metrics},
};
pub use api_server::ApiServer;
use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Client, Resource, ResourceExt, runtime::watcher::Event};
use serde_json::json;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A Cognito in memory that panics if a test wants a panic.
#[derive(Default)]
pub struct Aws {
    /// How many lookups of credentials fail before one succeeds.
    pub failures: Mutex<u32>,
    /// The user for whom the call panics.
    pub panics_for: Option<&'static str>,
    /// Whether [`Cognito::retain`] panics.
    pub retain_panics: bool,
    /// The users for whom a call was made, in order.
    pub called: Mutex<Vec<String>>,
}

fn answered<T>(output: T) -> Reply<T> {
    Reply::Success {
        output,
        request_id: None,
        answered_at: None,
    }
}

impl Cognito for Aws {
    fn regions(&self) -> Regions {
        Regions::OfAws
    }

    async fn authenticate(&self, _: &Authority) -> Result<Account, CredentialsFailure> {
        let mut failures = lock(&self.failures);
        if *failures > 0 {
            *failures -= 1;
            return Err(CredentialsFailure("none".to_owned()));
        }
        Ok(Account::OfSource)
    }

    async fn admin_set_user_password(
        &self,
        _: &Authority,
        target: &Target,
        _: &Password,
        _: bool,
    ) -> Reply {
        let user = target.username.to_string();
        lock(&self.called).push(user.clone());
        assert!(
            self.panics_for != Some(&*user),
            "a test wants this call to panic"
        );
        answered(())
    }

    async fn list_users(&self, _: &Authority, _: &PoolId, _: &UserQuery) -> Reply<UserPage> {
        answered(UserPage {
            users: Vec::new(),
            next_token: None,
        })
    }

    async fn admin_user_global_sign_out(&self, _: &Authority, _: &Target) -> Reply {
        answered(())
    }

    async fn temporary_password_validity_days(
        &self,
        _: &Authority,
        _: &PoolId,
    ) -> Reply<Option<u32>> {
        answered(None)
    }

    fn retain(&self, _: &dyn Fn(&Authority) -> bool) {
        assert!(!self.retain_panics, "a test wants this panic");
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A context and an event handler, with the services that a test needs.
pub struct Scene<C: Cognito = Aws> {
    pub context: Arc<Context<C>>,
    pub event_handler: EventHandler<C>,
    pub readiness: Readiness,
    pub api: ApiServer,
    scope: Scope,
}

impl Scene {
    /// A scene in the namespace `team-a`, without grants.
    pub fn without_grants() -> Self {
        Self::with(None, Aws::default())
    }
}

impl<C: Cognito> Scene<C> {
    /// A scene in all namespaces with grants, if a policy for pools without grants is given. Else in
    /// `team-a`, without grants.
    pub fn with(ungranted: Option<UngrantedPolicy>, aws: C) -> Self {
        let api = ApiServer::default();
        let rules = Rules {
            ungranted,
            secret_selector: None,
            budget: RateLimits {
                rps: 10.0,
                burst: 10,
            },
            drift: Drift::Ignore,
            drift_interval: Duration::from_mins(15),
        };
        let context = Arc::new(Context::new(
            Client::new(api.clone(), "team-a"),
            Arc::new(aws),
            Keyring::new([("key-1", &[7; 32][..])]).expect("a key"),
            Leadership::always(),
            Arc::new(Metrics::new("0.0.0")),
            rules,
        ));
        let scope = match ungranted {
            Some(_) => Scope::All,
            None => Scope::Namespace("team-a".to_owned()),
        };
        let readiness = Readiness::new();
        register_checks(&readiness, std::slice::from_ref(&scope));
        let event_handler =
            EventHandler::new(context.clone(), std::slice::from_ref(&scope), &readiness);
        Self {
            context,
            event_handler,
            readiness,
            api,
            scope,
        }
    }

    pub async fn handle(&mut self, events: impl IntoIterator<Item = WatchEvent>) {
        for event in events {
            self.event_handler.handle(&self.scope, event).await;
        }
    }

    /// Shows a complete list of these resources, and an empty list of Secrets. The API server gets the
    /// resources too.
    pub async fn list(&mut self, resources: Vec<CognitoUserPassword>) {
        self.handle([secret(Event::Init), secret(Event::InitDone)])
            .await;
        self.handle([resource_event(Event::Init)]).await;
        for resource in resources {
            let object = serde_json::to_value(&resource).expect("JSON");
            self.api.put(&path(resource.name_any().as_str()), object);
            self.handle([listed_resource(resource)]).await;
        }
        self.handle([resource_event(Event::InitDone)]).await;
    }

    /// Takes all due keys from the queue, and returns the keys in order. Each key is done at once.
    pub fn due(&self) -> Vec<Key> {
        let queue = &self.context.queue;
        let taken = std::iter::from_fn(|| queue.take().now_or_never());
        let mut due: Vec<_> = taken.collect();
        for key in &due {
            assert!(!queue.done(key, None), "nothing happened since");
        }
        due.sort();
        due
    }

    /// How many panics the metrics have counted.
    pub fn panics(&self) -> u32 {
        let metrics = self.context.metrics.encode();
        let counter = r#"cognito_password_operator_reconciles_total{result="panic"} "#;
        let line = metrics.lines().find_map(|line| line.strip_prefix(counter));
        line.map_or(0, |count| count.parse().expect("a number"))
    }
}

impl<C: Cognito> Drop for Scene<C> {
    /// Removes the injected panic, because another test may run in the same thread.
    fn drop(&mut self) {
        super::heal();
    }
}

/// Waits until the condition holds, at most two minutes.
pub async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(2), wait).await;
    waited.expect("it holds within two minutes");
}

/// Takes the next key from the queue.
pub async fn next(queue: &Queue) -> Key {
    let taken = tokio::time::timeout(Duration::from_mins(2), queue.take()).await;
    taken.expect("one within two minutes")
}

/// The path of the resource of this name in the API server.
pub fn path(name: &str) -> String {
    let resources = CognitoUserPassword::url_path(&(), Some("team-a"));
    format!("{resources}/{name}")
}

/// A resource for the user of the same name, created at this Unix time in seconds.
pub fn resource(name: &str, created: i64) -> CognitoUserPassword {
    let spec = CognitoUserPasswordSpec {
        user_pool_id: "eu-west-1_a".to_owned(),
        username: name.to_owned(),
        password_secret_ref: PasswordSecretRef {
            name: name.to_owned(),
            key: "password".to_owned(),
        },
        permanent: true,
        suspend: false,
        drift: None,
        federated_user: FederatedUser::Refuse,
        revoke_sessions: false,
    };
    let mut resource = CognitoUserPassword::new(name, spec);
    resource.metadata.namespace = Some("team-a".to_owned());
    resource.metadata.uid = Some(format!("uid-of-{name}"));
    resource.metadata.resource_version = Some("1".to_owned());
    resource.metadata.generation = Some(1);
    let created = Timestamp::from_second(created).expect("a time");
    resource.metadata.creation_timestamp = Some(Time(created));
    resource
}

/// A resource for the user `username`.
pub fn rival(name: &str, created: i64, username: &str) -> CognitoUserPassword {
    let mut resource = resource(name, created);
    resource.spec.username = username.to_owned();
    resource
}

pub fn resource_event(event: Event<MaybeResource>) -> WatchEvent {
    WatchEvent::Resource(Box::new(event))
}

/// The watch event of a list that shows this resource.
pub fn listed_resource(resource: CognitoUserPassword) -> WatchEvent {
    resource_event(Event::InitApply(LeanObject(Ok(resource))))
}

/// The watch event that shows the deletion of this resource.
pub fn deleted_resource(resource: CognitoUserPassword) -> WatchEvent {
    resource_event(Event::Delete(LeanObject(Ok(resource))))
}

pub fn secret(event: Event<SecretName>) -> WatchEvent {
    WatchEvent::Secret(Box::new(event))
}

/// A Secret of this name and version.
pub fn secret_name(name: &str, version: u32) -> SecretName {
    let metadata = json!({
        "name": name, "namespace": "team-a", "uid": name, "resourceVersion": version.to_string(),
    });
    serde_json::from_value(json!({ "metadata": metadata })).expect("a name")
}

pub fn namespace(event: Event<LabelledNamespace>) -> WatchEvent {
    WatchEvent::Namespace(Box::new(event))
}

/// A namespace with this value of the label `team`.
pub fn labelled(name: &str, team: &str) -> LabelledNamespace {
    let metadata = json!({ "name": name, "labels": { "team": team } });
    serde_json::from_value(json!({ "metadata": metadata })).expect("a namespace")
}

pub fn grant(event: Event<LeanObject<CognitoUserPoolGrant>>) -> WatchEvent {
    WatchEvent::Grant(Box::new(event))
}

/// A grant that lets `team-a` manage this user.
pub fn grant_for(name: &str, username: &str) -> LeanObject<CognitoUserPoolGrant> {
    let spec = CognitoUserPoolGrantSpec {
        user_pool_id: "eu-west-1_a".to_owned(),
        usernames: vec![username.to_owned()],
        namespaces: GrantNamespaces {
            names: Some(vec!["team-a".to_owned()]),
            selector: None,
        },
        region: None,
        role_arn: None,
        external_id: None,
    };
    let mut grant = CognitoUserPoolGrant::new(name, spec);
    grant.metadata.resource_version = Some("1".to_owned());
    grant.metadata.uid = Some(name.to_owned());
    LeanObject(Ok(grant))
}

/// A complete list of grants of these names, each for the user of the same name.
pub fn grants(names: &[&str]) -> Vec<WatchEvent> {
    let listed = names
        .iter()
        .map(|name| grant(Event::InitApply(grant_for(name, name))));
    std::iter::once(grant(Event::Init))
        .chain(listed)
        .chain([grant(Event::InitDone)])
        .collect()
}

/// Whether the grants let the resource of this name manage the user of the same name.
pub fn is_admitted(scene: &Scene, name: &str) -> bool {
    scene.context.index().grants().is_admitted(&key(name))
}
