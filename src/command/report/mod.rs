//! `report`: collects what somebody needs who helps with an installation, into one archive.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

mod archive;
mod gather;

use super::{
    check::http_url,
    exit::{Exit, Failure},
    object_names,
    output::{layout, write_line},
    session::Session,
};
use crate::core::{report::bundle::Bundle, text::legible};
use archive::write;
use clap::Args;
use std::path::{Path, PathBuf};

/// The arguments of `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// The archive to write, such as report.tar.gz
    #[arg(long, short = 'o', value_name = "FILE", value_parser = archive_file)]
    output: PathBuf,

    /// Replace the file if it exists
    #[arg(long)]
    force: bool,

    /// The operator's namespace [default: that of each Deployment that you may see]
    #[arg(long, value_name = "NAMESPACE", value_parser = object_names::namespace)]
    operator_namespace: Option<String>,

    /// Read /readyz and /metrics here, not through the API server, such as http://localhost:8080
    #[arg(long, value_name = "URL", value_parser = http_url)]
    url: Option<String>,
}

/// Writes a report.
///
/// # Errors
/// [`Failure::Usage`] if the file exists or can't be written, [`Failure::Unknown`] if no API server answers.
pub async fn report(args: &ReportArgs, session: &Session) -> Result<Exit, Failure> {
    if !args.force && args.output.symlink_metadata().is_ok() {
        let file = shown(&args.output);
        return Err(Failure::Usage(format!(
            "{file} exists; --force replaces the file"
        )));
    }
    let namespace = args.operator_namespace.as_deref();
    let bundle = gather::gather(session, namespace, args.url.as_deref()).await?;
    let said = summary(&bundle, &args.output);
    write(&args.output, args.force, bundle.into_files())
        .map_err(|error| Failure::Usage(format!("{}: {error}", shown(&args.output))))?;
    write_line(&said).map_err(|error| Failure::Unknown(format!("the output failed: {error}")))?;
    Ok(Exit::Well)
}

/// A file's name. Refuses the names of output formats: with the other commands, -o is the format.
fn archive_file(text: &str) -> Result<PathBuf, String> {
    match text {
        "text" | "json" | "yaml" => Err(format!(
            "report writes an archive, such as report.tar.gz; ./{text} is a file of this name"
        )),
        _ => Ok(text.into()),
    }
}

fn shown(file: &Path) -> String {
    legible(&file.display().to_string(), 500)
}

fn summary(bundle: &Bundle, file: &Path) -> String {
    let layout = layout();
    let mut lines = vec![format!("wrote {}", shown(file))];
    let gaps: Vec<_> = bundle.gaps().collect();
    if !gaps.is_empty() {
        lines.push("missing, as its index.md says:".to_owned());
        lines.extend(gaps.iter().map(|(what, why)| {
            let gap = layout.wrapped(&format!("{what}: {why}"), 4);
            format!("  {}", gap.trim_start())
        }));
    }
    lines.push(layout.wrapped(
        "Look at the files before you send them: they have names of namespaces, users, pools and accounts, and the operator's logs. They have no Secret.",
        0,
    ));
    lines.join("\n")
}
