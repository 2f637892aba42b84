use super::*;
use rstest::rstest;

const GRANT: &str = "apiVersion: cognito-password-operator.io/v1alpha1
kind: CognitoUserPoolGrant
metadata:
  name: team-a
spec:
  userPoolId: eu-west-1_AbCdEf123
  usernames: [ci-*]
  namespaces:
    names: [team-a]
";

fn errors(text: &str) -> Vec<String> {
    parse(text).expect_err("something is wrong")
}

#[test]
fn several_documents_and_lists_are_read_and_other_kinds_are_named() {
    let other = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\n";
    let list =
        "apiVersion: v1\nkind: List\nitems:\n- kind: CognitoUserPassword\n  metadata: {name: p}\n";
    let second = GRANT.replace("name: team-a", "name: team-b");
    let file = parse(&format!("---\n{GRANT}---\n{other}---\n{second}---\n{list}")).expect("valid");
    let names: Vec<_> = file.grants.keys().map(String::as_str).collect();
    assert_eq!(names, ["team-a", "team-b"]);
    assert_eq!(file.ignored, ["ConfigMap c", "CognitoUserPassword p"]);
    assert_eq!(parse(""), Ok(GrantFile::default()));
}

#[rstest]
#[case("  usernames: [ci-*]\n", "", "grant team-a: spec.usernames is missing")]
#[case(
    "usernames: [ci-*]",
    "usernames: []",
    "grant team-a: spec.usernames must have at least 1 items, and has 0"
)]
#[case(
    "usernames: [ci-*]",
    "usernames: ci",
    "grant team-a: spec.usernames must be of type array, and is string"
)]
#[case(
    "usernames: [ci-*]",
    "usernames: ['a b']",
    "grant team-a: spec.usernames must consist of letters"
)]
#[case(
    "usernames: [ci-*]",
    "usernames: [ci]\n  rolearn: x",
    "grant team-a: spec.rolearn is not a field"
)]
#[case(
    "eu-west-1_AbCdEf123",
    "pool",
    "grant team-a: spec.userPoolId must be a user pool id"
)]
#[case(
    "eu-west-1_AbCdEf123",
    "eu-west-1_a\n  externalId: team",
    "grant team-a: spec.roleArn must be the ARN"
)]
#[case(
    "names: [team-a]",
    "names: ['team-*']",
    "grant team-a: spec.namespaces.names: team-* is not the name"
)]
#[case(
    "    names: [team-a]",
    "    {}",
    "grant team-a: spec.namespaces must have names, a selector, or both"
)]
#[case(
    "names: [team-a]",
    "selector: {matchExpressions: [{key: a, operator: Like}]}",
    "grant team-a: spec.namespaces.selector.matchExpressions[0].operator must be one of In, NotIn, Exists, DoesNotExist"
)]
#[case(
    "v1alpha1",
    "v1",
    "grant team-a: apiVersion must be cognito-password-operator.io/v1alpha1"
)]
#[case(
    "  name: team-a\nspec",
    "  generateName: team-\nspec",
    "a grant has no metadata.name"
)]
#[case("kind: CognitoUserPoolGrant\n", "", "a document has no kind")]
#[case("spec:", "data: {}\nspec:", "grant team-a: data is not a field")]
fn a_grant_that_the_api_server_refuses_is_refused(
    #[case] from: &str,
    #[case] to: &str,
    #[case] wanted: &str,
) {
    let text = GRANT.replacen(from, to, 1);
    assert_ne!(text, GRANT);
    let errors = errors(&text);
    assert!(errors[0].starts_with(wanted), "{errors:?}");
}

#[test]
fn bad_yaml_is_refused_with_its_line() {
    let errors = errors(&format!("{GRANT}  region: [eu-west-1\nmore: x\n"));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("line 1"), "{errors:?}");
    assert!(errors[0].contains("not YAML"), "{errors:?}");
    assert!(!errors[0].contains('\n'));
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    assert_eq!(
        errors(&format!("{GRANT}---\n{GRANT}")),
        ["grant team-a is in the file twice"]
    );
}

#[test]
fn the_examples_of_the_repository_are_accepted() {
    let text = include_str!("../../../../deploy/examples/grant.yaml");
    assert!(!parse(text).expect("valid").grants.is_empty());
}
