//! Rights on Secrets that the operator has but does not need.
//!
//! An operator that watches some namespaces needs the Secrets of the watched namespaces, and one Secret by
//! name in the operator's own namespace. A kustomization with a wrong `namespace:` puts the Role for a
//! watched namespace into the operator's own namespace. The operator may then read every Secret there, and
//! nothing fails. So the operator asks the API server which rights the operator has, and reports unneeded
//! rights.

/// The place in which a right holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Every namespace.
    AllNamespaces,
    /// The operator's own namespace, if the operator does not watch that namespace.
    OwnNamespace,
}

impl Place {
    /// The value of the metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AllNamespaces => "all_namespaces",
            Self::OwnNamespace => "own_namespace",
        }
    }
}

/// An RBAC verb that reveals the values of all Secrets of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Reads any one Secret by name.
    Get,
    /// Reads all Secrets at once.
    List,
    /// Reads each Secret whenever the Secret changes.
    Watch,
}

impl Verb {
    const ALL: [Self; 3] = [Self::Get, Self::List, Self::Watch];

    /// The verb as RBAC spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

/// A question to the API server: may the operator use this verb on all Secrets of this place?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// The place.
    pub place: Place,
    /// The verb.
    pub verb: Verb,
}

/// The API server's answer to a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The operator may.
    Yes,
    /// The operator may not.
    No,
    /// The API server could not decide, or did not answer.
    Unknown,
}

/// The conclusion from all answers about one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The operator has these rights and needs none of them.
    Unneeded(Vec<Verb>),
    /// The operator has no unneeded right in the place.
    Fit,
    /// No answer was yes, and at least one answer was unknown.
    Unknown,
}

/// A place and the verdict on the place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The place.
    pub place: Place,
    /// The conclusion from the answers.
    pub verdict: Verdict,
}

/// The questions for an operator that watches these namespaces. `own` is the operator's namespace. There
/// are no questions if the operator watches all namespaces (`watched` is empty): then the operator needs
/// every right.
#[must_use]
pub fn questions(watched: &[String], own: &str) -> Vec<Question> {
    let mut places = Vec::new();
    if !watched.is_empty() {
        places.push(Place::AllNamespaces);
        if !watched.iter().any(|namespace| namespace == own) {
            places.push(Place::OwnNamespace);
        }
    }
    let of = |place| Verb::ALL.map(|verb| Question { place, verb });
    places.into_iter().flat_map(of).collect()
}

/// The finding for each place, in the order in which the places first occur.
#[must_use]
pub fn judge(answers: &[(Question, Answer)]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (question, answer) in answers {
        let verdict = match answer {
            Answer::Yes => Verdict::Unneeded(vec![question.verb]),
            Answer::No => Verdict::Fit,
            Answer::Unknown => Verdict::Unknown,
        };
        match findings
            .iter_mut()
            .find(|finding| finding.place == question.place)
        {
            Some(finding) => finding.verdict.join(verdict),
            None => findings.push(Finding {
                place: question.place,
                verdict,
            }),
        }
    }
    findings
}

impl Verdict {
    /// Merges the verdict from another answer about the same place.
    fn join(&mut self, other: Self) {
        match (self, other) {
            (Self::Unneeded(verbs), Self::Unneeded(more)) => verbs.extend(more),
            (Self::Unneeded(_) | Self::Unknown, Self::Fit | Self::Unknown) => {}
            (verdict, other) => *verdict = other,
        }
    }
}

/// The unneeded rights to report. A right in all namespaces also holds in the operator's own namespace, and
/// is reported only once.
#[must_use]
pub fn to_report(findings: &[Finding]) -> Vec<(Place, &[Verb])> {
    let mut reports: Vec<(Place, &[Verb])> = Vec::new();
    for finding in findings {
        if let Verdict::Unneeded(verbs) = &finding.verdict {
            let is_reported = |verb| reports.iter().any(|(_, verbs)| verbs.contains(verb));
            if !verbs.iter().all(is_reported) {
                reports.push((finding.place, verbs));
            }
        }
    }
    reports
}

