//! The files of a report, bounded in size, with an index that also says what is missing.

use super::redact::{LEFT_OUT, tail, without_userinfo};
use crate::core::{checkup::seen::Seen, text::legible};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// The folder of all files in the archive.
pub const FOLDER: &str = "cognito-password-operator-report";

/// The most bytes of one file. Of a longer text, the end stays.
pub const FILE_MAX: usize = 2 << 20;

/// The most bytes of all files. What comes after has no room, and the index says so.
pub const TOTAL_MAX: usize = 32 << 20;

/// The files of a report.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bundle {
    files: BTreeMap<String, String>,
    parts: Vec<Part>,
    bytes: usize,
}

/// A line of the index.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Part {
    what: String,
    file: Option<String>,
    state: String,
}

impl Bundle {
    /// Adds a text. User and password in URLs are removed, and of a long text only the end stays.
    pub fn add(&mut self, file: &str, what: &str, text: &str) {
        let text = without_userinfo(text);
        let (text, cut) = tail(&text, FILE_MAX);
        if self.bytes + text.len() > TOTAL_MAX {
            self.missing(what, "the report is full");
            return;
        }
        let file = self.free_name(&file_name(file));
        let state = match cut {
            0 => format!("{} bytes", text.len()),
            cut => format!("the last {} bytes; {cut} bytes are left out", text.len()),
        };
        self.bytes += text.len();
        self.files.insert(file.clone(), text.to_owned());
        self.parts.push(Part {
            what: what.to_owned(),
            file: Some(file),
            state,
        });
    }

    /// Adds what a read brought: a text, or why the text is missing.
    pub fn add_seen(&mut self, file: &str, what: &str, seen: &Seen<String>) {
        match (seen.known(), seen.why_not()) {
            (Some(text), _) => self.add(file, what, text),
            (None, why) => self.missing(what, &why.unwrap_or_default()),
        }
    }

    /// Says in the index that something is missing, and why.
    pub fn missing(&mut self, what: &str, why: &str) {
        self.parts.push(Part {
            what: what.to_owned(),
            file: None,
            state: legible(&without_userinfo(why), 300),
        });
    }

    /// What is missing, each with the reason.
    pub fn gaps(&self) -> impl Iterator<Item = (&str, &str)> {
        let missing = self.parts.iter().filter(|part| part.file.is_none());
        missing.map(|part| (part.what.as_str(), part.state.as_str()))
    }

    /// All files with README and index, by path in the archive.
    #[must_use]
    pub fn into_files(self) -> BTreeMap<String, String> {
        let (index, readme) = (self.index(), readme());
        let mut files: BTreeMap<_, _> = self
            .files
            .into_iter()
            .map(|(file, text)| (format!("{FOLDER}/{file}"), text))
            .collect();
        files.insert(format!("{FOLDER}/index.md"), index);
        files.insert(format!("{FOLDER}/README.md"), readme);
        files
    }

    fn index(&self) -> String {
        let mut text = "# Index\n\n| what | file | state |\n|---|---|---|\n".to_owned();
        for part in &self.parts {
            let file = part.file.as_deref().unwrap_or("missing");
            // Only a text in memory: the write can't fail.
            let _ = writeln!(
                text,
                "| {} | {file} | {} |",
                cell(&part.what),
                cell(&part.state)
            );
        }
        text
    }

    /// The name, or the name with a number if another file has the name: two names may become one.
    fn free_name(&self, file: &str) -> String {
        let taken: BTreeSet<&str> = self.files.keys().map(String::as_str).collect();
        let numbered = (2..).map(|number| format!("{file}-{number}"));
        let mut names = [file.to_owned()].into_iter().chain(numbered);
        names
            .find(|name| !taken.contains(name.as_str()))
            .unwrap_or_default()
    }
}

/// A path in which each part has only letters, digits, and `._-`, and doesn't begin with a dot.
fn file_name(path: &str) -> String {
    let part = |part: &str| {
        let fit = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '_'
            }
        };
        let part: String = part.chars().take(120).map(fit).collect();
        let undotted = part.trim_start_matches('.');
        if undotted.is_empty() {
            "_".to_owned()
        } else {
            undotted.to_owned()
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Text in a cell of a table in Markdown.
fn cell(text: &str) -> String {
    legible(text, 300).replace('|', "\\|")
}

fn readme() -> String {
    format!(
        "# A report of cognito-password-operator

Made by `kubectl cognito-password report`, for whoever helps with this installation. `index.md` lists the files, and
what the caller could not read.

**Look at the files before you send them.** They have the names of namespaces, resources, users, pools, AWS accounts
and roles, the operator's logs and metrics, and the messages of AWS.

They have no Secret: the command reads none. `{LEFT_OUT}` stands for values that may be credentials: environment
variables that are not settings of the operator or whose names sound like credentials, and annotations that hold whole
objects. Managed fields, and users and passwords in URLs, are removed.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::checkup::right::Right;

    #[test]
    fn the_index_names_each_file_and_each_gap() {
        let mut bundle = Bundle::default();
        bundle.add("grants.yaml", "grants", "a: b\n");
        bundle.add("../../etc/pass wd", "a hostile name", "x");
        let right = Right {
            verb: "list",
            group: "",
            resource: "pods",
            subresource: "",
            namespace: Some("home".to_owned()),
            name: None,
        };
        bundle.add_seen("pods.yaml", "pods | all", &Seen::Denied(right));
        bundle.missing("logs", "http://u:p@host\nrefused");
        assert_eq!(bundle.gaps().count(), 2);
        let files = bundle.into_files();
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        let wanted = ["README.md", "_/_/etc/pass_wd", "grants.yaml", "index.md"];
        assert_eq!(names, wanted.map(|it| format!("{FOLDER}/{it}")));
        let index = &files[&format!("{FOLDER}/index.md")];
        for line in [
            "| grants | grants.yaml | 5 bytes |",
            "| pods \\| all | missing | you may not list pods -n home |",
            "| logs | missing | http://host refused |",
        ] {
            assert!(index.lines().any(|it| it == line), "{line}: {index}");
        }
    }

    #[test]
    fn two_names_that_become_one_are_two_files() {
        let mut bundle = Bundle::default();
        bundle.add("a b", "one", "1");
        bundle.add("a_b", "two", "2");
        assert_eq!(bundle.into_files().len(), 4);
    }

    #[test]
    fn the_report_is_bounded() {
        let mut bundle = Bundle::default();
        let long = format!("{}\nlast", "x".repeat(FILE_MAX));
        for number in 0..20 {
            bundle.add(&format!("log-{number}"), "log", &long);
        }
        bundle.add(
            "cut",
            "cut",
            &format!("first\n{}", "line\n".repeat(FILE_MAX / 5)),
        );
        let full = "x".repeat(FILE_MAX);
        for number in 0..20 {
            bundle.add(&format!("full-{number}"), "full", &full);
        }
        assert!(bundle.bytes <= TOTAL_MAX);
        assert!(
            bundle
                .gaps()
                .any(|(what, why)| (what, why) == ("full", "the report is full"))
        );
        let files = bundle.into_files();
        assert_eq!(files[&format!("{FOLDER}/log-0")], "last");
        assert!(files[&format!("{FOLDER}/index.md")].contains("bytes are left out"));
    }
}
