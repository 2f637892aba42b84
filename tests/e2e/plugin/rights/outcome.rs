//! What a command without a right must do.

use super::Run;

/// The findings of an output: the mark and the subject of each.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Findings(Vec<(char, String)>);

impl Findings {
    pub(super) fn of(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let mut chars = line.chars();
            let mark = chars.next().filter(|it| "✓!×?".contains(*it))?;
            let subject = chars.as_str().split_whitespace().next()?;
            Some((mark, subject.to_owned()))
        });
        Self(lines.collect())
    }
}

/// What a command does without a right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    /// A line says which right is missing. Beside this finding, only these subjects differ.
    Line(&'static [&'static str]),
    /// Nothing can be shown: the command ends with 3, and says which right is missing.
    Refused,
    /// A text without findings says which right is missing, and the command ends as otherwise.
    Says,
    /// Another right serves as well: nothing differs.
    Nothing,
}

impl Expected {
    /// Compares a run without the right to a run with all rights.
    pub(super) fn fits(self, right: &str, full: &Run, run: &Run) -> Result<(), String> {
        let errors: Vec<_> = run.errors.split_whitespace().collect();
        let said = format!("{} {}", run.said.on_one_line(), errors.join(" "));
        let status = run.said.status;
        if ![0, 1, 3].contains(&status) {
            return Err(format!("ended with {status}"));
        }
        if let Self::Nothing = self {
            let (before, after) = (Findings::of(&full.said.text), Findings::of(&run.said.text));
            if (full.said.status, &before) != (status, &after) {
                return Err(format!("differs: {before:?}, {after:?}"));
            }
            return Ok(());
        }
        let words = words(right);
        let Some(words) = words.iter().find(|it| said.contains(&***it)) else {
            return Err(format!("says none of {words:?}"));
        };
        match self {
            Self::Refused if status == 3 => Ok(()),
            Self::Says if status == full.said.status => Ok(()),
            Self::Refused | Self::Says => Err("ended otherwise".to_owned()),
            Self::Line(others) => shows_the_rest(words, others, full, run),
            Self::Nothing => Ok(()),
        }
    }
}

/// How an output names the right: in the plugin's words, or in the API server's.
fn words(right: &str) -> [String; 2] {
    let (verb, kind) = right.split_once(' ').expect("a verb and a kind");
    let kind = kind.split('/').next().unwrap_or_default();
    [
        format!("you may not {verb} {kind}"),
        format!("cannot {verb} resource \"{kind}\""),
    ]
}

/// Each finding of the full output is there, but for that of the line which names the right.
fn shows_the_rest(words: &str, others: &[&str], full: &Run, run: &Run) -> Result<(), String> {
    let lines = joined(&run.said.text);
    let naming: Vec<_> = lines.iter().filter(|it| it.contains(words)).collect();
    if let Some(line) = naming.iter().find(|it| !it.starts_with('?')) {
        return Err(format!("a line with another mark: {line}"));
    }
    let subject = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let unknown: Vec<_> = naming.iter().filter_map(|it| subject(it)).collect();
    let after = Findings::of(&run.said.text).0;
    for (mark, subject) in Findings::of(&full.said.text).0 {
        let differs = unknown.contains(&subject) || others.contains(&&*subject);
        if !differs && !after.contains(&(mark, subject.clone())) {
            return Err(format!("{mark} {subject} is gone"));
        }
    }
    Ok(())
}

/// Each finding on one line.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }
    lines
}

/// What the command does without the right, such as `get pods/proxy`.
pub(super) fn expected(command: &[&str], right: &str) -> Expected {
    const ASKS: &str = "create selfsubjectaccessreviews";
    match (command, right) {
        (["check", "--pre"], ASKS) => Expected::Line(&[]),
        // Who can't ask for rights reads all the same.
        (_, ASKS)
        // Only whether the API server streams lists stays unknown, about which nobody has to do anything.
        | (["check", ..], "watch cognitouserpasswords" | "watch namespaces")
        // Labels of namespaces explain resources that aren't Ready, and all are.
        | (["doctor", "-A" | "-n", ..], "list namespaces")
        // What the API server serves tells as much.
        | (["doctor", ..], "get customresourcedefinitions") => Expected::Nothing,
        // Nothing is known of an operator that can't be found.
        (["check"], "list deployments") => {
            Expected::Line(&["leader", "rights", "network", "identity", "metrics"])
        }
        // Without the Deployment, the Lease alone tells of the operator.
        (["doctor", ..], "list deployments") => Expected::Line(&["operator", "rights"]),
        // The answer is in the grants, and in the labels by which a grant chooses namespaces.
        (["grants", "test", ..], "list cognitouserpoolgrants" | "get namespaces") => {
            Expected::Line(&["answer", "grant"])
        }
        (["grants", "who", ..], "list cognitouserpoolgrants" | "list namespaces") => {
            Expected::Line(&["namespace", "manager"])
        }
        (["doctor", "-A" | "-n", ..] | ["set" | "suspend", "--all", ..], "list cognitouserpasswords")
        | (["doctor" | "set" | "suspend" | "resume" | "wait", ..], "get cognitouserpasswords")
        | (["set" | "suspend" | "resume", ..], "patch cognitouserpasswords")
        | (["grants", "diff", ..], "list cognitouserpoolgrants") => Expected::Refused,
        (["check" | "version" | "doctor" | "grants", ..], _) => Expected::Line(&[]),
        _ => Expected::Says,
    }
}
