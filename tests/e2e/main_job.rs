//! The main job: the user's password is the Secret's value once the resource exists, and again after each
//! change of the Secret.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Fault, Moto, Operator, SignIn, eventually};
use crate::world::{POOL, SOON, World, assert_within};

/// A user of moto, so that sign-ins can be tried.
struct Person {
    moto: &'static Moto,
    pool: String,
    application: String,
}

impl Person {
    async fn new(world: &World<'_>) -> (Self, Operator) {
        let moto = Moto::shared().await;
        let (pool, application) = moto.create_pool(&world.namespace, 8).await;
        moto.create_user(&pool, "ci-bot").await;
        let operator = world.builder().cognito(moto.url()).start().await;
        operator.wait_ready(SOON).await;
        let person = Self {
            moto,
            pool,
            application,
        };
        (person, operator)
    }

    async fn apply(&self, world: &World<'_>) {
        let set_pool = |resource: &mut serde_json::Value| {
            resource["spec"]["userPoolId"] = json!(self.pool);
        };
        world.apply_resource("ci-bot", set_pool).await;
    }

    async fn signs_in_with(&self, password: &str) -> SignIn {
        self.moto
            .sign_in(&self.pool, &self.application, "ci-bot", password)
            .await
    }

    async fn status(&self) -> String {
        self.moto.user_status(&self.pool, "ci-bot").await
    }
}

fn refused() -> SignIn {
    SignIn::Refused("NotAuthorizedException".to_owned())
}

#[tokio::test]
async fn a_secrets_value_becomes_the_password_and_again_when_it_changes() {
    let world = World::new("main-job").await;
    let (person, _operator) = Person::new(&world).await;
    world
        .apply_secret("ci-bot", "password", "First-Passw0rd")
        .await;
    person.apply(&world).await;
    world.wait("ci-bot", "True", "PasswordSet").await;
    assert_eq!(person.signs_in_with("First-Passw0rd").await, SignIn::Ok);
    assert_eq!(person.status().await, "CONFIRMED");

    let first = world.status("ci-bot").await;
    world
        .apply_secret("ci-bot", "password", "Second-Passw0rd")
        .await;
    let set = world
        .wait_for("ci-bot", "set again", |resource| {
            let status = &resource.data["status"];
            status["attempt"].is_null() && status["synced"] != first["synced"]
        })
        .await;
    assert_eq!(person.signs_in_with("Second-Passw0rd").await, SignIn::Ok);
    assert_eq!(person.signs_in_with("First-Passw0rd").await, refused());

    let secret = world.secrets().get("ci-bot").await.expect("it is there");
    let synced = &set.data["status"]["synced"];
    assert_eq!(synced["secretUid"], json!(secret.metadata.uid), "{synced}");
    assert_eq!(
        synced["secretResourceVersion"],
        json!(secret.metadata.resource_version),
        "{synced}"
    );
    let conditions = &set.data["status"]["conditions"];
    assert_eq!(
        conditions.as_array().map(Vec::len),
        Some(1),
        "Ready alone: {conditions}"
    );
}

#[tokio::test]
async fn kubectl_get_shows_at_a_glance_whose_password_was_set_and_when() {
    let world = World::new("columns").await;
    let _operator = world.operator().await;
    world.in_sync("ci-bot", "First-Passw0rd").await;

    let table = world
        .plane
        .kubectl(&["get", "cup", "-n", &world.namespace, "ci-bot"]);
    let [header, row] = table.lines().collect::<Vec<_>>()[..] else {
        panic!("a header and a row: {table}");
    };
    // Two blanks or more stand between columns, one within a name.
    let header: Vec<_> = header
        .split("  ")
        .map(str::trim)
        .filter(|column| !column.is_empty())
        .collect();
    assert_eq!(
        header,
        [
            "NAME",
            "READY",
            "REASON",
            "SUSPENDED",
            "USER",
            "POOL",
            "LAST SET",
            "AGE"
        ]
    );
    let row: Vec<_> = row.split_whitespace().collect();
    assert_eq!(row[..5], ["ci-bot", "True", "PasswordSet", "ci-bot", POOL]);
    for age in &row[5..] {
        assert!(age.ends_with('s'), "an age in seconds: {table}");
    }
    assert_eq!(row.len(), 7, "{table}");

    let by_user = ["get", "cup", "-n", &world.namespace, "-o", "name"];
    let selecting = |field: &str| {
        let selector = format!("--field-selector={field}");
        world.plane.kubectl(&[&by_user[..], &[&selector]].concat())
    };
    assert!(selecting("spec.username=ci-bot").contains("ci-bot"));
    assert!(selecting(&format!("spec.userPoolId={POOL}")).contains("ci-bot"));
    assert_eq!(selecting("spec.username=nobody"), "");
}

