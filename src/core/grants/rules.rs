//! The rules that an installed operator follows beside the grants, from its settings.

use super::book::Rules;
use crate::core::{
    access::grant::UngrantedPolicy,
    checkup::{
        installed::{Installed, Settings},
        seen::Seen,
    },
};

impl From<&Settings> for Rules {
    fn from(settings: &Settings) -> Self {
        Self {
            ungranted: if settings.ungranted_allow {
                UngrantedPolicy::Allow
            } else {
                UngrantedPolicy::Deny
            },
            watched: settings.watch_namespaces.iter().cloned().collect(),
            regions: settings.regions,
        }
    }
}

/// The rules that hold, and what that assumes. Of several operators, the one that watches `namespace` by name
/// counts, and otherwise the first that watches all namespaces.
#[must_use]
pub fn rules_of(installed: &Seen<Vec<Installed>>, namespace: Option<&str>) -> (Rules, Vec<String>) {
    let defaults =
        "so the answer is for an operator that watches all namespaces, with --ungranted=deny";
    let operators = match (installed.known(), installed.why_not()) {
        (Some(operators), _) => operators,
        (None, why) => {
            let why = why.unwrap_or_default();
            return (
                Rules::default(),
                vec![format!(
                    "the operator's settings are unknown: {why}, {defaults}"
                )],
            );
        }
    };
    let names = |it: &&Installed| {
        let watched = &it.settings.watch_namespaces;
        namespace.is_some_and(|namespace| watched.iter().any(|it| it == namespace))
    };
    let watches_all = |it: &&Installed| it.settings.watch_namespaces.is_empty();
    let chosen = operators
        .iter()
        .find(names)
        .or_else(|| operators.iter().find(watches_all))
        .or_else(|| operators.first());
    let Some(chosen) = chosen else {
        return (
            Rules::default(),
            vec![format!(
                "no operator is installed that you may see, {defaults}"
            )],
        );
    };
    let rules = Rules::from(&chosen.settings);
    let mut notes = Vec::new();
    if operators
        .iter()
        .any(|it| Rules::from(&it.settings) != rules)
    {
        notes.push(format!(
            "operators with different settings are installed; the answer is for {}/{}",
            chosen.namespace, chosen.name
        ));
    }
    (rules, notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn operator(name: &str, args: &[&str]) -> Installed {
        let args: Vec<_> = args.iter().map(|&it| it.to_owned()).collect();
        Installed {
            namespace: "home".to_owned(),
            name: name.to_owned(),
            image: "image".to_owned(),
            version: None,
            selector: "app.kubernetes.io/name=cognito-password-operator".to_owned(),
            service_account: "default".to_owned(),
            desired: 1,
            ready: 1,
            settings: Settings::of_container(&args, &BTreeMap::new()),
            ..Installed::default()
        }
    }

    #[test]
    fn the_operator_that_watches_the_namespace_counts() {
        let all = operator("all", &["run", "--ungranted=allow"]);
        let some = operator("some", &["run", "--watch-namespaces=team-a"]);
        let installed = Seen::Known(vec![all, some]);
        let (rules, notes) = rules_of(&installed, Some("team-a"));
        assert!(rules.watched.contains("team-a"));
        assert!(notes[0].ends_with("home/some"), "{notes:?}");
        let (rules, notes) = rules_of(&installed, Some("team-b"));
        assert_eq!(
            (rules.watched.len(), rules.ungranted),
            (0, UngrantedPolicy::Allow)
        );
        assert!(notes[0].ends_with("home/all"), "{notes:?}");
    }

    #[test]
    fn without_settings_the_answer_says_what_it_assumes() {
        for installed in [
            Seen::Known(Vec::new()),
            Seen::Failed("no answer".to_owned()),
        ] {
            let (rules, notes) = rules_of(&installed, None);
            assert_eq!(rules, Rules::default());
            assert!(notes[0].contains("--ungranted=deny"), "{notes:?}");
        }
        let one = Seen::Known(vec![operator("one", &["run"])]);
        assert_eq!(rules_of(&one, None), (Rules::default(), Vec::new()));
    }
}
