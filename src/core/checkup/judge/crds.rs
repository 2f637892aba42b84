//! The CRDs: served, stored, and of this version.

use super::facts::Crds;
use crate::{
    api::{GROUP, VERSION},
    core::checkup::{
        finding::{Cure, Finding, Level},
        schema::{Difference, StoredCrd},
        seen::Seen,
        words::first,
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
    Cure::command(
        "apply the CRDs of this version, in a checkout of this version",
        "kubectl apply -k crds/".to_owned(),
    )
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
        None => return vec![Finding::new(SUBJECT, Level::Well, served)],
        Some(Seen::Known(stored)) => stored,
        Some(unseen) => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("{served}; whether the schemas are of {program} is unknown: {why}");
            return vec![Finding::new(SUBJECT, Level::Unknown, text)];
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
        "Older" => Some(
            Finding::new(
                SUBJECT,
                Level::Failed,
                format!(
                    "{name} is older than {program}: lacks {}{also}",
                    paths(missing)
                ),
            )
            .cured_by(apply()),
        ),
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
