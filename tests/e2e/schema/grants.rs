//! The API server's validation and defaults of a grant.

use serde_json::{Value, json};

use super::Schema;

/// One valid grant.
fn valid_grant() -> Value {
    json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPoolGrant",
        "metadata": { "name": "dry-run" },
        "spec": {
            "userPoolId": "eu-west-1_AbCdEf123",
            "usernames": ["ci-*"],
            "namespaces": { "names": ["team-a"] },
            "region": "eu-west-2",
            "roleArn": "arn:aws:iam::111122223333:role/cognito-passwords",
            "externalId": "team-a",
        },
    })
}

/// Namespaces by one requirement on the label `team`.
fn selecting(operator: &str, values: &Value) -> Value {
    json!({
        "selector": {
            "matchExpressions": [{ "key": "team", "operator": operator, "values": values }],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_grant_is_refused_with_a_message_that_says_what_is_valid() {
    let schema = Schema::new("grants").await;
    let pool = "must be a user pool id such as eu-west-1_AbCdEf123";
    let user = "without white space or line breaks";
    let namespace = "must be names of namespaces";
    let either = "must have names, a selector, or both";
    let role = "must be the ARN of an IAM role";
    let id = "must consist of letters, digits and _+=,.@:/-";
    let region = "must be the name of an AWS Region";
    let values = "In and NotIn need values, Exists and DoesNotExist have none";
    let cases: &[(&str, Value, &str)] = &[
        ("userPoolId", json!("*"), pool),
        ("userPoolId", json!("eu-west-1_*"), pool),
        ("userPoolId", json!("eu-west-1_abc\n"), pool),
        ("userPoolId", Value::Null, "Required value"),
        ("usernames", Value::Null, "Required value"),
        ("usernames", json!([]), "at least 1 item"),
        ("usernames", json!(["ci bot"]), user),
        ("usernames", json!(["ci-*", "\nci"]), user),
        ("usernames", json!([""]), "at least 1 char"),
        (
            "usernames",
            json!(["ü".repeat(129)]),
            "may not be more than 128",
        ),
        ("usernames", json!(vec!["a"; 257]), "at most 256 items"),
        ("namespaces", Value::Null, "Required value"),
        ("namespaces", json!({}), either),
        ("namespaces", json!({ "names": [] }), "at least 1 item"),
        ("namespaces", json!({ "names": ["*"] }), namespace),
        ("namespaces", json!({ "names": ["team-*"] }), namespace),
        ("namespaces", json!({ "names": ["Team"] }), namespace),
        ("namespaces", json!({ "names": ["a\n"] }), namespace),
        ("namespaces", json!({ "name": "a" }), "unknown field"),
        (
            "namespaces",
            json!({ "selector": { "matchLabel": {} } }),
            "unknown field",
        ),
        ("namespaces", selecting("In", &json!([])), values),
        ("namespaces", selecting("NotIn", &json!([])), values),
        ("namespaces", selecting("Exists", &json!(["a"])), values),
        (
            "namespaces",
            selecting("Like", &json!(["a"])),
            "Unsupported value",
        ),
        ("region", json!("eu-west-1.evil.example"), region),
        ("region", json!("EU-West-1"), region),
        ("region", json!("eu"), region),
        ("roleArn", json!("cognito-passwords-of-team-a"), role),
        (
            "roleArn",
            json!("arn:aws:iam::111122223333:user/admin"),
            role,
        ),
        ("roleArn", json!("arn:aws:iam::111122223333:role/a b"), role),
        ("roleArn", json!("arn:aws:iam::111122223333:role/a\n"), role),
        ("roleArn", json!("arn:aws:iam::1111:role/cognito"), role),
        ("roleArn", Value::Null, "set roleArn too"),
        ("externalId", json!("two words"), id),
        ("externalId", json!("a"), "at least 2 chars"),
        ("role", json!("arn"), "unknown field"),
    ];
    let mut wrong = Vec::new();
    for (field, value, sentence) in cases {
        let mut object = valid_grant();
        object["spec"][*field] = value.clone();
        match schema.try_create(&object) {
            Ok(_) => wrong.push(format!("{field} = {value} is accepted")),
            Err(said) if !said.contains(sentence) => {
                wrong.push(format!(
                    "{field} = {value}: {said:?} doesn't say {sentence:?}"
                ));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    schema
        .try_create(&valid_grant())
        .expect("but for the one thing each is valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_of_every_allowed_form_are_accepted() {
    let schema = Schema::new("grants").await;
    for namespaces in [
        json!({ "selector": {} }),
        json!({ "selector": { "matchLabels": { "team": "a" } } }),
        json!({ "names": ["a"], "selector": { "matchLabels": { "team": "a" } } }),
        selecting("NotIn", &json!(["a", "b"])),
        selecting("Exists", &Value::Null),
    ] {
        let mut object = valid_grant();
        object["spec"]["namespaces"] = namespaces;
        schema.try_create(&object).expect("it is valid");
    }
    let mut object = valid_grant();
    let longest = vec!["ü".repeat(128); 256];
    object["spec"]["usernames"] = json!(longest);
    schema.try_create(&object).expect("as long as can be");
}
