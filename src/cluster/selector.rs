//! Parses label selectors in kubectl's syntax. kube's `Selector` matches labels and is sent to the API
//! server, but has no parser for text.

use kube::core::{Expression, Selector};

/// Maximum length of a label's name, and of a label's value.
const LABEL_MAX: usize = 63;
/// Maximum length of the prefix before a label's name.
const PREFIX_MAX: usize = 253;

/// Parses a label selector: `password-operator=yes,team in (a,b),!legacy`.
///
/// # Errors
/// One line that names the part that isn't a requirement on labels. The comparisons `<` and `>` are rejected,
/// because Secrets have no use for comparisons.
pub fn parse(text: &str) -> Result<Selector, String> {
    parts(text)
        .map(|part| {
            requirement(part.trim()).ok_or_else(|| {
                format!(
                    "{part:?} is no requirement on labels; a selector in kubectl's syntax is needed, such as password-operator=yes or team in (a,b)"
                )
            })
        })
        .collect()
}

/// Checks that the API server takes a text as a label selector: what [`parse`] takes, and comparisons such as
/// `tier>2`.
///
/// # Errors
/// One line that names the part that isn't a requirement on labels.
pub fn check(text: &str) -> Result<(), String> {
    let comparison = |part: &str| {
        let (name, number) = part.split_once(['<', '>'])?;
        key(name)?;
        number.trim().parse::<i64>().ok()
    };
    parts(text)
        .filter(|part| comparison(part).is_none())
        .try_for_each(|part| parse(part).map(|_| ()))
}

/// Splits at commas, except at commas within parentheses.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut within = false;
    text.split(move |c| {
        within = c == '(' || (within && c != ')');
        c == ',' && !within
    })
}

fn requirement(part: &str) -> Option<Expression> {
    if let Some(name) = part.strip_prefix('!') {
        return Some(Expression::DoesNotExist(key(name)?));
    }
    if let Some((before, values)) = part.split_once('(') {
        let (name, operator) = before.trim_end().rsplit_once([' ', '\t'])?;
        let values = values.strip_suffix(')')?.split(',').map(value);
        let values = values.collect::<Option<_>>()?;
        return match operator {
            "in" => Some(Expression::In(key(name)?, values)),
            "notin" => Some(Expression::NotIn(key(name)?, values)),
            _ => None,
        };
    }
    if let Some((name, other)) = part.split_once("!=") {
        return Some(Expression::NotEqual(key(name)?, value(other)?));
    }
    match part.split_once("==").or_else(|| part.split_once('=')) {
        Some((name, equal)) => Some(Expression::Equal(key(name)?, value(equal)?)),
        None => Some(Expression::Exists(key(part)?)),
    }
}

/// A label's key: a name, optionally after a domain and a slash.
fn key(text: &str) -> Option<String> {
    let text = text.trim();
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let is_prefix = |prefix: &str| {
        let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_label = |label: &str| {
            label.starts_with(is_lower)
                && label.ends_with(is_lower)
                && label.chars().all(|c| is_lower(c) || c == '-')
        };
        prefix.len() <= PREFIX_MAX && prefix.split('.').all(is_label)
    };
    (is_name(name) && prefix.is_none_or(is_prefix)).then(|| text.to_owned())
}

/// A label's value, which may be empty.
fn value(text: &str) -> Option<String> {
    let text = text.trim();
    (text.is_empty() || is_name(text)).then(|| text.to_owned())
}

fn is_name(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= LABEL_MAX
        && text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text
            .chars()
            .all(|c| is_edge(c) || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("password-operator=yes", "password-operator=yes")]
    #[case(" a == b , c!=d ", "a=b,c!=d")]
    #[case("team in (a, b),!legacy,ours", "team in (a,b),!legacy,ours")]
    #[case("team notin(a)", "team notin (a)")]
    #[case("example.com/team=A_1.x", "example.com/team=A_1.x")]
    #[case("empty=", "empty=")]
    #[case("in in (in)", "in in (in)")]
    fn the_syntax_of_kubectl_is_parsed(#[case] text: &str, #[case] selector: &str) {
        let read = parse(text).map(|selector| selector.to_string());
        assert_eq!(read.as_deref(), Ok(selector));
    }

    #[rstest]
    #[case("team=a", true)]
    #[case("team in (a,b),!legacy,tier>2,tier < 9", true)]
    #[case("tier>two", false)]
    #[case(">2", false)]
    #[case("a=b,", false)]
    #[case("team=(a", false)]
    #[case("", false)]
    fn what_the_api_server_takes_passes(#[case] text: &str, #[case] passes: bool) {
        assert_eq!(check(text).is_ok(), passes);
    }

    #[rstest]
    #[case("", "\"\"")]
    #[case("a=b,", "\"\"")]
    #[case("a,x > 5", "\"x > 5\"")]
    #[case("a=b=c", "\"a=b=c\"")]
    #[case("team in (a,b", "\"team in (a,b\"")]
    #[case("team in (a) b", "\"team in (a) b\"")]
    #[case("team within (a)", "\"team within (a)\"")]
    #[case("in (a)", "\"in (a)\"")]
    #[case("two words", "\"two words\"")]
    #[case("-a=b", "\"-a=b\"")]
    #[case("Example.com/a=b", "\"Example.com/a=b\"")]
    #[case("/a=b", "\"/a=b\"")]
    #[case("a/b/c", "\"a/b/c\"")]
    #[case("a=b\nc", "\"a=b\\nc\"")]
    fn an_invalid_selector_is_refused_and_its_wrong_part_is_named(
        #[case] text: &str,
        #[case] wrong: &str,
    ) {
        let error = parse(text).expect_err("it is wrong");
        assert!(error.starts_with(wrong), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn a_label_that_is_too_long_for_kubernetes_is_refused() {
        let (name, prefix) = ("a".repeat(LABEL_MAX), "a".repeat(PREFIX_MAX));
        assert!(parse(&format!("{prefix}/{name}={name}")).is_ok());
        assert!(parse(&format!("{name}a=b")).is_err());
        assert!(parse(&format!("a={name}a")).is_err());
        assert!(parse(&format!("{prefix}a/b")).is_err());
    }

    fn any_expression() -> impl Strategy<Value = Expression> {
        let key = "([a-z]{1,3}(\\.[a-z0-9]{1,3})?/)?[A-Za-z0-9]([-_.]?[A-Za-z0-9]){0,3}";
        let value = "([A-Za-z0-9]([-_.]?[A-Za-z0-9]){0,3})?";
        let values = proptest::collection::btree_set(value, 1..4);
        prop_oneof![
            (key, value).prop_map(|(key, value)| Expression::Equal(key, value)),
            (key, value).prop_map(|(key, value)| Expression::NotEqual(key, value)),
            (key, values.clone()).prop_map(|(key, values)| Expression::In(key, values)),
            (key, values).prop_map(|(key, values)| Expression::NotIn(key, values)),
            key.prop_map(Expression::Exists),
            key.prop_map(Expression::DoesNotExist),
        ]
    }

    proptest! {
        #[test]
        fn a_printed_selector_is_parsed_to_the_same_selector(
            expressions in proptest::collection::vec(any_expression(), 1..4),
        ) {
            let selector: Selector = expressions.into_iter().collect();
            prop_assert_eq!(parse(&selector.to_string()), Ok(selector));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,40}", odd in "[a-z(),=! ]{0,40}") {
            let _ = (parse(&text), parse(&odd));
        }
    }
}
