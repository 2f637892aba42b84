//! A model of grants that shares no code with the operator: which user is granted to which namespace.

use serde_json::Value;

/// The label with which the API server names every namespace.
pub(super) const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Whether a glob matches a text: `*` matches any number of scalars, `?` matches one. Fills a table of
/// matching prefixes.
pub(super) fn glob_fits(glob: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // At index n: whether the part of the glob so far matches the first n scalars of the text.
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

/// Whether a grant, as written, lets a namespace manage a user.
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
        // Every generated selector uses this one label, and every namespace has the label.
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
