//! The link `rights`: whether the operator lacks a right that it needs at the API server. Without one, a status may
//! stay as it was: Ready for a value that the Secret no longer has, or with a reason that is gone.

use crate::core::{
    checkup::{
        finding::Level,
        judge::rights::{grouped, lacking, restored},
        seen::Seen,
    },
    doctor::{facts::Operator, link::Link},
};

const SUBJECT: &str = "rights";

/// The link about the rights for one watched namespace, or for all. None if the operator has all rights, or if there is no Deployment that names its `ServiceAccount`.
pub(super) fn link(operator: &Operator, watched: Option<&str>) -> Option<Link> {
    let installed = operator.installed.as_ref()?;
    let (namespace, account) = (&installed.namespace, &installed.service_account);
    let answers = match &operator.rights {
        Seen::Known(answers) => answers,
        unseen => return Some(Link::unseen(SUBJECT, unseen)),
    };
    let mut lacked = lacking(answers);
    // What is missing in another namespace is no matter here.
    let matters = |it: &String| *it == *namespace || watched.is_none_or(|watched| it == watched);
    lacked.retain(|it| it.namespace.as_ref().is_none_or(matters));
    if lacked.is_empty() {
        let why = answers.iter().find_map(|(_, answer)| answer.as_ref().err());
        return why.map(|why| Link::new(SUBJECT, Level::Unknown, why.clone()));
    }
    let text = format!(
        "the operator's ServiceAccount {namespace}/{account} may not {}",
        grouped(&lacked).join("; ")
    );
    let mut link = Link::new(SUBJECT, Level::Failed, text);
    link.finding.cure = Some(restored(&lacked, installed).or(
        "apply the operator's Roles and bindings again; check prints the command",
        [format!(
            "kubectl cognito-password check --operator-namespace {namespace}"
        )],
    ));
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{checkup::right::Right, doctor::tests::around};

    fn asked(rights: Seen<Vec<(Right, Result<bool, String>)>>) -> Option<(Level, String)> {
        let mut operator = around().operators.remove(0);
        operator.rights = rights;
        link(&operator, Some("team-a")).map(|it| (it.finding.level, it.finding.text))
    }

    fn reads_secrets() -> Right {
        Right {
            verb: "get",
            group: "",
            resource: "secrets",
            subresource: "",
            namespace: None,
            name: None,
        }
    }

    #[test]
    fn a_right_that_the_operator_lacks_breaks_the_chain() {
        let lacks = Seen::Known(vec![(reads_secrets(), Ok(false))]);
        let text = "the operator's ServiceAccount cognito-password-operator/cognito-password-operator may not get secrets -A";
        assert_eq!(asked(lacks), Some((Level::Failed, text.to_owned())));
        assert_eq!(asked(Seen::Known(vec![(reads_secrets(), Ok(true))])), None);
    }

    #[test]
    fn a_right_in_another_namespace_breaks_no_chain_here() {
        let of = |namespace: &str| Right {
            namespace: Some(namespace.to_owned()),
            ..reads_secrets()
        };
        assert_eq!(asked(Seen::Known(vec![(of("team-b"), Ok(false))])), None);
        assert!(asked(Seen::Known(vec![(of("team-a"), Ok(false))])).is_some());
    }

    #[test]
    fn rights_that_nobody_tells_are_a_question() {
        let level = |rights| asked(rights).map(|(level, _)| level);
        let unknown = Seen::Known(vec![(reads_secrets(), Err("gone".to_owned()))]);
        assert_eq!(level(unknown), Some(Level::Unknown));
        assert_eq!(level(Seen::Denied(reads_secrets())), Some(Level::Unknown));
    }
}
