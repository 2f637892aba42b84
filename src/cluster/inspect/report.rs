//! Reads what a report contains: objects as the API server shows them, and logs. Never a Secret.

use super::{
    access::{core_right, seen},
    lists::all,
};
use crate::{
    cluster::client::call::call,
    core::checkup::{right::Right, seen::Seen},
};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec},
    core::v1::Pod,
};
use kube::{
    Api, Client,
    api::{
        ApiResource, DynamicObject, GroupVersionKind, ListParams, LogParams, PostParams, TypeMeta,
    },
};
use serde::Serialize;
use serde_json::Value;

/// How many of its last lines a log is read.
const LINES: i64 = 20_000;

/// A kind of objects.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version of the group.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The plural name.
    pub plural: &'static str,
}

/// Which objects of a kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// The namespace; None for all, or for objects without namespaces.
    pub namespace: Option<&'a str>,
    /// A selector of labels.
    pub labels: Option<&'a str>,
    /// A selector of fields.
    pub fields: Option<&'a str>,
}

impl Kind {
    fn resource(self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }

    fn right(self, verb: &'static str, namespace: Option<&str>, name: Option<&str>) -> Right {
        super::access::right(verb, self.group, self.plural, namespace, name)
    }
}

/// The objects of a kind, as JSON with kind and version.
pub async fn objects(client: &Client, kind: Kind, selection: Selection<'_>) -> Seen<Vec<Value>> {
    let resource = kind.resource();
    let params = ListParams {
        label_selector: selection.labels.map(str::to_owned),
        field_selector: selection.fields.map(str::to_owned),
        ..ListParams::default()
    };
    let right = kind.right("list", selection.namespace, None);
    let value = |mut object: DynamicObject| {
        // The items of a list don't repeat their type.
        object.types = Some(TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
        serde_json::to_value(object).ok()
    };
    let objects = all(client, right, &resource, params, value).await;
    objects.map(|objects| objects.into_iter().flatten().collect())
}

/// One object; None if there is none of this name.
pub async fn object(client: &Client, kind: Kind, name: &str) -> Seen<Option<Value>> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
    let right = kind.right("get", None, Some(name));
    let object = seen(client, right, api.get_opt(name)).await;
    object.map(|object| object.and_then(|it| serde_json::to_value(it).ok()))
}

/// The end of the log of a container: of the present one, or of the one before the last restart.
pub async fn log(
    client: &Client,
    (namespace, pod, container): (&str, &str, &str),
    is_previous: bool,
) -> Seen<String> {
    let right = Right {
        subresource: "log",
        ..core_right("get", "pods", Some(namespace), Some(pod))
    };
    let params = LogParams {
        container: Some(container.to_owned()),
        previous: is_previous,
        tail_lines: Some(LINES),
        ..LogParams::default()
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    seen(client, right, pods.logs(pod, &params)).await
}

/// The caller's name and groups.
pub async fn caller(client: &Client) -> Seen<Value> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let (params, review) = (PostParams::default(), SelfSubjectReview::default());
    let answer = call(reviews.create(&params, &review)).await;
    answered(answer.map(|it| it.status))
}

/// The caller's rights in a namespace, as the API server lists them.
pub async fn rights(client: &Client, namespace: &str) -> Seen<Value> {
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec {
            namespace: Some(namespace.to_owned()),
        },
        ..SelfSubjectRulesReview::default()
    };
    let reviews: Api<SelfSubjectRulesReview> = Api::all(client.clone());
    let answer = call(reviews.create(&PostParams::default(), &review)).await;
    answered(answer.map(|it| it.status))
}

fn answered<T: Serialize, E: ToString>(answer: Result<T, E>) -> Seen<Value> {
    match answer.map(serde_json::to_value) {
        Ok(Ok(value)) => Seen::Known(value),
        Ok(Err(error)) => Seen::Failed(error.to_string()),
        Err(error) => Seen::Failed(error.to_string().replace(char::is_control, " ")),
    }
}
