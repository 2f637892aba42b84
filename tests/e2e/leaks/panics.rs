//! A panic during a call prints nothing of the password at any log level, and stops no other resource. No
//! panic in the operator is known, so its Cognito panics.

use std::panic::catch_unwind;

use super::super::world::{SOON, World};
use super::marker;
use super::parts::{PANICS, Parts, panic_with};
use crate::support::{eventually, http, metrics, search};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_a_password_is_held_says_nothing_of_it_and_stops_nobody_else() {
    let world = World::new("panics").await;
    for name in PANICS {
        world.apply_secret(name, "password", marker(name)).await;
        world.apply_resource(name, |_| ()).await;
    }
    let Parts { process, port, .. } = &Parts::start(&world);
    eventually(SOON, async || {
        let panicked = process.logs().matches("the reconcile panicked").count();
        (panicked >= PANICS.len())
            .then_some(())
            .ok_or_else(|| process.logs())
    })
    .await;
    world.apply_secret("calm", "password", marker("calm")).await;
    world.apply_resource("calm", |_| ()).await;
    world.wait("calm", "True", "PasswordSet").await;

    let log = process.logs();
    for said in [
        "a message without arguments",
        "(withheld",
        "tests/e2e/leaks/parts.rs:",
        // The log has the backtrace.
        "panic_with",
    ] {
        assert!(log.contains(said), "{said} is not in {log}");
    }
    let (_, served) = http::get(*port, "/metrics").await.expect("it answers");
    let labels = [("result", "panic")];
    let name = "cognito_password_operator_reconciles_total";
    assert!(
        metrics::value(&served, name, &labels) >= Some(4.0),
        "{served}"
    );
    // Without the operator's own panic hook, the world's search would find the value.
    for how in &PANICS[..3] {
        let value = marker(how);
        let payload = catch_unwind(|| panic_with(how, &value)).expect_err("it panics");
        let message = payload.downcast_ref::<String>().expect("put together");
        let values = [value.into_bytes()].into();
        assert!(
            !search(&[("message", message.clone().into_bytes())], &values).is_empty(),
            "{message}"
        );
    }
}
