//! A small command line, and the answers to unfinished ones.

use super::*;
use crate::command::session::ConnectionArgs;
use clap::{CommandFactory, Parser, Subcommand};
use rstest::rstest;

/// A program.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Inner,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Subcommand)]
enum Inner {
    /// Say what is wrong
    ///
    /// And more.
    Doctor {
        /// The resources
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// All namespaces
        #[arg(short = 'A', long)]
        all_namespaces: bool,
        /// The format
        #[arg(long, short, value_parser = ["text", "json"])]
        output: Option<String>,
    },
    /// One of two commands
    Grants {
        #[command(subcommand)]
        command: Grants,
    },
    /// Look up
    Explain {
        #[arg(value_name = "REASON")]
        reason: Option<String>,
    },
    #[command(hide = true)]
    Secret,
}

#[derive(Subcommand)]
enum Grants {
    /// Compare
    Diff {
        #[arg(short, value_name = "FILE")]
        file: String,
    },
}

fn ask(words: &[&str]) -> Completion {
    let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
    complete(Cli::command(), &words)
}

#[rstest]
#[case::commands(&[""], "doctor\tSay what is wrong\ngrants\tOne of two commands\nexplain\tLook up\n:4")]
#[case::no_word_is_an_empty_one(&[], "doctor\tSay what is wrong\ngrants\tOne of two commands\nexplain\tLook up\n:4")]
#[case::a_reason(&["explain", "SecretN"], "SecretNotFound\n:4")]
#[case::the_beginning_counts(&["d"], "doctor\tSay what is wrong\n:4")]
#[case::a_hidden_command_is_never_shown(&["s"], ":4")]
#[case::a_command_below_a_command(&["grants", ""], "diff\tCompare\n:4")]
#[case::a_flag(&["doctor", "--out"], "--output\tThe format\n:4")]
#[case::a_global_flag(&["doctor", "--conte"],
    "--context\tThe context of the kubeconfig [default: its current context]\n:4")]
#[case::the_value_in_the_next_word(&["doctor", "-o", ""], "text\njson\n:4")]
#[case::the_value_in_the_next_word_begun(&["doctor", "--output", "j"], "json\n:4")]
#[case::the_value_in_the_same_word(&["doctor", "--output=t"], "--output=text\n:4")]
#[case::the_value_of_an_unknown_flag(&["doctor", "--what=t"], ":4")]
#[case::a_file(&["grants", "diff", "-f", ""], ":0")]
#[case::a_file_of_a_global_flag(&["--kubeconfig", ""], ":0")]
#[case::nothing_follows_a_command_without_arguments(&["secret", ""], ":4")]
#[case::flags_end(&["doctor", "--", "-"], ":4")]
fn words_fit(#[case] words: &[&str], #[case] answer: &str) {
    assert_eq!(ask(words).answer(Vec::new()), answer);
}

#[rstest]
#[case(&["doctor", ""], Some(Names::Resources))]
#[case(&["doctor", "a", ""], Some(Names::Resources))]
#[case(&["doctor", "-A", "b"], Some(Names::Resources))]
#[case(&["doctor", "-n", ""], Some(Names::Namespaces))]
#[case(&["--namespace=t"], Some(Names::Namespaces))]
#[case(&["doctor", "--context", ""], Some(Names::Contexts))]
#[case(&["doctor", "-n", "team", ""], Some(Names::Resources))]
#[case(&["doctor", "-nteam", ""], Some(Names::Resources))]
#[case(&["doctor", "-"], None)]
#[case(&[""], None)]
fn names_fit(#[case] words: &[&str], #[case] names: Option<Names>) {
    assert_eq!(ask(words).names, names);
}

#[rstest]
#[case(&["doctor", "-n", "team", "--context=b", ""], &["--namespace=team", "--context=b"])]
#[case(&["-nteam", "doctor", "--as", "me", ""], &["--namespace=team", "--as=me"])]
#[case::a_flag_of_a_command_says_nothing(&["doctor", "-o", "json", ""], &[])]
#[case::an_unfinished_word_says_nothing(&["doctor", "--namespace=te"], &[])]
fn names_are_looked_for_where_the_words_before_say(
    #[case] words: &[&str],
    #[case] where_: &[&str],
) {
    assert_eq!(ask(words).connection, where_);
}

#[test]
fn a_name_gets_the_flag_before_it_and_no_line_break_reaches_the_shell() {
    let found = ask(&["--context=a"]);
    let names = ["ab", "b", "a\nb"].map(str::to_owned);
    assert_eq!(found.answer(names.into()), "--context=ab\n:4");
}
