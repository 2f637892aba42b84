//! `drift`: the operator looks at the users. Two looks that agree, a minute apart, take Ready away, and lead to a
//! set only where that is safe.
//!
//! A restart begins a pass over each pool at once. So the tests restart the operator instead of waiting for the
//! interval, and move the time of the sets into the past instead of waiting for the margin after a set. Only the
//! minute between two looks passes. To pay for that minute once, one test tells the stories of many users.

mod cost;
mod guard;
mod mass;
mod silence;
mod stories;

use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::kstatus::violations;
use super::world::{SOON, World};
use crate::support::{
    Operation, Operator, await_resource, condition, eventually, resources, wait_reason,
};

const LIST: Operation = Operation::ListUsers;

/// Two looks are this far apart.
const MARGIN: Duration = Duration::from_mins(1);

/// The deadline for what takes two looks: 80 s on an idle machine.
const TWO_LOOKS: Duration = Duration::from_secs(200);

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";

/// Limits that no test reaches: three tenths of these are the rate of looks.
const FAST: [&str; 2] = ["--cognito-rps=400", "--cognito-burst=400"];

/// A user with a Secret and a resource, all of one name.
#[derive(Clone, Copy, Debug)]
struct User {
    name: &'static str,
    pool: &'static str,
    drift: &'static str,
}

const fn user(name: &'static str, pool: &'static str, drift: &'static str) -> User {
    User { name, pool, drift }
}

impl User {
    const fn key(&self) -> (&'static str, &'static str) {
        (self.pool, self.name)
    }
}

/// Long before every set of these tests.
fn long_ago(world: &World<'_>) -> Timestamp {
    world.cognito.date() - SignedDuration::from_hours(24 * 365)
}

/// Makes a user of the distant past.
pub(crate) fn add_user(world: &World<'_>, (pool, username): (&str, &str)) {
    world.cognito.add_user(pool, username);
    let created = long_ago(world);
    world.cognito.set_created((pool, username), created);
}

/// Makes a Secret and a resource.
async fn apply(world: &World<'_>, user: &User, change: impl FnOnce(&mut Value)) {
    world.apply_secret(user.name, "password", FIRST).await;
    world
        .apply_resource(user.name, |resource| {
            resource["spec"]["userPoolId"] = json!(user.pool);
            if !user.drift.is_empty() {
                resource["spec"]["drift"] = json!(user.drift);
            }
            change(resource);
        })
        .await;
}

/// Changes the record and the user as if the last set had been so long ago.
pub(crate) async fn backdate(
    world: &World<'_>,
    name: &str,
    user: (&str, &str),
    ago: SignedDuration,
) {
    let at = Timestamp::now() - ago;
    world.cognito.set_modified(user, at);
    let at = at.to_string();
    let synced = json!({ "at": at, "answeredAt": at });
    merge_status(world, name, json!({ "synced": synced })).await;
}

pub(crate) async fn merge_status(world: &World<'_>, name: &str, status: Value) {
    let status = json!({ "status": status });
    resources(&world.client, &world.namespace)
        .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .expect("the administrator may");
}

/// Starts an operator with limits that no test reaches. Its first passes begin at once.
async fn start(world: &World<'_>, args: &[&str]) -> Operator {
    let args = FAST.iter().chain(args);
    let builder = args.fold(world.builder(), |builder, arg| builder.arg(*arg));
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    operator
}

/// Waits until this operator has made a complete pass over each of these pools.
async fn wait_passes(operator: &Operator, pools: &[&str]) {
    eventually(TWO_LOOKS, async || {
        let logs = operator.logs();
        let passes: Vec<_> = logs
            .lines()
            .filter(|line| line.contains("looked at the users of a pool"))
            .collect();
        let missing = |pool: &&&str| !passes.iter().any(|line| line.contains(**pool));
        match pools.iter().find(missing) {
            None => Ok(()),
            Some(pool) => Err(format!("no pass over {pool}: {passes:#?}")),
        }
    })
    .await;
}

async fn wait_ready(world: &World<'_>, name: &str, status: &str, reason: &str) -> DynamicObject {
    let key = (&*world.namespace, name);
    let resource = wait_reason(&world.client, key, (status, reason), TWO_LOOKS).await;
    assert_eq!(violations(&resource), [""; 0], "{name}");
    resource
}

/// Waits until Verified has this status and reason, and returns the message.
async fn wait_verified(world: &World<'_>, name: &str, status: &str, reason: &str) -> String {
    let what = format!("Verified={status} for {reason}");
    let is = |resource: &DynamicObject| {
        condition(resource, "Verified")
            .is_some_and(|it| it["status"] == status && it["reason"] == reason)
    };
    let key = (&*world.namespace, name);
    let resource = await_resource(&world.client, key, TWO_LOOKS, &what, is).await;
    assert_eq!(violations(&resource), [""; 0], "{name}");
    message(&resource, "Verified")
}

fn message(resource: &DynamicObject, kind: &str) -> String {
    let condition = condition(resource, kind).expect(kind);
    condition["message"].as_str().unwrap_or_default().to_owned()
}

/// The passwords that the operator set for a user, in order.
fn sent(world: &World<'_>, (pool, username): (&str, impl AsRef<str>)) -> Vec<String> {
    let calls = world.cognito.calls_for(pool, username.as_ref());
    calls.into_iter().map(|call| call.password).collect()
}

async fn all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    join_all(futures).await
}