#[tokio::test]
async fn each_set_is_counted_in_one_event() {
    let world = World::new("events").await;
    let _operator = world.operator().await;
    world.in_sync("ci-bot", "First-Passw0rd").await;
    for password in ["Second-Passw0rd", "Third-Passw0rd"] {
        world.apply_secret("ci-bot", "password", password).await;
        world.wait_set("ci-bot", password).await;
    }
    // The Event comes after the status.
    let event = eventually(SOON, async || {
        let events = world.events("ci-bot", "PasswordSet").await;
        let [event] = &events[..] else {
            return Err(format!("one event: {events:#?}"));
        };
        let count = event.series.as_ref().and_then(|series| series.count);
        match count {
            Some(3) => Ok(event.clone()),
            _ => Err(format!("counted three times: {event:#?}")),
        }
    })
    .await;
    assert_eq!(event.type_.as_deref(), Some("Normal"), "{event:#?}");
}

#[tokio::test]
async fn a_temporary_password_must_be_changed_at_sign_in_and_a_permanent_one_not() {
    let world = World::new("temporary").await;
    let (person, _operator) = Person::new(&world).await;
    world
        .apply_secret("ci-bot", "password", "First-Passw0rd")
        .await;
    person.apply(&world).await;
    world.wait("ci-bot", "True", "PasswordSet").await;

    let permanent = |permanent: bool| json!({ "spec": { "permanent": permanent } });
    world.patch_resource("ci-bot", permanent(false)).await;
    world.wait("ci-bot", "True", "PasswordSet").await;
    assert_eq!(
        person.signs_in_with("First-Passw0rd").await,
        SignIn::Challenge("NEW_PASSWORD_REQUIRED".to_owned())
    );
    assert_eq!(person.status().await, "FORCE_CHANGE_PASSWORD");

    world.patch_resource("ci-bot", permanent(true)).await;
    world.wait("ci-bot", "True", "PasswordSet").await;
    assert_eq!(person.signs_in_with("First-Passw0rd").await, SignIn::Ok);
    assert_eq!(person.status().await, "CONFIRMED");
}

#[tokio::test]
async fn a_change_of_the_secret_is_set_within_a_second() {
    const TRIES: usize = 5;
    let world = World::new("latency").await;
    let _operator = world.operator().await;
    world.in_sync("ci-bot", "Passw0rd-0").await;
    let (mut took, mut writing) = (Vec::new(), Vec::new());
    for number in 1..=TRIES {
        let password = format!("Passw0rd-{number}");
        let change = json!({ "stringData": { "password": password } });
        let begin = Instant::now();
        world.patch_secret("ci-bot", change).await;
        writing.push(begin.elapsed());
        // The queue is empty before the next change.
        world.wait_set("ci-bot", &password).await;
        let calls = world.cognito.calls();
        took.push(calls[number].arrived.duration_since(begin));
    }
    // The medians, so that one slow moment of a busy machine breaks no promise.
    took.sort();
    writing.sort();
    assert_within(Duration::from_secs(1), took[TRIES / 2], writing[TRIES / 2]);
}

