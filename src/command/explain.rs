//! `explain`: what a reason means and what to do, without a cluster.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::{
    exit::{Exit, Failure},
    output::OutputArgs,
};
use crate::core::{
    explain::{Topic, near, one, table, topics, topics_of},
    text::legible,
};
use clap::Args;
use serde::Serialize;

/// The arguments of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A reason such as NotGranted, or an error code of AWS such as UserNotFoundException; upper and lower case are
    /// alike [default: all reasons, in a table]
    #[arg(value_name = "REASON")]
    reason: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// The content for programs.
#[derive(Serialize)]
struct Explanation<'a> {
    reasons: &'a [Topic],
}

/// Explains one reason, or lists all.
///
/// # Errors
/// [`Failure::Usage`] for a word that is neither a reason nor a known code.
pub fn explain(args: &ExplainArgs) -> Result<Exit, Failure> {
    let found = match &args.reason {
        None => topics(),
        Some(word) => topics_of(word.trim()),
    };
    if let (Some(word), true) = (&args.reason, found.is_empty()) {
        return Err(Failure::Usage(unknown(word.trim())));
    }
    let content = Explanation { reasons: &found };
    args.output
        .print("Reasons", Exit::Well, &content, |layout| {
            if args.reason.is_none() {
                return table(&found, layout);
            }
            let each: Vec<_> = found.iter().map(|topic| one(topic, layout)).collect();
            each.join("\n\n")
        })
}

fn unknown(word: &str) -> String {
    let near = near(word);
    let shown = legible(word, 80);
    if near.is_empty() {
        format!("there is no reason {shown}; `explain` alone lists all")
    } else {
        format!(
            "there is no reason {shown}; did you mean {}?",
            near.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_gets_near_ones_on_one_line() {
        assert_eq!(
            unknown("UserNotFond"),
            "there is no reason UserNotFond; did you mean UserNotFound?"
        );
        assert_eq!(
            unknown("\u{1b}[31m"),
            "there is no reason  [31m; `explain` alone lists all"
        );
    }
}
