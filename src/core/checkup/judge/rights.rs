//! The rights: of the operator, or of somebody who installs.

use super::{
    facts::{Answers, Deployed},
    restore::restore,
};
use crate::{
    api::FIELD_MANAGER,
    core::{
        checkup::{
            finding::{Cure, Finding, Level},
            installed::Installed,
            right::{Right, by_object},
            seen::Seen,
        },
        words::first,
    },
};

const SUBJECT: &str = "rights";

/// How many kinds of objects one finding names.
const NAMED: usize = 6;

pub(super) fn judge(rights: &Seen<Answers>, deployed: Option<&Deployed>) -> Vec<Finding> {
    let who = deployed.map_or_else(String::new, |it| {
        let it = &it.installed;
        format!("ServiceAccount {}/{} ", it.namespace, it.service_account)
    });
    let answers = match rights {
        Seen::Known(answers) => answers,
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("the rights of {who}are unknown: {why}");
            return vec![Finding::new(SUBJECT, Level::Unknown, text)];
        }
    };
    let mut findings = Vec::new();
    let lacked = lacking(answers);
    if !lacked.is_empty() {
        let (all, rights) = (answers.len(), lacked.len());
        let text = format!(
            "{who}lacks {rights} of {all} needed rights: may not {}",
            first(&grouped(&lacked), NAMED, "; ")
        );
        let finding = Finding::new(SUBJECT, Level::Failed, text);
        findings.push(finding.cured_by(cure(&lacked, deployed)));
    }
    findings.extend(undecided(answers));
    if findings.is_empty() {
        let text = format!("{who}has all {} needed rights", answers.len());
        findings.push(Finding::new(SUBJECT, Level::Well, text));
    }
    findings
}

/// The rights that the API server denies.
pub(in crate::core) fn lacking(answers: &[(Right, Result<bool, String>)]) -> Vec<&Right> {
    let lacks = answers.iter().filter(|(_, answer)| *answer == Ok(false));
    lacks.map(|(right, _)| right).collect()
}

/// One finding for all rights on which the API server gives no answer.
pub(in crate::core::checkup) fn undecided(answers: &Answers) -> Option<Finding> {
    let unknown = answers
        .iter()
        .filter_map(|(right, answer)| Some((right, answer.as_ref().err()?)));
    let unknown: Vec<_> = unknown.collect();
    let (_, why) = unknown.first()?;
    let rights: Vec<_> = unknown.iter().map(|(right, _)| *right).collect();
    let text = format!(
        "no answer on {}: {why}",
        first(&grouped(&rights), NAMED, "; ")
    );
    Some(Finding::new(SUBJECT, Level::Unknown, text))
}

/// The rights as `kubectl auth can-i` takes them, but the verbs of one kind of objects in one place together:
/// `get,list,watch secrets -A`.
pub(in crate::core) fn grouped(rights: &[&Right]) -> Vec<String> {
    by_object(rights)
        .into_iter()
        // The empty verb leaves a blank.
        .map(|(right, verbs)| format!("{}{right}", verbs.join(",")))
        .collect()
}

/// What gives the operator its rights back: the rights alone, or the manifests or the chart as they are; whoever
/// changed them knows.
fn cure(lacked: &[&Right], deployed: Option<&Deployed>) -> Cure {
    let Some(deployed) = deployed else {
        return Cure::words(
            "compare the Roles and bindings of the ServiceAccount with those of the chart or of deploy/",
        )
        .more("install.md#rights");
    };
    let installed = &deployed.installed;
    let cure = restored(lacked, installed);
    if let Some(release) = &installed.release {
        return cure.or(
            "render the Roles and bindings of the chart again, with the release's values",
            [format!(
                "helm upgrade {release} charts/cognito-password-operator -n {} --reuse-values",
                installed.namespace
            )],
        );
    }
    let is_ours = [&installed.namespace, &installed.service_account]
        .iter()
        .all(|it| *it == FIELD_MANAGER);
    if !is_ours {
        return cure.or(
            "apply your overlay of deploy/ again, with its Roles and bindings",
            [],
        );
    }
    let at_home = |right: &&&Right| right.namespace.as_ref() == Some(&installed.namespace);
    let watched = installed.settings.watch_namespaces.as_slice();
    let mut commands = Vec::new();
    if lacked.iter().any(|it| at_home(&it)) {
        commands.push("kubectl apply -f deploy/base/rbac.yaml".to_owned());
    }
    if lacked.iter().any(|it| !at_home(&it)) {
        let folder = if watched.is_empty() {
            "all-namespaces"
        } else {
            "watch-namespaces"
        };
        commands.push(format!("kubectl apply -k deploy/{folder}/"));
    }
    cure.or(
        "apply the Roles and bindings again, in a checkout of the operator's version",
        commands,
    )
}

/// The command that gives the operator's `ServiceAccount` what it lacks.
pub(in crate::core) fn restored(lacked: &[&Right], installed: &Installed) -> Cure {
    let account = (&*installed.namespace, &*installed.service_account);
    Cure::command(
        "give the ServiceAccount the missing rights, in separate Roles, until the installation's own Roles are restored",
        restore(lacked, account),
    )
    .more("install.md#rights")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::checkup::right::{Installation, needed};

    #[test]
    fn verbs_of_one_kind_stand_together() {
        let rights = needed(&Installation {
            namespace: "home".to_owned(),
            key_secret: "keys",
            watched: vec!["a".to_owned()],
            lease: Some("lease".to_owned()),
        });
        let words = grouped(&rights.iter().collect::<Vec<_>>());
        let wanted = [
            "get,list,watch cognitouserpasswords.cognito-password-operator.io -n a",
            "patch cognitouserpasswords.cognito-password-operator.io --subresource=status -n a",
            "get,list,watch secrets -n a",
            "create,patch events.events.k8s.io -n a",
            "create secrets -n home",
            "create leases.coordination.k8s.io -n home",
            "get secrets/keys -n home",
            "get,update leases.coordination.k8s.io/lease -n home",
        ];
        assert_eq!(words, wanted);
    }
}
