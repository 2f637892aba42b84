//! Topics as text for a terminal.

use super::topic::Topic;
use crate::core::checkup::layout::{Layout, page_url};

/// The width of the column of reasons: that of the longest reason.
const REASON: usize = 30;
/// The width of the column that says who acts next.
const NEXT: usize = 9;

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
    let indent = REASON + NEXT + 4;
    let mut lines = vec![format!("{:<REASON$}  {:<NEXT$}  MEANING", "REASON", "NEXT")];
    let mut heading = ("Ready", "CognitoUserPassword");
    for topic in topics {
        let of = (topic.condition, topic.kind);
        if of != heading {
            heading = of;
            lines.push(String::new());
            lines.push(format!("{} of a {}:", topic.condition, topic.kind));
        }
        let meaning = layout.wrapped(&topic.meaning, indent);
        lines.push(format!(
            "{:<REASON$}  {:<NEXT$}  {}",
            topic.reason,
            topic.next.word(),
            meaning.trim_start()
        ));
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
    fn the_table_fits_eighty_columns_and_has_every_reason() {
        let topics = topics();
        let text = table(&topics, &Layout::plain(80));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for topic in &topics {
            assert!(topic.reason.len() <= REASON);
            let is_row = |line: &str| line.split_whitespace().next() == Some(&topic.reason);
            assert!(text.lines().any(is_row), "{}", topic.reason);
        }
        assert!(text.contains("Ready of a CognitoUserPoolGrant:"));
    }
}
