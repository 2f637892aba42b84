//! One object's panic stops that object only, wherever it happens. The tests say where.

use super::{
    attend,
    context::{Context, Rules},
    follow::Follower,
    key::Key,
    reconcile,
};
use crate::{
    api::{CognitoUserPassword, CognitoUserPasswordSpec, PasswordSecretRef},
    cluster::{
        Leadership,
        lean::Lean,
        watch::{Scope, Told},
    },
    cognito::Cognito,
    core::{
        authority::Authority,
        budget::Limits,
        fingerprint::Keyring,
        password::Password,
        region::Regions,
        reply::{CredentialsFailure, Reply},
        target::{Account, Target},
    },
    ops::{health::Readiness, metrics::Metrics},
};
use kube::{Client, Config, runtime::watcher::Event};
use std::{cell::RefCell, sync::Arc};

thread_local! {
    /// Where, and at which key.
    static PANIC: RefCell<Option<(&'static str, Key)>> = const { RefCell::new(None) };
}

/// Panics if a test wants it here.
pub(super) fn panic_at(place: &'static str, key: &Key) {
    let wanted = PANIC.with_borrow(Clone::clone);
    assert!(
        wanted != Some((place, key.clone())),
        "a test wants this panic"
    );
}

fn inject(place: &'static str) {
    PANIC.set(Some((place, key("bad"))));
}

struct Nobody;

impl Cognito for Nobody {
    fn regions(&self) -> Regions {
        Regions::OfAws
    }

    async fn authenticate(&self, _: &Authority) -> Result<Account, CredentialsFailure> {
        Ok(Account::OfSource)
    }

    async fn admin_set_user_password(
        &self,
        _: &Authority,
        _: &Target,
        _: &Password,
        _: bool,
    ) -> Reply {
        unreachable!("no Secret can be read here")
    }

    fn retain(&self, _: &dyn Fn(&Authority) -> bool) {}
}

fn key(name: &str) -> Key {
    Key::new("team-a", name)
}

fn resource(name: &str) -> CognitoUserPassword {
    let spec = CognitoUserPasswordSpec {
        user_pool_id: "eu-west-1_a".to_owned(),
        username: name.to_owned(),
        password_secret_ref: PasswordSecretRef {
            name: name.to_owned(),
            key: "password".to_owned(),
        },
        permanent: true,
        suspend: false,
    };
    let mut resource = CognitoUserPassword::new(name, spec);
    resource.metadata.namespace = Some("team-a".to_owned());
    resource.metadata.uid = Some(format!("uid-of-{name}"));
    resource
}

/// An operator without grants, whose API server isn't there; both resources are listed.
async fn scene() -> Arc<Context<Nobody>> {
    let config = Config::new("http://127.0.0.1:1".parse().expect("a URL"));
    let rules = Rules {
        ungranted: None,
        secret_selector: None,
        budget: Limits {
            rps: 10.0,
            burst: 10,
        },
    };
    let context = Arc::new(Context::new(
        Client::try_from(config).expect("a client"),
        Arc::new(Nobody),
        Keyring::new([("key-1", &[7; 32][..])]).expect("a key"),
        Leadership::always(),
        Arc::new(Metrics::new("0.0.0")),
        rules,
    ));
    let scope = Scope::Namespace("team-a".to_owned());
    let readiness = Readiness::new();
    let mut follower = Follower::new(context.clone(), std::slice::from_ref(&scope), &readiness);
    let there = |name| Told::Resource(Box::new(Event::InitApply(Lean(Ok(resource(name))))));
    let events = [
        Told::Secret(Box::new(Event::Init)),
        Told::Secret(Box::new(Event::InitDone)),
        Told::Resource(Box::new(Event::Init)),
        there("bad"),
        there("good"),
        Told::Resource(Box::new(Event::InitDone)),
    ];
    for event in events {
        follower.follow(&scope, event).await;
    }
    context
}

#[tokio::test]
async fn where_an_event_panics_the_others_are_followed() {
    inject("index");
    let context = scene().await;
    assert!(!context.index().has_resource(&key("bad")));
    assert!(context.index().has_resource(&key("good")));
    assert_eq!(context.queue.take().await, key("good"));
}

#[tokio::test]
async fn where_a_first_decision_panics_the_others_are_decided_on_and_it_is_tried_again() {
    inject("decide");
    let context = scene().await;
    assert_eq!(context.queue.take().await, key("good"));
    assert_eq!((context.queue.len(), context.queue.entries()), (0, 2));
    // As after a takeover of the lease.
    let known = context.index().resources();
    reconcile::ask(&context, known).await;
    assert_eq!((context.queue.len(), context.queue.entries()), (0, 2));
}

#[tokio::test]
async fn where_a_reconcile_or_the_decision_after_it_panics_the_task_ends_well() {
    let context = scene().await;
    inject("decide");
    let mut taken = vec![context.queue.take().await, context.queue.take().await];
    taken.sort();
    assert_eq!(taken, [key("bad"), key("good")]);
    // What happens while it is looked at asks for another decision afterwards.
    context.queue.push(key("bad"));
    let place = context.places.take().await;
    attend(context.clone(), key("bad"), place).await;
    assert_eq!(context.queue.entries(), 2, "it is tried again");
}
