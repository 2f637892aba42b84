//! Asks the API server what the operator may do with Secrets. Every authenticated user may ask this question
//! (`system:basic-user`), so the operator needs no right of its own.

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

/// Asks whether the operator may perform `question.verb` on all Secrets in `question.place`. `own` is the
/// operator's own namespace.
///
/// # Errors
/// The API server didn't answer, or refused.
pub async fn ask(client: &Client, own: &str, question: Question) -> Result<Answer, CallError> {
    let attributes = ResourceAttributes {
        // No group is the core group, no name is every name, no namespace is every namespace.
        resource: Some("secrets".to_owned()),
        verb: Some(question.verb.word().to_owned()),
        namespace: match question.place {
            Place::AllNamespaces => None,
            Place::OwnNamespace => Some(own.to_owned()),
        },
        ..ResourceAttributes::default()
    };
    review(client, attributes).await.map(answer_of)
}

/// Asks whether the caller has a right. Returns the status of the review.
///
/// # Errors
/// The API server didn't answer, or refused.
pub(super) async fn review(
    client: &Client,
    attributes: ResourceAttributes,
) -> Result<Option<SubjectAccessReviewStatus>, CallError> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = call(reviews.create(&PostParams::default(), &review)).await?;
    Ok(answer.status)
}

/// The operator's username at the API server, if the API server reports a name.
///
/// # Errors
/// The API server didn't answer, or refused.
pub async fn username(client: &Client) -> Result<Option<String>, CallError> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let (params, review) = (PostParams::default(), SelfSubjectReview::default());
    let answer = call(reviews.create(&params, &review)).await?;
    let user = answer.status.and_then(|status| status.user_info);
    Ok(user.and_then(|user| user.username))
}

/// A "no" with an evaluation error says only that the API server has found no rule so far.
pub(super) fn answer_of(status: Option<SubjectAccessReviewStatus>) -> Answer {
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
    fn a_no_with_an_evaluation_error_is_unknown(
        #[case] allowed: bool,
        #[case] error: Option<&str>,
        #[case] wanted: Answer,
    ) {
        let status = SubjectAccessReviewStatus {
            allowed,
            evaluation_error: error.map(str::to_owned),
            ..SubjectAccessReviewStatus::default()
        };
        assert_eq!(answer_of(Some(status)), wanted);
    }

    #[test]
    fn a_review_without_status_is_unknown() {
        assert_eq!(answer_of(None), Answer::Unknown);
    }
}
