//! Prints the story: numbered chapters, short lines, commands with their output. Colours only on a terminal.
#![allow(clippy::print_stdout, reason = "the story is this program's output")]

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Where kubectl's output begins.
const INDENT: &str = "    ";
/// Where a long line is broken.
const WIDTH: usize = 92;

pub(crate) struct Say {
    colour: bool,
    chapter: u32,
}

/// A step that takes time, with a line of its own. The next output ends the line.
pub(crate) struct Progress {
    started: Instant,
}

impl Say {
    pub(crate) fn new() -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: std::io::stdout().is_terminal() && !no_colour,
            chapter: 0,
        }
    }

    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        let title = format!("{}. {title}", self.chapter);
        println!("\n{}\n", self.paint("1", &title));
    }

    /// A sentence of the story.
    pub(crate) fn line(&self, text: &str) {
        println!("  {}", text.replace('\n', "\n  "));
        self.flush();
    }

    /// A successful check.
    pub(crate) fn good(&self, text: &str) {
        println!("  {} {text}", self.paint("32", "✓"));
        self.flush();
    }

    /// A command, ready to be typed.
    pub(crate) fn command(&self, command: &str) {
        println!("  {} {}", self.paint("2", "$"), self.paint("36", command));
        self.flush();
    }

    /// The output of a command, or a file.
    pub(crate) fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("{}", format!("{INDENT}{line}").trim_end());
        }
        self.flush();
    }

    /// The same for one long line.
    pub(crate) fn wrapped(&self, text: &str) {
        let mut lines = vec![String::new()];
        for word in text.split_whitespace() {
            match lines.last_mut() {
                Some(line) if line.len() + word.len() < WIDTH => {
                    line.push_str(if line.is_empty() { "" } else { " " });
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        self.output(&lines.join("\n"));
    }

    pub(crate) fn gap(&self) {
        println!();
        self.flush();
    }

    /// Begins a line that [`Progress::done`] ends.
    pub(crate) fn begin(&self, what: &str) -> Progress {
        print!("  {what} ... ");
        self.flush();
        Progress {
            started: Instant::now(),
        }
    }

    /// The end of a demo in which a step failed.
    pub(crate) fn failed(&self, why: &str, evidence: &str) {
        println!("\n\n{} {why}", self.paint("1;31", "FAILED:"));
        if !evidence.is_empty() {
            println!("\n{evidence}");
        }
        self.flush();
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    #[allow(
        clippy::unused_self,
        reason = "what is said is said by somebody, and at once"
    )]
    fn flush(&self) {
        // If the reader of the output is gone, the rest of the story is lost.
        let _ = std::io::stdout().flush();
    }
}

impl Progress {
    pub(crate) fn done(self) {
        println!("{}", time(self.started.elapsed()));
    }
}

/// 43 ms, 3.2 s.
pub(crate) fn time(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}
