//! Who is granted what, told by a model that shares nothing with the operator.

use serde_json::Value;

/// The label that the API server gives every namespace: its name.
pub(super) const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// `*` stands for any scalars, `?` for one: a table of which beginnings fit which.
pub(super) fn glob_fits(glob: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Whether what came of the glob so far fits the first n scalars of the text.
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    for part in glob.chars() {
        let before = fits.clone();
        fits[0] = part == '*' && before[0];
        for at in 1..=text.len() {
            fits[at] = match part {
                '*' => before[at] || fits[at - 1],
                '?' => before[at - 1],
                c => before[at - 1] && text[at - 1] == c,
            };
        }
    }
    fits[text.len()]
}

/// Whether a grant, as it was written, lets a namespace manage a user.
pub(super) fn lets_in(grant: &Value, pool: &str, user: &str, namespace: &str) -> bool {
    let spec = &grant["spec"];
    let strings = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let selector = &spec["namespaces"]["selector"];
    let selected = selector.is_object() && {
        let label = selector["matchLabels"].get(NAME_LABEL);
        let expressions = selector["matchExpressions"]
            .as_array()
            .into_iter()
            .flatten();
        // All that is generated is about this one label, which every namespace has.
        label.is_none_or(|label| label == namespace)
            && expressions.into_iter().all(|expression| {
                let listed = strings(&expression["values"])
                    .iter()
                    .any(|it| it == namespace);
                match expression["operator"].as_str() {
                    Some("In") => listed,
                    Some("NotIn") => !listed,
                    Some("Exists") => true,
                    _ => false,
                }
            })
    };
    let named = strings(&spec["namespaces"]["names"])
        .iter()
        .any(|it| it == namespace);
    spec["userPoolId"] == pool
        && (named || selected)
        && strings(&spec["usernames"])
            .iter()
            .any(|glob| glob_fits(glob, user))
}

#[test]
fn the_model_knows_globs() {
    for (glob, text, fits) in [
        ("", "", true),
        ("*", "", true),
        ("ci-*", "ci-bot", true),
        ("ci-?", "ci-12", false),
        ("*a*a*b", "aaab", true),
        ("ci-＊", "ci-bot", false),
        ("[a-z]*", "abc", false),
        ("a", "ab", false),
    ] {
        assert_eq!(glob_fits(glob, text), fits, "{glob} {text}");
    }
}
