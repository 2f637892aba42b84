//! Asks the API server who has which rights, several questions at a time.

use super::{
    access::right,
    installation::{asked, attributes_of, decided, has_right},
};
use crate::{
    cluster::client::call::call,
    core::checkup::{
        installed::Installed,
        judge::facts::Answers,
        right::{Right, needed},
        seen::Seen,
    },
};
use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};

/// How many questions are open at a time.
const OPEN: usize = 8;

/// Whether the caller has each of these rights.
pub async fn own_rights(client: &Client, rights: Vec<Right>) -> Answers {
    let ask = |right: Right| async move {
        let answer = has_right(client, &right).await;
        (right, answer)
    };
    stream::iter(rights).map(ask).buffered(OPEN).collect().await
}

/// Whether an operator has each right that it needs for all that it watches: its `ServiceAccount`, with the groups that
/// the API server gives to every `ServiceAccount`.
pub async fn rights_of(client: &Client, installed: &Installed) -> Seen<Answers> {
    const GROUP: &str = "authorization.k8s.io";
    let to_ask = right("create", GROUP, "subjectaccessreviews", None, None);
    if has_right(client, &to_ask).await == Ok(false) {
        return Seen::Denied(to_ask);
    }
    let namespace = &installed.namespace;
    let user = format!(
        "system:serviceaccount:{namespace}:{}",
        installed.service_account
    );
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ];
    let ask = |right: Right| {
        let spec = SubjectAccessReviewSpec {
            user: Some(user.clone()),
            groups: Some(groups.to_vec()),
            resource_attributes: Some(attributes_of(&right)),
            ..SubjectAccessReviewSpec::default()
        };
        async move {
            let answer = review(client, spec).await;
            (right, answer)
        }
    };
    let rights = stream::iter(needed(&installed.installation()));
    let answers = rights.map(ask).buffered(OPEN).collect();
    Seen::Known(answers.await)
}

async fn review(client: &Client, spec: SubjectAccessReviewSpec) -> Result<bool, String> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let review = SubjectAccessReview {
        spec,
        ..SubjectAccessReview::default()
    };
    let params = PostParams::default();
    let question = Box::pin(call(reviews.create(&params, &review)));
    let answer = asked(question).await;
    decided(answer?.status)
}
