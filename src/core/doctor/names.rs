//! Names of resources on the command line, and names that a person may have meant.

/// Splits `team-a/ci-bot` at the slash. A name without a slash is in the default namespace.
#[must_use]
pub fn split<'a>(name: &'a str, default: &'a str) -> (&'a str, &'a str) {
    name.split_once('/').unwrap_or((default, name))
}

/// Of the known resources, up to five that a person may have meant: the same name in another namespace first,
/// then names that are nearly the same.
#[must_use]
pub fn near<'a>(
    wanted: (&str, &str),
    known: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    let mut found: Vec<_> = known
        .into_iter()
        .filter_map(|(namespace, name)| {
            let distance = distance(&wanted.1.to_lowercase(), &name.to_lowercase());
            let is_part = name.contains(wanted.1) || wanted.1.contains(name);
            let is_near = distance <= 2.max(wanted.1.len() / 4) || (is_part && name.len() > 2);
            is_near.then_some((distance, namespace != wanted.0, namespace, name))
        })
        .collect();
    found.sort_unstable();
    found
        .into_iter()
        .take(5)
        .map(|(_, _, namespace, name)| format!("{namespace}/{name}"))
        .collect()
}

/// Whether one text may be the other one, mistyped.
#[must_use]
pub fn is_mistyped(one: &str, other: &str) -> bool {
    distance(&one.to_lowercase(), &other.to_lowercase()) <= 2
}

/// How many characters must be put in, taken out or replaced (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (line, c) in one.chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, d) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *d);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_names_the_namespace() {
        assert_eq!(split("team-a/ci-bot", "x"), ("team-a", "ci-bot"));
        assert_eq!(split("ci-bot", "team-a"), ("team-a", "ci-bot"));
    }

    #[test]
    fn two_characters_may_be_mistyped() {
        assert!(is_mistyped("eu-west-1_AbCdEf123", "eu-west-1_AbCdEf12"));
        assert!(is_mistyped("eu-west-1_abcdef123", "eu-west-1_AbCdFe123"));
        assert!(!is_mistyped("eu-west-1_TeamE", "eu-west-1_Amb"));
    }

    #[test]
    fn near_names_come_nearest_first() {
        let known = [
            ("team-b", "ci-bot"),
            ("team-a", "cibot"),
            ("team-a", "deploy"),
            ("team-a", "ci-bot-2"),
        ];
        assert_eq!(
            near(("team-a", "ci-bot"), known),
            ["team-b/ci-bot", "team-a/cibot", "team-a/ci-bot-2"]
        );
        assert_eq!(near(("team-a", "zzz"), known), Vec::<String>::new());
    }
}
