//! The setting of a drill: a namespace with its users, a Cognito with a password history, and Secrets that
//! change all the time.

use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::Value;
use tokio::sync::watch;

use crate::book::Book;
use crate::observer::Observer;
use crate::say::Say;
use crate::settings::Settings;
use crate::support::{Call, ControlPlane, OperatorBuilder, Random, operator};
use crate::world::{POOL, World};

/// Longer than the longest outage.
const PATIENCE: Duration = Duration::from_mins(5);

/// What the resources of a scene are like.
#[derive(Clone, Copy)]
pub(crate) struct Cast {
    /// The pool of each user.
    pub(crate) pool: fn(&str) -> &'static str,
    /// Changes the resource of each user, before the resource is applied.
    pub(crate) change: fn(&str, &mut Value),
}

/// The valid resource.
impl Default for Cast {
    fn default() -> Self {
        Self {
            pool: |_| POOL,
            change: |_, _| (),
        }
    }
}

pub(crate) struct Scene {
    pub(crate) drill: &'static str,
    pub(crate) say: Say,
    pub(crate) world: World<'static>,
    /// The token of the operators' service account.
    pub(crate) token: String,
    pub(crate) users: Vec<String>,
    pub(crate) book: Book,
    pub(crate) observer: Observer,
    cast: Cast,
    random: Random,
    /// The minimum number of rotations.
    goal: usize,
    /// Whether the operators need grants.
    grants: bool,
    /// The operators' limits of calls: per second, and in a burst.
    limits: (usize, usize),
    rotated: watch::Sender<usize>,
}

impl Scene {
    /// Makes the operators watch all namespaces, and need grants. The control plane must have no other
    /// operator.
    pub(crate) fn with_grants(self) -> Self {
        Self {
            grants: true,
            ..self
        }
    }

    /// Sets the operators' limits of calls: per second, and in a burst.
    pub(crate) fn with_limits(self, rps: usize, burst: usize) -> Self {
        let limits = (rps, burst);
        Self { limits, ..self }
    }

    /// How many calls one process may make within a second.
    pub(crate) fn calls_a_second(&self) -> usize {
        self.limits.0 + self.limits.1
    }

    /// An operator, to be adjusted and started.
    pub(crate) fn builder(&self) -> OperatorBuilder<'static> {
        let builder = if self.grants {
            self.world.cluster_wide()
        } else {
            self.world.builder()
        };
        let (rps, burst) = self.limits;
        builder
            .arg(format!("--cognito-rps={rps}"))
            .arg(format!("--cognito-burst={burst}"))
    }

    /// Makes the setting. No operator runs yet.
    pub(crate) async fn set(
        drill: &'static str,
        plane: &'static ControlPlane,
        settings: Settings,
        size: (usize, usize),
    ) -> Self {
        Self::set_with(drill, plane, settings, size, Cast::default()).await
    }

    /// Makes the setting with these resources. No operator runs yet.
    pub(crate) async fn set_with(
        drill: &'static str,
        plane: &'static ControlPlane,
        settings: Settings,
        (users, goal): (usize, usize),
        cast: Cast,
    ) -> Self {
        let world = World::on(plane, drill).await;
        world.cognito.set_history(5);
        let scene = Self {
            drill,
            say: Say::new(drill),
            token: plane.token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT),
            users: (1..=users)
                .map(|number| format!("bot-{number:02}"))
                .collect(),
            book: Book::default(),
            observer: Observer::start(&world.client, &world.namespace),
            cast,
            random: settings.random(drill),
            goal,
            grants: false,
            limits: (10, 10),
            rotated: watch::Sender::new(0),
            world,
        };
        for user in &scene.users {
            scene.world.cognito.add_user(scene.pool(user), user);
        }
        scene.rotate_all().await;
        for user in &scene.users {
            let change = |resource: &mut Value| {
                resource["spec"]["userPoolId"] = scene.pool(user).into();
                (scene.cast.change)(user, resource);
            };
            scene.world.apply_resource(user, change).await;
        }
        scene
    }

    /// The pool of this user.
    pub(crate) fn pool(&self, user: &str) -> &'static str {
        (self.cast.pool)(user)
    }

    /// Gives every user a new value.
    pub(crate) async fn rotate_all(&self) {
        for (user, number) in self.users.iter().zip(0..) {
            self.rotate(user, &mut self.random.fork(number)).await;
        }
    }

    /// A sequence of random numbers for one part of the drill.
    pub(crate) fn random(&self, number: u64) -> Random {
        self.random.fork(1000 + number)
    }

    /// Rotates all Secrets until there were enough rotations and the driver has ended.
    pub(crate) async fn play(&self, driver: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let rotations = (self.users.iter().zip(0..)).map(|(user, number)| {
            let random = self.random.fork(100 + number);
            self.rotations(user, random, stopped.clone())
        });
        let enough = async {
            driver.await;
            let mut rotated = self.rotated.subscribe();
            // The sender lives as long as this scene.
            let _ = rotated.wait_for(|rotated| *rotated >= self.goal).await;
            stop.send_replace(true);
        };
        tokio::join!(join_all(rotations), enough);
    }

    /// Returns after this many more rotations.
    pub(crate) async fn after_rotations(&self, count: usize) {
        let mut rotated = self.rotated.subscribe();
        let wanted = *rotated.borrow() + count;
        // The sender lives as long as this scene.
        let _ = rotated.wait_for(|rotated| *rotated >= wanted).await;
    }

    /// Returns after this many more calls of Cognito that were applied.
    pub(crate) async fn after_sets(&self, count: usize) {
        let applied = |calls: &[Call]| calls.iter().filter(|call| call.applied()).count();
        let wanted = applied(&self.world.cognito.calls()) + count;
        let enough = |calls: &[Call]| applied(calls) >= wanted;
        let cognito = &self.world.cognito;
        cognito.wait_until("more sets", PATIENCE, enough).await;
    }

    async fn rotations(&self, user: &str, mut random: Random, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            // The pause sets the load. No check depends on the pause.
            let pause = Duration::from_millis(300 + random.next() % 1500);
            tokio::time::sleep(pause).await;
            self.rotate(user, &mut random).await;
            // Sometimes a person changes the value again before the value is set.
            if random.chance(0.1) {
                continue;
            }
            // A user that is not settled by the end is checked later, without faults.
            tokio::select! {
                () = self.observer.settled(&self.book, user) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Puts a new value into the Secret. Retries while the API server does not take the write.
    pub(crate) async fn rotate(&self, user: &str, random: &mut Random) {
        let value = self.book.new_value(user, random.next() >> 32);
        let mut secret = Secret::default();
        secret.metadata.name = Some(user.to_owned());
        secret.data = Some([("password".to_owned(), ByteString(value.into()))].into());
        let (secrets, params) = (self.world.secrets(), PatchParams::apply("tests").force());
        let started = Instant::now();
        loop {
            let patch = Patch::Apply(&secret);
            let write = secrets.patch(user, &params, &patch);
            let failed = match tokio::time::timeout(Duration::from_secs(20), write).await {
                Ok(Ok(written)) => {
                    let version = written.metadata.resource_version.unwrap_or_default();
                    self.book.written(user, version);
                    self.rotated.send_modify(|count| *count += 1);
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            // The write may have been applied. Writing the same value again changes nothing.
            assert!(
                started.elapsed() < PATIENCE,
                "the Secret {user} can't be written: {failed}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
