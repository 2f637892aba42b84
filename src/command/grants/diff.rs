//! `grants diff`: who would gain and who would lose by a change of grants?

#![allow(
    clippy::doc_markdown,
    reason = "the docs of the arguments are the help text"
)]

use super::question::{Listed, OperatorArgs, listed_grants, notes};
use crate::{
    command::{
        exit::{Exit, Failure},
        output::OutputArgs,
        session::Session,
    },
    core::{
        checkup::layout::Layout,
        grants::{
            diff::{Difference, applied, difference},
            file::{GrantFile, parse},
            rules::rules_of,
        },
    },
};
use clap::Args;
use std::{
    fs,
    io::{self, Read},
};

/// The most bytes of a file of grants.
const FILE_MAX: u64 = 16 << 20;

#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// A file with grants in YAML or JSON, or - for standard input; may be repeated. Other kinds are ignored
    #[arg(
        long,
        short = 'f',
        value_name = "FILE",
        required_unless_present = "delete"
    )]
    filename: Vec<String>,

    /// A grant that would be deleted; may be repeated
    #[arg(long, value_name = "GRANT")]
    delete: Vec<String>,

    #[command(flatten)]
    operator: OperatorArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn diff(args: DiffArgs, session: &Session) -> Result<Exit, Failure> {
    let file = read_all(&args.filename)?;
    let client = &session.client;
    session.reach().await?;
    let installed = args.operator.installed(session).await;
    let (rules, mut said) = rules_of(&installed, None);
    let ignored = file
        .ignored
        .iter()
        .map(|it| format!("ignored, because it is no grant: {it}"));
    said.extend(ignored);
    if file.grants.is_empty() && args.delete.is_empty() {
        said.push("there is no grant in the file".to_owned());
    }
    let Some(before) = listed_grants(client, &mut said).await else {
        return Err(Failure::Unknown(said.pop().unwrap_or_default()));
    };
    let gone = args
        .delete
        .iter()
        .filter(|name| !before.contains_key(*name));
    said.extend(gone.map(|name| format!("there is no grant {name} to delete")));
    let after = applied(&before, &file.grants, &args.delete);
    let seen = Listed::read(session, &mut said).await;
    let mut difference = difference(&before, &after, &rules, seen.cluster());
    let is_same = difference.is_empty() && difference.grants.is_empty();
    let exit = match (is_same, seen.is_partial()) {
        (false, _) => Exit::Found,
        (true, true) => Exit::Unknown,
        (true, false) => Exit::Well,
    };
    difference.notes.extend(said);
    args.output.print("GrantDiff", exit, &difference, |layout| {
        text(&difference, layout)
    })
}

fn text(difference: &Difference, layout: &Layout) -> String {
    let lines = difference.lines();
    let mut lines: Vec<_> = lines.iter().map(|line| layout.entry(line)).collect();
    let said: Vec<_> = notes(&difference.notes).collect();
    if !said.is_empty() {
        lines.push(layout.findings(&said));
    }
    lines.join("\n")
}

/// Reads all files as one.
fn read_all(names: &[String]) -> Result<GrantFile, Failure> {
    let mut all = GrantFile::default();
    for name in names {
        let shown = if name == "-" { "standard input" } else { name };
        let text = read(name).map_err(|error| Failure::Usage(format!("{shown}: {error}")))?;
        let file = parse(&text)
            .map_err(|errors| Failure::Usage(format!("{shown}: {}", errors.join("; "))))?;
        for (name, grant) in file.grants {
            if all.grants.insert(name.clone(), grant).is_some() {
                return Err(Failure::Usage(format!("grant {name} is in two files")));
            }
        }
        all.ignored.extend(file.ignored);
    }
    Ok(all)
}

fn read(name: &str) -> io::Result<String> {
    let source: Box<dyn Read> = if name == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(fs::File::open(name)?)
    };
    let mut text = String::new();
    let length = source.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > FILE_MAX) {
        return Err(io::Error::other("the file is too long"));
    }
    Ok(text)
}
