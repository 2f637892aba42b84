//! The CRDs: served, stored, and of this version.

use super::facts::Crds;
use crate::{
    api::{GROUP, VERSION},
    core::{
        checkup::{
            finding::{Cure, Finding, Level},
            schema::{Difference, StoredCrd},
            seen::Seen,
        },
        words::{APPLY_CRDS, first},
    },
};

const SUBJECT: &str = "crds";

/// The kinds that the API server serves with the CRDs.
const KINDS: [&str; 4] = [
    "cognitouserpasswords",
    "cognitouserpasswords/status",
    "cognitouserpoolgrants",
    "cognitouserpoolgrants/status",
];

/// How many paths of fields one finding names.
const PATHS: usize = 4;

/// What mends a missing or an older CRD.
pub(in crate::core::checkup) fn apply() -> Cure {
    Cure::command("apply the CRDs of this version", APPLY_CRDS.to_owned())
}

pub(in crate::core::checkup) fn judge(crds: &Crds, program: &str) -> Vec<Finding> {
    let kinds = match &crds.kinds {
        Ok(kinds) => kinds,
        Err(why) => {
            let text = format!("the API server doesn't say what it serves: {why}");
            return vec![Finding::new(SUBJECT, Level::Unknown, text)];
        }
    };
    let missing: Vec<_> = KINDS
        .into_iter()
        .filter(|name| !kinds.iter().any(|kind| kind == name))
        .collect();
    if !missing.is_empty() {
        let text = format!("{GROUP}/{VERSION} lacks {}", missing.join(", "));
        return vec![Finding::new(SUBJECT, Level::Failed, text).cured_by(apply())];
    }
    let served = format!("{GROUP}/{VERSION} is served");
    let stored = match &crds.stored {
        Some(Seen::Known(stored)) => stored,
        unseen => {
            let why = unseen.as_ref().map(|it| it.why_not().unwrap_or_default());
            return by_served(crds, program, &served, why);
        }
    };
    let findings: Vec<_> = stored
        .iter()
        .flat_map(|crd| [storage(crd), schema(crd, program)])
        .flatten()
        .collect();
    if findings.is_empty() {
        let text = format!("{served} and stored, with the schemas of {program}");
        return vec![Finding::new(SUBJECT, Level::Well, text)];
    }
    findings
}

/// By the served schemas. `unseen` says why the CRDs themselves are unknown; None if nobody asked for them.
fn by_served(crds: &Crds, program: &str, served: &str, unseen: Option<String>) -> Vec<Finding> {
    let lacks = crds.lacks.iter().flatten();
    let findings: Vec<_> = lacks
        .filter(|(_, missing)| !missing.is_empty())
        .map(|(name, missing)| older(name, program, missing, ""))
        .collect();
    if !findings.is_empty() {
        return findings;
    }
    let (level, text) = match (&crds.lacks, unseen) {
        (Some(_), None) => (
            Level::Well,
            format!("{served}, with all fields of {program}"),
        ),
        (None, None) => (Level::Well, served.to_owned()),
        (Some(_), Some(why)) => (
            Level::Unknown,
            format!(
                "{served}, with all fields of {program}; whether the rest is too is unknown: {why}"
            ),
        ),
        (None, Some(why)) => (
            Level::Unknown,
            format!("{served}; whether the schemas are of {program} is unknown: {why}"),
        ),
    };
    vec![Finding::new(SUBJECT, level, text)]
}

/// The finding on a CRD that lacks these fields.
fn older(name: &str, program: &str, missing: &[String], also: &str) -> Finding {
    let paths = first(missing, PATHS, ", ");
    let text = format!("{name} is older than {program}: lacks {paths}{also}");
    Finding::new(SUBJECT, Level::Failed, text).cured_by(apply())
}

/// What is wrong with the versions of a CRD.
fn storage(crd: &StoredCrd) -> Option<Finding> {
    let name = &crd.name;
    if !crd.is_established {
        let text = format!("{name} is not established, or its names belong to another CRD");
        let command = format!("kubectl describe crd {name}.{GROUP}");
        return Some(
            Finding::new(SUBJECT, Level::Failed, text)
                .cured_by(Cure::command("the conditions say why", command)),
        );
    }
    if crd.storage != VERSION {
        let text = format!("{name} is stored as {}, not as {VERSION}", crd.storage);
        return Some(Finding::new(SUBJECT, Level::Warning, text).cured_by(apply()));
    }
    let old: Vec<_> = crd
        .stored_versions
        .iter()
        .filter(|it| *it != VERSION)
        .cloned()
        .collect();
    (!old.is_empty()).then(|| {
        let text = format!("{name} may have objects stored as {}", old.join(", "));
        Finding::new(SUBJECT, Level::Warning, text)
    })
}

/// How the schema of a CRD differs.
pub(in crate::core::checkup) fn schema(crd: &StoredCrd, program: &str) -> Option<Finding> {
    let Difference {
        missing,
        unknown,
        changed,
    } = &crd.difference;
    let name = &crd.name;
    let paths = |paths: &[String]| first(paths, PATHS, ", ");
    let also = if changed.is_empty() {
        String::new()
    } else {
        format!("; other rules for {}", paths(changed))
    };
    match crd.difference.word() {
        "Same" => None,
        "Older" => Some(older(name, program, missing, &also)),
        "Newer" => Some(
            Finding::new(
                SUBJECT,
                Level::Warning,
                format!(
                    "{name} is newer than {program}: has {}{also}",
                    paths(unknown)
                ),
            )
            .cured_by(Cure::words(
                "use the programs of the CRDs' version; don't apply older CRDs",
            )),
        ),
        _ if missing.is_empty() => Some(
            Finding::new(
                SUBJECT,
                Level::Warning,
                format!(
                    "{name} has other rules than {program} for {}",
                    paths(changed)
                ),
            )
            .cured_by(apply()),
        ),
        _ => Some(
            Finding::new(
                SUBJECT,
                Level::Failed,
                format!(
                    "{name} is of another version than {program}: lacks {}, and has {}{also}",
                    paths(missing),
                    paths(unknown)
                ),
            )
            .cured_by(apply()),
        ),
    }
}
