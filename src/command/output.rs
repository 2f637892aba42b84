//! How a command prints: text for a terminal, JSON or YAML for programs.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::exit::{Exit, Failure};
use crate::core::checkup::{finding::Level, layout::Layout};
use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// The version of the shape of JSON and YAML output. `docs/plugin.md` documents the shapes.
pub const OUTPUT_VERSION: &str = "cli.cognito-password-operator.io/v1alpha1";

/// The columns of a line, where the terminal doesn't say its width.
const COLUMNS: usize = 80;

/// The format of the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document, of a documented shape
    Json,
    /// The same as YAML
    Yaml,
}

/// The flag of commands that print for programs too.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct OutputArgs {
    /// The format of the output
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Format,
}

/// A document for programs: the shape's version, the kind, the exit status, and the content.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, T> {
    api_version: &'static str,
    kind: &'static str,
    exit_status: u8,
    #[serde(flatten)]
    content: &'a T,
}

impl OutputArgs {
    /// Prints a result on standard output: `text` in the format text, otherwise a document of this kind with
    /// the fields of `content`, which is a struct or a map.
    ///
    /// # Errors
    /// Standard output is closed, or the content can't be written in the format.
    pub fn print<T: Serialize>(
        self,
        kind: &'static str,
        exit: Exit,
        content: &T,
        text: impl FnOnce(&Layout) -> String,
    ) -> Result<Exit, Failure> {
        let document = Document {
            api_version: OUTPUT_VERSION,
            kind,
            exit_status: exit.status(),
            content,
        };
        let failed = |error: String| Failure::Unknown(format!("the output failed: {error}"));
        let text = match self.output {
            Format::Text => text(&layout()),
            Format::Json => {
                let text = serde_json::to_string_pretty(&document);
                text.map_err(|error| failed(error.to_string()))?
            }
            Format::Yaml => {
                let text = serde_saphyr::to_string(&document);
                text.map_err(|error| failed(error.to_string()))?
            }
        };
        write_line(text.trim_end()).map_err(|error| failed(error.to_string()))?;
        Ok(exit)
    }
}

/// Writes text and a line break on standard output. Colours only reach a terminal, and not if `NO_COLOR` is set.
/// A reader that has read enough, such as `head -1`, is no error.
///
/// # Errors
/// Standard output can't be written.
pub fn write_line(text: &str) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The width of the lines, and the marks in colour.
#[must_use]
pub fn layout() -> Layout {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|columns| columns.parse().ok());
    let of_terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    Layout {
        width: said.or(of_terminal).unwrap_or(COLUMNS).max(40),
        mark: coloured_mark,
    }
}

fn coloured_mark(level: Level) -> String {
    let colour = match level {
        Level::Well => AnsiColor::Green,
        Level::Warning | Level::Unknown => AnsiColor::Yellow,
        Level::Failed => AnsiColor::Red,
    };
    let style = Style::new().fg_color(Some(colour.into()));
    format!("{style}{}{style:#}", level.mark())
}
