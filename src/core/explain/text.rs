//! Topics as text for a terminal.

use super::topic::Topic;
use crate::core::checkup::layout::{Layout, page_url};

/// The width of the column of reasons: that of the longest reason.
const REASON: usize = 30;
/// The width of the column that says who acts next.
const NEXT: usize = 9;
/// The least width of the column of meanings.
const MEANING: usize = 25;

/// One topic, with everything that is known.
#[must_use]
pub fn one(topic: &Topic, layout: &Layout) -> String {
    let mut lines = vec![format!("{} ({})", topic.reason, place(topic))];
    let mut row = |label: &str, text: &str| {
        if !text.is_empty() {
            let text = layout.wrapped(text, 11);
            lines.push(format!("  {label:<9}{}", text.trim_start()));
        }
    };
    row("meaning", &topic.meaning);
    row("next", topic.next.sentence());
    let cure = topic.cure.clone().unwrap_or_default();
    row("cure", &cure.text);
    lines.extend(cure.commands.iter().map(|it| format!("    {it}")));
    let mut row = |label: &str, text: &str| {
        if !text.is_empty() {
            let text = layout.wrapped(text, 11);
            lines.push(format!("  {label:<9}{}", text.trim_start()));
        }
    };
    row("codes", &topic.codes.join(", "));
    row("more", &page_url(&topic.page));
    lines.join("\n")
}

fn place(topic: &Topic) -> String {
    let class = topic.class.to_lowercase();
    format!("{} of a {}, {class}", topic.condition, topic.kind)
}

/// All topics, one row each, below a heading for each condition.
#[must_use]
pub fn table(topics: &[Topic], layout: &Layout) -> String {
    let beside = REASON + NEXT + 4;
    // On a narrow terminal, the meaning stands below its reason.
    let is_narrow = layout.width < beside + MEANING;
    let indent = if is_narrow { 2 } else { beside };
    let mut lines = vec![if is_narrow {
        "REASON (NEXT)".to_owned()
    } else {
        format!("{:<REASON$}  {:<NEXT$}  MEANING", "REASON", "NEXT")
    }];
    let mut heading = ("Ready", "CognitoUserPassword");
    for topic in topics {
        let of = (topic.condition, topic.kind);
        if of != heading {
            heading = of;
            lines.push(String::new());
            lines.push(format!("{} of a {}:", topic.condition, topic.kind));
        }
        let meaning = layout.wrapped(&topic.meaning, indent);
        let (reason, next) = (&topic.reason, topic.next.word());
        if is_narrow {
            lines.push(format!("{reason} ({next})"));
            lines.push(meaning);
        } else {
            let meaning = meaning.trim_start();
            lines.push(format!("{reason:<REASON$}  {next:<NEXT$}  {meaning}"));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::explain::topic::{topics, topics_of};

    #[test]
    fn a_reason_is_explained_with_its_cure_as_a_command() {
        let topic = &topics_of("usernotfoundexception")[0];
        let wanted = "\
UserNotFound (Ready of a CognitoUserPassword, waiting)
  meaning  the pool has no user of this name
  next     you: mend the cause, and the operator goes on by itself
  cure     create the user, or use the canonical username or the sub instead of
           an alias (in a new resource); the operator tries again by itself, and
           at once after the command below
    kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)
  codes    UserNotFoundException
  more     docs/reasons.md#usernotfound";
        assert_eq!(one(topic, &Layout::plain(80)), wanted);
    }

    #[test]
    fn the_table_fits_eighty_columns_and_forty_and_has_every_reason() {
        let topics = topics();
        for width in [40, 60, 80, 200] {
            let text = table(&topics, &Layout::plain(width));
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            // Not one word a line.
            let lines = text.lines().count();
            assert!(lines < topics.len() * 6, "{width}: {lines} lines");
        }
        let text = table(&topics, &Layout::plain(80));
        for topic in &topics {
            assert!(topic.reason.len() <= REASON);
            let is_row = |line: &str| line.split_whitespace().next() == Some(&topic.reason);
            assert!(text.lines().any(is_row), "{}", topic.reason);
        }
        assert!(text.contains("Ready of a CognitoUserPoolGrant:"));
    }
}
