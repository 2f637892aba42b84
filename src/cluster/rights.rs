//! What the operator may do with Secrets, asked of the API server. Every authenticated user may ask this
//! for themselves (`system:basic-user`), so no right of the operator's own is needed.

use super::{CallError, client::call::call};
use crate::core::access::rights::{Answer, Place, Question};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{
        ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
        SubjectAccessReviewStatus,
    },
};
use kube::{Api, Client, api::PostParams};

/// Asks whether the operator may do this with all Secrets there. `own` is the operator's own namespace.
///
/// # Errors
/// The API server didn't answer, or refused to.
pub async fn ask(client: &Client, own: &str, question: Question) -> Result<Answer, CallError> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                // No group is the core group, no name is every name, no namespace is every namespace.
                resource: Some("secrets".to_owned()),
                verb: Some(question.verb.word().to_owned()),
                namespace: match question.place {
                    Place::AllNamespaces => None,
                    Place::OwnNamespace => Some(own.to_owned()),
                },
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = call(reviews.create(&PostParams::default(), &review)).await?;
    Ok(read(answer.status))
}

/// The name by which the API server knows the operator, if the API server says one.
///
/// # Errors
/// The API server didn't answer, or refused to.
pub async fn username(client: &Client) -> Result<Option<String>, CallError> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let (params, review) = (PostParams::default(), SelfSubjectReview::default());
    let answer = call(reviews.create(&params, &review)).await?;
    let user = answer.status.and_then(|status| status.user_info);
    Ok(user.and_then(|user| user.username))
}

/// A "no" after an error says only that no rule was found so far.
fn read(status: Option<SubjectAccessReviewStatus>) -> Answer {
    let Some(status) = status else {
        return Answer::Unknown;
    };
    let error = status.evaluation_error.unwrap_or_default();
    match (status.allowed, error.is_empty()) {
        (true, _) => Answer::Yes,
        (false, true) => Answer::No,
        (false, false) => Answer::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(true, None, Answer::Yes)]
    #[case(true, Some("a webhook failed"), Answer::Yes)]
    #[case(false, None, Answer::No)]
    #[case(false, Some(""), Answer::No)]
    #[case(false, Some("a webhook failed"), Answer::Unknown)]
    fn a_no_after_an_error_is_no_answer(
        #[case] allowed: bool,
        #[case] error: Option<&str>,
        #[case] wanted: Answer,
    ) {
        let status = SubjectAccessReviewStatus {
            allowed,
            evaluation_error: error.map(str::to_owned),
            ..SubjectAccessReviewStatus::default()
        };
        assert_eq!(read(Some(status)), wanted);
    }

    #[test]
    fn no_status_is_no_answer() {
        assert_eq!(read(None), Answer::Unknown);
    }
}
