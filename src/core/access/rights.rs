//! Rights on Secrets that the operator has and doesn't need.
//!
//! An operator for some namespaces needs the Secrets of these namespaces, and one Secret by name in its own
//! namespace. A kustomization with a wrong `namespace:` puts the Role for a watched namespace into the
//! operator's own. The operator then reads every Secret there, and nothing fails. So the operator asks the
//! API server for what it may do, and reports what is too much.

/// Where a right holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In every namespace.
    AllNamespaces,
    /// In the operator's own namespace, which isn't watched.
    OwnNamespace,
}

impl Place {
    /// The label of the metric.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AllNamespaces => "all_namespaces",
            Self::OwnNamespace => "own_namespace",
        }
    }
}

/// What reveals the values of all Secrets of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// One Secret after the other, whatever its name.
    Get,
    /// All at once.
    List,
    /// Each, when it changes.
    Watch,
}

impl Verb {
    const ALL: [Self; 3] = [Self::Get, Self::List, Self::Watch];

    /// As RBAC spells it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

/// May the operator do this with all Secrets there?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Where.
    pub place: Place,
    /// What.
    pub verb: Verb,
}

/// What the API server says of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The operator may.
    Yes,
    /// The operator may not.
    No,
    /// The API server couldn't tell, or didn't answer.
    Unknown,
}

/// What came of the questions about one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The operator may do this, and needs none of it.
    Unneeded(Vec<Verb>),
    /// The operator has no right there that it doesn't need.
    Fit,
    /// No answer was yes, and not every answer was no.
    Unknown,
}

/// A place and what is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What is known.
    pub verdict: Verdict,
}

/// What to ask for an operator that watches these namespaces: nothing where it watches all, because it needs
/// every right then.
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

/// What the answers say of each place, in the order of the questions.
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
    /// Adds what another answer about the same place says.
    fn join(&mut self, other: Self) {
        match (self, other) {
            (Self::Unneeded(verbs), Self::Unneeded(more)) => verbs.extend(more),
            (Self::Unneeded(_) | Self::Unknown, Self::Fit | Self::Unknown) => {}
            (verdict, other) => *verdict = other,
        }
    }
}

/// What a person should hear of. A right in all namespaces holds in the operator's own too, and is reported
/// once.
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

/// The command by which a person sees the same, as an administrator. Without a username that is safe in a
/// shell, `USER` stands in its place.
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
    fn only_what_is_not_needed_is_asked_for(#[case] watched: &[&str], #[case] places: &[Place]) {
        let watched: Vec<_> = watched.iter().map(|name| (*name).to_owned()).collect();
        let mut wanted = Vec::new();
        for place in places.iter().copied() {
            for verb in [Get, List, Watch] {
                wanted.push(Question { place, verb });
            }
        }
        assert_eq!(questions(&watched, "home"), wanted);
    }

    /// The answers for get, list and watch.
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
    // What is known to be too much is said, whatever else isn't known.
    #[case([Unknown, Yes, Unknown], Verdict::Unneeded(vec![List]))]
    #[case([Yes, Unknown, No], Verdict::Unneeded(vec![Get]))]
    #[case([No, Unknown, Yes], Verdict::Unneeded(vec![Watch]))]
    // And what isn't known is never called fit.
    #[case([Unknown, No, No], Verdict::Unknown)]
    #[case([No, No, Unknown], Verdict::Unknown)]
    #[case([No, Unknown, No], Verdict::Unknown)]
    #[case([Unknown, Unknown, Unknown], Verdict::Unknown)]
    fn one_yes_is_too_much_and_only_three_nos_are_fit(
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
    fn what_holds_everywhere_is_reported_once(
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
