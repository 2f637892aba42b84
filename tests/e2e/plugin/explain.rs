//! `explain` needs no cluster.

use std::path::Path;

use cognito_password_operator::api::REASONS;
use serde_json::Value;

use super::plugin;

async fn explain(args: &[&str]) -> (i32, String, String) {
    let nowhere = Path::new("/nonexistent/kubeconfig");
    plugin(nowhere, &[&["explain"][..], args].concat()).await
}

#[tokio::test]
async fn all_reasons_are_listed_in_eighty_columns_without_a_cluster() {
    let (status, said, errors) = explain(&[]).await;
    assert_eq!((status, &*errors), (0, ""));
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for entry in REASONS {
        let is_row = |line: &str| line.starts_with(&format!("{} ", entry.word));
        assert!(said.lines().any(is_row), "{}: {said}", entry.word);
    }
}

#[tokio::test]
async fn a_code_of_aws_leads_to_its_reason_and_an_unknown_word_to_near_ones() {
    let (status, said, _) = explain(&["usernotfoundexception"]).await;
    assert_eq!(status, 0);
    for words in [
        "UserNotFound (Ready of a CognitoUserPassword, waiting)",
        "    kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)",
        "docs/reasons.md#usernotfound",
    ] {
        assert!(
            said.lines().any(|line| line.contains(words)),
            "{words}: {said}"
        );
    }

    let (status, said, errors) = explain(&["NotGrantd"]).await;
    assert_eq!((status, &*said), (2, ""));
    assert!(errors.contains("did you mean NotGranted?"), "{errors}");

    let (status, said, _) = explain(&["InvalidCredentials", "-o", "json"]).await;
    assert_eq!(status, 0);
    let document: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(document["kind"], "Reasons");
    assert_eq!(document["reasons"][0]["next"], "Both");
    assert_eq!(document["reasons"][1]["kind"], "CognitoUserPoolGrant");
}
