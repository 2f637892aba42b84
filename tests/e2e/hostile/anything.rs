//! Random objects of two tenants and of the writers of grants, as far as the API server accepts them. The
//! operator never sets a user without a grant, serves each user with a grant, and serves a third namespace as
//! usual. `HOSTILE_SEED` repeats a run, `HOSTILE_ROUNDS` sets the number of rounds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::generated::{self, NOWHERE, SECRETS};
use super::{assert_legible, assert_unharmed, model};
use crate::support::{Random, condition, describe, eventually, grants, resources};
use crate::world::{SOON, World};

const ROUNDS: usize = 2;
const GRANTS: usize = 10;
const RESOURCES: usize = 20;

/// A resource that the API server accepted.
struct AcceptedResource {
    tenant: usize,
    name: String,
    pool: String,
    user: String,
    secret: String,
    permanent: bool,
    granted: bool,
    /// Whether no other resource names this user, in any spelling.
    alone: bool,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn object(value: &Value) -> DynamicObject {
    serde_json::from_value(value.clone()).expect("an object")
}

/// Writes the Secrets that a tenant's resources refer to, with this value wherever the value can be set.
async fn put_secrets(tenant: &World<'_>, value: &str) {
    tenant.leaks.note(value.as_bytes());
    for name in &SECRETS[..5] {
        let mut data = BTreeMap::from([("password".to_owned(), value.to_owned())]);
        match *name {
            "many-keys" => {
                let keys = (0..2_000).map(|at| (format!("key-{at}"), "filler-7f".to_owned()));
                data.extend(keys);
            }
            "large" => drop(data.insert("filler".to_owned(), "y".repeat(1_000_000))),
            "too-long" => drop(data.insert("password".to_owned(), "z".repeat(1_000_000))),
            "binary" => drop(data.insert("password".to_owned(), "\u{0}\u{202e}\n".to_owned())),
            _ => {}
        }
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data,
        });
        let force = PatchParams::apply("tests").force();
        let secret: Secret = serde_json::from_value(secret).expect("a Secret");
        let put = tenant
            .secrets()
            .patch(name, &force, &Patch::Apply(&secret))
            .await;
        put.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Writes these resources, for the two tenants in turn. Returns the resources that the API server accepted.
async fn write_resources(tenants: &[World<'_>; 2], made: &[Value]) -> Vec<AcceptedResource> {
    let mut taken = Vec::new();
    for (number, made) in made.iter().enumerate() {
        let tenant = number % 2;
        let api = resources(&tenants[tenant].client, &tenants[tenant].namespace);
        let Ok(stored) = api.create(&PostParams::default(), &object(made)).await else {
            continue;
        };
        let text = |path: &str| {
            let text = stored.data.pointer(path).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        taken.push(AcceptedResource {
            tenant,
            name: stored.metadata.name.clone().unwrap_or_default(),
            pool: text("/spec/userPoolId"),
            user: text("/spec/username"),
            secret: text("/spec/passwordSecretRef/name"),
            permanent: stored.data["spec"]["permanent"] == true,
            granted: false,
            alone: false,
        });
    }
    taken
}

/// Waits until each resource reports whether a grant admits the resource, and checks the messages.
async fn wait_judged(tenants: &[World<'_>; 2], taken: &[AcceptedResource]) {
    for it in taken {
        let tenant = &tenants[it.tenant];
        let what = format!(
            "granted: {}, as {:?} of {} is",
            it.granted, it.user, it.pool
        );
        let judged = tenant.wait_for(&it.name, &what, |resource| {
            condition(resource, "Ready")
                .is_some_and(|ready| (ready["reason"] != "NotGranted") == it.granted)
        });
        let judged = judged.await;
        for condition in judged.data["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            assert_legible(condition["message"].as_str().unwrap_or_default(), 32_768);
        }
        let handled = judged.data["status"]["lastHandledReconcileAt"].as_str();
        assert!(
            handled.unwrap_or_default().chars().count() <= 128,
            "{handled:?}"
        );
    }
}

/// Waits until Cognito got this value for each resource that the operator can serve. Returns their number.
async fn wait_sent(tenants: &[World<'_>; 2], taken: &[AcceptedResource], value: &str) -> usize {
    let can_be_set = |it: &&AcceptedResource| {
        let has_value = SECRETS[..3].contains(&&*it.secret);
        it.granted && it.alone && has_value && !NOWHERE.contains(&&*it.pool)
    };
    let mut served = 0;
    for it in taken.iter().filter(can_be_set) {
        let tenant = &tenants[it.tenant];
        eventually(SOON, async || {
            let calls = tenant.cognito.calls_for(&it.pool, &it.user);
            if calls.iter().any(|call| call.password == value) {
                return Ok(());
            }
            Err(describe(&tenant.client, &tenant.namespace, &it.name).await)
        })
        .await;
        served += 1;
    }
    served
}

/// Writes random statuses. Returns the resources that the operator must still serve. A status that can't be
/// decoded stops a resource. A status of a temporary password may say that the value was sent.
async fn forge(
    tenants: &[World<'_>; 2],
    random: &mut Random,
    taken: Vec<AcceptedResource>,
) -> Vec<AcceptedResource> {
    let mut going_on = Vec::new();
    for it in taken {
        let tenant = &tenants[it.tenant];
        let api = resources(&tenant.client, &tenant.namespace);
        let status = generated::status(random);
        let can_be_read = !status.to_string().contains("9999-");
        let patch = Patch::Merge(json!({ "status": status }));
        let forged = api
            .patch_status(&it.name, &PatchParams::default(), &patch)
            .await;
        if forged.is_ok() && can_be_read && it.permanent {
            going_on.push(it);
        }
    }
    going_on
}

async fn assert_events_fit(tenant: &World<'_>) {
    let events: Api<Event> = Api::namespaced(tenant.client.clone(), &tenant.namespace);
    let events = events.list(&ListParams::default()).await.expect("events");
    for event in events {
        assert_legible(event.message.as_deref().unwrap_or_default(), 1_024);
    }
}

/// Checks that each call was for the control user, or for one of these users by pool and name.
fn assert_granted(world: &World<'_>, granted: &BTreeSet<(String, String)>) {
    for call in world.cognito.calls() {
        let theirs = granted.contains(&(call.pool.clone(), call.username.clone()));
        assert!(theirs || call.username == "control", "{call:#?}");
    }
}

/// Deletes the tenants' objects, so that they disturb no other test.
async fn sweep(tenants: &[World<'_>; 2]) {
    for tenant in tenants {
        let api = resources(&tenant.client, &tenant.namespace);
        for resource in api.list(&ListParams::default()).await.expect("resources") {
            let name = resource.metadata.name.unwrap_or_default();
            let free = json!({ "metadata": { "finalizers": null } });
            let freed = api
                .patch(&name, &PatchParams::default(), &Patch::Merge(free))
                .await;
            freed.expect("it is there");
            api.delete(&name, &DeleteParams::default())
                .await
                .expect("it is there");
        }
        for name in &SECRETS[..5] {
            tenant.delete_secret(name).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_resources_and_grants_cause_no_call_without_a_grant() {
    let seed = setting("HOSTILE_SEED").unwrap_or_else(|| getrandom::u64().expect("randomness"));
    let rounds = setting("HOSTILE_ROUNDS")
        .and_then(|it| it.try_into().ok())
        .unwrap_or(ROUNDS);
    eprintln!("HOSTILE_SEED={seed} HOSTILE_ROUNDS={rounds}");
    let (world, _turn) = World::alone("hostile").await;
    let tenants = [
        world.neighbour("tenant-a").await,
        world.neighbour("tenant-b").await,
    ];
    for tenant in &tenants {
        tenant.revoke().await;
    }
    let namespaces = tenants.each_ref().map(|tenant| &*tenant.namespace);
    let operator = world
        .cluster_wide()
        .arg("--cognito-rps=200")
        .arg("--cognito-burst=200");
    let operator = operator.start().await;
    operator.wait_ready(SOON).await;
    world.in_sync("control", "control-0-Pw").await;
    let all_grants = grants(&world.client);
    // Every user that a grant ever admitted, and how many objects took part.
    let mut granted = BTreeSet::new();
    let (mut taken_of_all, mut served) = (0, 0);
    for round in 0..rounds {
        let mut random = Random::new(seed).fork(u64::try_from(round).expect("a few"));
        for tenant in &tenants {
            put_secrets(tenant, &format!("value-{round}-0-Pw")).await;
        }
        let (plain, its_grant) = generated::plain(&format!("plain-{round}"), namespaces[0]);
        let names = (1..RESOURCES).map(|number| match number {
            1 => "n".repeat(253),
            number => format!("r-{round}-{number}"),
        });
        let others = names.map(|name| generated::resource(&mut random, &name));
        let made: Vec<_> = [plain].into_iter().chain(others).collect();
        let mut in_force = Vec::new();
        for number in 0..GRANTS {
            let name = format!("{}-{round}-{number}", world.namespace);
            let meant = random.below(RESOURCES);
            let whom = (namespaces[meant % 2], namespaces[(meant + 1) % 2]);
            let grant = match number {
                0 => its_grant.clone(),
                _ => generated::grant(&mut random, &name, &made[meant], whom),
            };
            let made = all_grants
                .create(&PostParams::default(), &object(&grant))
                .await;
            if made.is_ok() {
                in_force.push(grant);
            }
        }
        let mut taken = write_resources(&tenants, &made).await;
        let mut same = HashMap::<_, usize>::new();
        for it in &taken {
            *same
                .entry((it.pool.clone(), it.user.to_lowercase()))
                .or_default() += 1;
        }
        for it in &mut taken {
            let namespace = namespaces[it.tenant];
            it.granted = in_force
                .iter()
                .any(|grant| model::lets_in(grant, &it.pool, &it.user, namespace));
            it.alone = same[&(it.pool.clone(), it.user.to_lowercase())] == 1;
            world.cognito.add_user(&it.pool, &it.user);
            if it.granted {
                granted.insert((it.pool.clone(), it.user.clone()));
            }
        }
        taken_of_all += taken.len() + in_force.len();
        wait_judged(&tenants, &taken).await;
        served += wait_sent(&tenants, &taken, &format!("value-{round}-0-Pw")).await;

        // A person with the right to write statuses does so. Then the values change.
        let going_on = forge(&tenants, &mut random, taken).await;
        world
            .apply_secret("control", "password", format!("control-{round}-1-Pw"))
            .await;
        for tenant in &tenants {
            put_secrets(tenant, &format!("value-{round}-1-Pw")).await;
        }
        wait_sent(&tenants, &going_on, &format!("value-{round}-1-Pw")).await;
        world
            .wait_set("control", &format!("control-{round}-1-Pw"))
            .await;
        for tenant in &tenants {
            assert_events_fit(tenant).await;
        }
        sweep(&tenants).await;
        for grant in in_force {
            let name = grant["metadata"]["name"].as_str().expect("it has one");
            let deleted = all_grants.delete(name, &DeleteParams::default()).await;
            deleted.expect("it is there");
        }
    }
    world.in_sync("control", "control-end-Pw").await;
    assert_granted(&world, &granted);
    assert_unharmed(&operator).await;
    let tried = rounds * (RESOURCES + GRANTS);
    eprintln!("{taken_of_all} of {tried} taken, {served} served");
    assert!(taken_of_all > tried / 3 && taken_of_all < tried && served >= rounds);
}
