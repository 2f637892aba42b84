//! Waits for a condition, always with a deadline, and reports what was seen instead.

use std::fmt::Write;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::runtime::wait::await_condition;
use serde_json::Value;

/// Repeats `check` until `check` returns `Ok`. After `deadline`, panics with the last error. For objects in
/// the API server prefer [`await_resource`], which watches.
pub(crate) async fn eventually<T>(
    deadline: Duration,
    mut check: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match check().await {
            Ok(value) => return value,
            Err(why) => assert!(
                started.elapsed() < deadline,
                "still not so after {deadline:?}: {why}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The resources of a namespace as untyped objects: the tests don't depend on the operator's own types.
pub(crate) fn resources(client: &kube::Client, namespace: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(
        "cognito-password-operator.io",
        "v1alpha1",
        "CognitoUserPassword",
    );
    let resource = ApiResource::from_gvk_with_plural(&gvk, "cognitouserpasswords");
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// The grants as untyped objects.
pub(crate) fn grants(client: &kube::Client) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(
        "cognito-password-operator.io",
        "v1alpha1",
        "CognitoUserPoolGrant",
    );
    let resource = ApiResource::from_gvk_with_plural(&gvk, "cognitouserpoolgrants");
    Api::all_with(client.clone(), &resource)
}

/// One resource.
pub(crate) async fn resource(client: &kube::Client, namespace: &str, name: &str) -> DynamicObject {
    resources(client, namespace)
        .get(name)
        .await
        .unwrap_or_else(|error| panic!("could not read {namespace}/{name}: {error}"))
}

/// One condition of a resource's status: `{type, status, reason, message, ..}`.
pub(crate) fn condition<'a>(resource: &'a DynamicObject, kind: &str) -> Option<&'a Value> {
    let conditions = resource.data.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Watches a resource until `wanted` is true. After `deadline`, panics with the resource and its Events. A
/// broken watch is restarted, because some tests include an outage.
pub(crate) async fn await_resource(
    client: &kube::Client,
    (namespace, name): (&str, &str),
    deadline: Duration,
    what: &str,
    wanted: impl Fn(&DynamicObject) -> bool,
) -> DynamicObject {
    let seen = async {
        loop {
            let api = resources(client, namespace);
            let holds = |object: Option<&DynamicObject>| object.is_some_and(&wanted);
            if let Ok(Some(object)) = await_condition(api, name, holds).await {
                return object;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if let Ok(object) = tokio::time::timeout(deadline, seen).await {
        return object;
    }
    let state = describe(client, namespace, name).await;
    panic!("not {what} after {deadline:?}:\n{state}")
}

/// Waits until `Ready` has this status and reason for the resource's current generation.
pub(crate) async fn wait_reason(
    client: &kube::Client,
    (namespace, name): (&str, &str),
    (status, reason): (&str, &str),
    deadline: Duration,
) -> DynamicObject {
    let what = format!("Ready={status} for {reason}");
    let wanted = |resource: &DynamicObject| {
        condition(resource, "Ready").is_some_and(|ready| {
            ready["status"] == status
                && ready["reason"] == reason
                && ready["observedGeneration"].as_i64() == resource.metadata.generation
        })
    };
    await_resource(client, (namespace, name), deadline, &what, wanted).await
}

/// A resource and its Events as text, for failure messages.
pub(crate) async fn describe(client: &kube::Client, namespace: &str, name: &str) -> String {
    let mut text = format!("CognitoUserPassword {namespace}/{name}\n");
    let told = tokio::time::timeout(Duration::from_mins(2), async {
        match resources(client, namespace).get(name).await {
            Ok(mut object) => {
                object.metadata.managed_fields = None;
                let pretty = serde_json::to_string_pretty(&object).unwrap_or_default();
                text.push_str(&pretty);
            }
            Err(error) => text.push_str(&error.to_string()),
        }
        text.push_str("\nevents:\n");
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        let of_it = ListParams::default().fields(&format!("involvedObject.name={name}"));
        match events.list(&of_it).await {
            Ok(events) => events.iter().for_each(|event| push_event(&mut text, event)),
            Err(error) => text.push_str(&error.to_string()),
        }
    })
    .await;
    if told.is_err() {
        text.push_str("\n(the API server does not answer)");
    }
    text
}

fn push_event(text: &mut String, event: &Event) {
    let count = event
        .series
        .as_ref()
        .and_then(|series| series.count)
        .or(event.count)
        .unwrap_or(1);
    writeln!(
        text,
        "  {} {} x{count}: {}",
        event.type_.as_deref().unwrap_or_default(),
        event.reason.as_deref().unwrap_or_default(),
        event.message.as_deref().unwrap_or_default()
    )
    .expect("a String takes everything");
}
