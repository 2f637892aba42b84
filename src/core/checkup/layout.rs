//! Lays findings out for a terminal: marks, columns, and lines that fit the width.

use super::finding::{Cure, Finding, Level};

/// How to lay out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The columns of a line; at least 40.
    pub width: usize,
    /// The mark of a level, perhaps in colour. A mark takes one column.
    pub mark: fn(Level) -> String,
}

impl Layout {
    /// Without colours, for lines of this width.
    #[must_use]
    pub fn plain(width: usize) -> Self {
        Self {
            width,
            mark: |level| level.mark().to_owned(),
        }
    }

    /// The findings as lines: the mark, the subject, and the text, which goes on in its own column. Under a
    /// finding stands its cure.
    #[must_use]
    pub fn findings(&self, findings: &[Finding]) -> String {
        let subject = findings.iter().map(|it| it.subject.len()).max();
        let subject = subject.unwrap_or_default();
        let indent = subject + 4;
        let mut lines = Vec::new();
        for finding in findings {
            let mark = (self.mark)(finding.level);
            let text = self.wrapped(&finding.text, indent);
            lines.push(format!(
                "{mark} {:<subject$}  {}",
                finding.subject,
                text.trim_start()
            ));
            lines.extend(finding.cure.as_ref().map(|cure| self.cure(cure, indent)));
        }
        lines.join("\n")
    }

    /// A cure: the words, then each command on a line of its own, which is never broken, so that it can be
    /// copied; then the other cures.
    #[must_use]
    pub fn cure(&self, cure: &Cure, indent: usize) -> String {
        let mut lines = Vec::new();
        if !cure.text.is_empty() {
            lines.push(self.wrapped(&format!("cure: {}", cure.text), indent));
        } else if !cure.commands.is_empty() {
            lines.push(format!("{:indent$}cure:", ""));
        }
        let command = |it: &String| format!("{:indent$}  {it}", "");
        lines.extend(cure.commands.iter().map(command));
        for other in &cure.alternatives {
            lines.push(self.wrapped(&format!("or: {}", other.text), indent));
            lines.extend(other.commands.iter().map(command));
        }
        lines.extend(
            cure.page
                .iter()
                .map(|it| format!("{:indent$}more: {}", "", more(it))),
        );
        lines.join("\n")
    }

    /// An entry of a list: its first line begins in the first column, and the others are indented.
    #[must_use]
    pub fn entry(&self, text: &str) -> String {
        self.wrapped(text, 2).trim_start().to_owned()
    }

    /// Text in lines of the width, each behind this many blanks. Words longer than a line stay whole, and so does a
    /// command in backticks, so that it can be copied.
    #[must_use]
    pub fn wrapped(&self, text: &str, indent: usize) -> String {
        let blanks = " ".repeat(indent);
        let options = textwrap::Options::new(self.width)
            .initial_indent(&blanks)
            .subsequent_indent(&blanks)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        textwrap::fill(&glued(text), options).replace(GLUE, " ")
    }
}

/// Stands for a blank at which no line may break, while lines are broken.
const GLUE: char = '\u{a0}';

/// The longest command in backticks that stays whole, in bytes.
const COMMAND: usize = 100;

/// The text with [`GLUE`] for the blanks of commands in backticks.
fn glued(text: &str) -> String {
    let parts: Vec<_> = text.split('`').enumerate().collect();
    let is_command = |place: usize, part: &str| {
        place % 2 == 1 && part.starts_with("kubectl ") && part.len() <= COMMAND
    };
    let parts = parts.into_iter().map(|(place, part)| {
        if is_command(place, part) {
            part.replace(' ', &GLUE.to_string())
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("`")
}

/// Where a person reads more: offline, if this program knows the section.
fn more(page: &str) -> String {
    match page.strip_prefix("reasons.md#") {
        Some(reason) => format!("kubectl cognito-password explain {reason}"),
        None => page_url(page),
    }
}

/// The address of a page of the documentation.
#[must_use]
pub fn page_url(page: &str) -> String {
    format!("docs/{page}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_in_its_column_and_commands_stay_whole() {
        let command = "kubectl annotate cup ci-bot --overwrite cognito-password-operator.io/requestedAt=$(date +%s)";
        let findings = [
            Finding::new(
                "resource",
                Level::Well,
                "generation 3 is observed".to_owned(),
            ),
            Finding::new(
                "grant",
                Level::Failed,
                "no grant lets team-a manage ci-bot, and these words go on".to_owned(),
            )
            .cured_by(
                Cure::command("ask for a grant", command.to_owned()).more("reasons.md#notgranted"),
            ),
        ];
        let text = Layout::plain(40).findings(&findings);
        let wanted = [
            "✓ resource  generation 3 is observed",
            "× grant     no grant lets team-a manage",
            "            ci-bot, and these words go",
            "            on",
            "            cure: ask for a grant",
            &format!("              {command}"),
            "            more: kubectl cognito-password explain notgranted",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_command_in_backticks_stays_whole() {
        let text = "the CRDs aren't installed: `kubectl apply -k crds/` installs them";
        let wanted = [
            "the CRDs aren't installed:",
            "`kubectl apply -k crds/` installs them",
        ];
        let lines = Layout::plain(40).wrapped(text, 0);
        assert_eq!(lines.lines().collect::<Vec<_>>(), wanted);
        let foreign = format!("a `{}` b", "x ".repeat(100));
        let lines = Layout::plain(40).wrapped(&foreign, 0);
        assert!(lines.lines().all(|it| it.chars().count() <= 40), "{lines}");
    }
}