#[tokio::test]
async fn a_request_sets_the_password_again_and_is_answered() {
    let world = World::new("request").await;
    let operator = world.operator().await;
    world.in_sync("ci-bot", "First-Passw0rd").await;
    // The user chooses another password. No event tells the operator.
    world
        .cognito
        .change_password(POOL, "ci-bot", "Chosen-By-Hand");

    let answered = async |at: &'static str| {
        world
            .wait_for("ci-bot", "the request answered", |resource| {
                let status = &resource.data["status"];
                status["lastHandledReconcileAt"] == at && status["attempt"].is_null()
            })
            .await;
    };
    world.request("ci-bot", "2026-01-01T00:00:00Z").await;
    answered("2026-01-01T00:00:00Z").await;
    let same = "First-Passw0rd";
    world.assert_calls("ci-bot", &[same, same]).await;
    world.wait_set("ci-bot", same).await;

    // Any new value of the annotation is a request. The same value again is none, not even for a new process.
    world.request("ci-bot", "please").await;
    answered("please").await;
    world.assert_calls("ci-bot", &[same, same, same]).await;
    assert!(operator.terminate(SOON).await.success());
    let _operator = world.operator().await;
    world.request("ci-bot", "please").await;
    world.fence().await;
    world.assert_calls("ci-bot", &[same, same, same]).await;
}

#[tokio::test]
async fn readyz_fails_until_both_watches_have_listed() {
    let world = World::new("ready").await;
    let mark = world.mark();
    let operator = world.builder().start().await;
    // No pause between the polls, because the first success is the one to check.
    let started = Instant::now();
    while !matches!(operator.try_get("/readyz").await, Ok((200, _))) {
        assert!(started.elapsed() < SOON, "{}", operator.logs());
    }
    let asked = world.traffic(mark);
    for list in ["list cognitouserpasswords", "list secrets"] {
        assert!(asked.contains(list), "ready after {asked:?} only");
    }
}

#[tokio::test]
async fn the_metrics_report_calls_resources_queue_and_time_to_set() {
    const P: &str = "cognito_password_operator";
    let world = World::new("metrics").await;
    let operator = world.operator().await;
    assert_eq!(operator.get("/livez").await, (200, "ok".to_owned()));
    assert_eq!(operator.get("/readyz").await, (200, "ok".to_owned()));

    world.in_sync("good", "First-Passw0rd").await;
    let calls = async |code: &str| {
        let labels = [("operation", "AdminSetUserPassword"), ("code", code)];
        let name = format!("{P}_cognito_calls_total");
        operator.metric(&name, &labels).await.to_string()
    };
    let followed = format!("{P}_secret_change_to_set_seconds_count");
    assert_eq!(calls("OK").await, "1");
    let text = operator.metrics().await;
    assert_eq!(
        operator.metric(&followed, &[]).await.to_string(),
        "0",
        "a first set follows no change: {text}"
    );

    world
        .apply_secret("good", "password", "Second-Passw0rd")
        .await;
    world.wait_set("good", "Second-Passw0rd").await;
    world.cognito.add_user(POOL, "weak");
    let fault = Fault::error("InvalidPasswordException", "Password not long enough");
    world.cognito.next_for((POOL, "weak"), [fault]);
    world
        .apply_secret("weak", "password", "Weak-but-long")
        .await;
    world.apply_resource("weak", |_| ()).await;
    world.wait("weak", "False", "InvalidPassword").await;

    // The operator counts the last reconcile after the status write.
    eventually(SOON, async || {
        let text = operator.metrics().await;
        let wanted = [
            format!("{P}_cognito_calls_total{{operation=\"AdminSetUserPassword\",code=\"OK\"}} 2"),
            format!("{P}_cognito_calls_total{{operation=\"AdminSetUserPassword\",code=\"InvalidPasswordException\"}} 1"),
            format!("{P}_cognito_call_duration_seconds_count{{operation=\"AdminSetUserPassword\"}} 3"),
            format!("{followed} 1"),
            format!("{P}_resources{{reason=\"PasswordSet\"}} 1"),
            format!("{P}_resources{{reason=\"InvalidPassword\"}} 1"),
            format!("{P}_queue_length 0"),
        ];
        let missing: Vec<_> = wanted
            .iter()
            .filter(|wanted| !text.lines().any(|line| line == *wanted))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:#?} are not in:\n{text}"))
        }
    })
    .await;
    let took = format!("{P}_secret_change_to_set_seconds_sum");
    let took = operator.metric(&took, &[]).await;
    assert!(took > 0.0 && took < SOON.as_secs_f64(), "{took} s");
}