/// The `kubectl` command with which an administrator can check the right. If `username` is missing or not
/// safe in a shell, the command has the placeholder `USER`.
#[must_use]
pub fn command(place: Place, own: &str, verb: Verb, username: Option<&str>) -> String {
    let there = match place {
        Place::AllNamespaces => "--all-namespaces".to_owned(),
        Place::OwnNamespace => format!("-n {own}"),
    };
    let is_plain = |name: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
        !name.is_empty() && name.chars().all(plain)
    };
    let username = username.filter(is_plain).unwrap_or("USER");
    let verb = verb.word();
    format!("kubectl auth can-i {verb} secrets {there} --as={username}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Answer::{No, Unknown, Yes};
    use Place::{AllNamespaces, OwnNamespace};
    use Verb::{Get, List, Watch};
    use rstest::rstest;

    #[rstest]
    #[case::all(&[], &[])]
    #[case::others(&["team-a", "team-b"], &[AllNamespaces, OwnNamespace])]
    #[case::its_own_too(&["team-a", "home"], &[AllNamespaces])]
    #[case::its_own_alone(&["home"], &[AllNamespaces])]
    #[case::a_longer_name(&["home-2"], &[AllNamespaces, OwnNamespace])]
    fn only_rights_that_are_not_needed_are_asked_for(
        #[case] watched: &[&str],
        #[case] places: &[Place],
    ) {
        let watched: Vec<_> = watched.iter().map(|name| (*name).to_owned()).collect();
        let mut wanted = Vec::new();
        for place in places.iter().copied() {
            for verb in [Get, List, Watch] {
                wanted.push(Question { place, verb });
            }
        }
        assert_eq!(questions(&watched, "home"), wanted);
    }

    /// The answers about one place for get, list and watch.
    fn answers(place: Place, answers: [Answer; 3]) -> Vec<(Question, Answer)> {
        let verbs = [Get, List, Watch];
        let asked = verbs.map(|verb| Question { place, verb });
        asked.into_iter().zip(answers).collect()
    }

    #[rstest]
    #[case([No, No, No], Verdict::Fit)]
    #[case([Yes, Yes, Yes], Verdict::Unneeded(vec![Get, List, Watch]))]
    #[case([Yes, No, No], Verdict::Unneeded(vec![Get]))]
    #[case([No, Yes, No], Verdict::Unneeded(vec![List]))]
    #[case([No, No, Yes], Verdict::Unneeded(vec![Watch]))]
    // A yes is reported, whatever other answers are unknown.
    #[case([Unknown, Yes, Unknown], Verdict::Unneeded(vec![List]))]
    #[case([Yes, Unknown, No], Verdict::Unneeded(vec![Get]))]
    #[case([No, Unknown, Yes], Verdict::Unneeded(vec![Watch]))]
    // An unknown answer without a yes is never `Fit`.
    #[case([Unknown, No, No], Verdict::Unknown)]
    #[case([No, No, Unknown], Verdict::Unknown)]
    #[case([No, Unknown, No], Verdict::Unknown)]
    #[case([Unknown, Unknown, Unknown], Verdict::Unknown)]
    fn one_yes_is_an_unneeded_right_and_three_noes_are_fit(
        #[case] given: [Answer; 3],
        #[case] verdict: Verdict,
    ) {
        let place = OwnNamespace;
        let wanted = vec![Finding { place, verdict }];
        assert_eq!(judge(&answers(place, given)), wanted);
    }

    #[test]
    fn each_place_is_judged_for_itself() {
        let mut given = answers(AllNamespaces, [No, No, No]);
        given.extend(answers(OwnNamespace, [Yes, Yes, No]));
        let findings = judge(&given);
        let verdicts: Vec<_> = findings
            .iter()
            .map(|finding| (finding.place, &finding.verdict))
            .collect();
        let unneeded = Verdict::Unneeded(vec![Get, List]);
        let wanted = [(AllNamespaces, &Verdict::Fit), (OwnNamespace, &unneeded)];
        assert_eq!(verdicts, wanted);
        assert!(judge(&[]).is_empty());
    }

    #[rstest]
    #[case::none([No; 3], [No; 3], &[], &[])]
    #[case::unknown([Unknown; 3], [Unknown; 3], &[], &[])]
    #[case::own([No; 3], [Yes; 3], &[], &[Get, List, Watch])]
    #[case::all([Yes; 3], [Yes; 3], &[Get, List, Watch], &[])]
    #[case::all_and_more([Yes, No, No], [Yes, Yes, No], &[Get], &[Get, List])]
    fn a_right_in_all_namespaces_is_reported_once(
        #[case] everywhere: [Answer; 3],
        #[case] own: [Answer; 3],
        #[case] of_all: &[Verb],
        #[case] of_own: &[Verb],
    ) {
        let mut given = answers(AllNamespaces, everywhere);
        given.extend(answers(OwnNamespace, own));
        let mut wanted = vec![(AllNamespaces, of_all), (OwnNamespace, of_own)];
        wanted.retain(|(_, verbs)| !verbs.is_empty());
        assert_eq!(to_report(&judge(&given)), wanted);
    }

    const ACCOUNT: &str = "system:serviceaccount:home:operator";

    #[rstest]
    #[case(
        OwnNamespace,
        Some(ACCOUNT),
        "kubectl auth can-i list secrets -n home --as=system:serviceaccount:home:operator"
    )]
    #[case(
        AllNamespaces,
        Some(ACCOUNT),
        "kubectl auth can-i list secrets --all-namespaces --as=system:serviceaccount:home:operator"
    )]
    #[case(
        OwnNamespace,
        None,
        "kubectl auth can-i list secrets -n home --as=USER"
    )]
    #[case(
        OwnNamespace,
        Some(""),
        "kubectl auth can-i list secrets -n home --as=USER"
    )]
    #[case(
        OwnNamespace,
        Some("$(id)"),
        "kubectl auth can-i list secrets -n home --as=USER"
    )]
    #[case(
        OwnNamespace,
        Some("a\nb"),
        "kubectl auth can-i list secrets -n home --as=USER"
    )]
    fn the_command_asks_the_same_and_is_safe_to_paste(
        #[case] place: Place,
        #[case] username: Option<&str>,
        #[case] wanted: &str,
    ) {
        assert_eq!(command(place, "home", List, username), wanted);
    }
}
