//! Judges the facts about an installation.

use super::{
    finding::{Cure, Finding, Level},
    right::Right,
};
use crate::api::{GROUP, VERSION};

/// The oldest minor version of Kubernetes 1 that the operator supports.
const OLDEST_MINOR: u32 = 32;

/// What was found out about an installation. Each error says why a fact is missing.
#[derive(Clone, PartialEq, Debug)]
pub struct Facts {
    /// The major and minor version of the API server, as the API server says them.
    pub kubernetes: Result<(String, String), String>,
    /// The plural names of the resources that the API server serves in this version of our group; empty
    /// without the CRDs.
    pub kinds: Result<Vec<String>, String>,
    /// Each needed right, and whether the caller has the right.
    pub rights: Vec<(Right, Result<bool, String>)>,
    /// The Lease. None if there is no Lease, or no election.
    pub lease: Option<Result<Option<Lease>, String>>,
    /// The answer of `/readyz`. None if the caller named no address.
    pub readyz: Option<Result<(u16, String), String>>,
    /// The answer of `/metrics`. None if the caller named no address.
    pub metrics: Option<Result<(u16, String), String>>,
}

/// Who leads, by the Lease.
#[derive(Clone, PartialEq, Debug)]
pub struct Lease {
    /// The holder; empty if the last leader released the Lease.
    pub holder: String,
    /// How long ago the holder renewed the Lease, in seconds, by the caller's clock. None without a time.
    pub renewed: Option<i64>,
    /// How long the Lease is valid after that, in seconds.
    pub duration: i64,
}

/// The findings, in a fixed order.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![kubernetes(&facts.kubernetes), crds(&facts.kinds)];
    findings.extend(rights(&facts.rights));
    findings.extend(facts.lease.as_ref().map(lease));
    findings.extend(facts.readyz.as_ref().map(readyz));
    findings.extend(facts.metrics.as_ref().map(identity));
    findings
}

fn finding(subject: &'static str, level: Level, text: String, cure: &str) -> Finding {
    Finding {
        subject,
        level,
        text,
        cure: (!cure.is_empty()).then(|| Cure::words(cure)),
    }
}

fn kubernetes(version: &Result<(String, String), String>) -> Finding {
    let (major, minor) = match version {
        Ok(version) => version,
        Err(why) => {
            let text = format!("the API server doesn't say its version: {why}");
            return finding("kubernetes", Level::Unknown, text, "");
        }
    };
    // Some distributions add a plus sign to the minor version.
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let text = format!("version {major}.{minor}");
    match (major.as_str(), digits.parse::<u32>()) {
        ("1", Ok(minor)) if minor < OLDEST_MINOR => finding(
            "kubernetes",
            Level::Warning,
            format!("{text}; tested from 1.{OLDEST_MINOR} on"),
            &format!("upgrade the cluster to 1.{OLDEST_MINOR} or later"),
        ),
        ("1", Ok(_)) => finding("kubernetes", Level::Well, text, ""),
        _ => finding(
            "kubernetes",
            Level::Warning,
            format!("{text} is not a known version"),
            "",
        ),
    }
}

fn crds(kinds: &Result<Vec<String>, String>) -> Finding {
    let kinds = match kinds {
        Ok(kinds) => kinds,
        Err(why) => {
            let text = format!("the API server doesn't say what it serves: {why}");
            return finding("crds", Level::Unknown, text, "");
        }
    };
    let needed = [
        "cognitouserpasswords",
        "cognitouserpasswords/status",
        "cognitouserpoolgrants",
        "cognitouserpoolgrants/status",
    ];
    let missing: Vec<_> = needed
        .into_iter()
        .filter(|name| !kinds.iter().any(|kind| kind == name))
        .collect();
    if missing.is_empty() {
        let text = format!("{GROUP}/{VERSION} is served");
        return finding("crds", Level::Well, text, "");
    }
    finding(
        "crds",
        Level::Failed,
        format!("{GROUP}/{VERSION} lacks {}", missing.join(", ")),
        "install this version's CRDs: cognito-password-operator crd | kubectl apply -f -",
    )
}

/// One finding for all rights that the caller has, and one for each missing or unknown right.
fn rights(rights: &[(Right, Result<bool, String>)]) -> Vec<Finding> {
    let had = rights
        .iter()
        .filter(|(_, answer)| *answer == Ok(true))
        .count();
    let mut findings = Vec::new();
    for (right, answer) in rights {
        match answer {
            Ok(true) => {}
            Ok(false) => findings.push(finding(
                "rights",
                Level::Failed,
                format!("may not {right}"),
                "compare the Roles and bindings of the ServiceAccount with those of the chart or of deploy/",
            )),
            Err(why) => findings.push(finding(
                "rights",
                Level::Unknown,
                format!("{right}: {why}"),
                "",
            )),
        }
    }
    if findings.is_empty() {
        let text = format!("has all {had} needed rights");
        findings.push(finding("rights", Level::Well, text, ""));
    }
    findings
}

fn lease(lease: &Result<Option<Lease>, String>) -> Finding {
    let no_leader = "read the log of the operator's pods; /readyz names what a pod lacks";
    match lease {
        Err(why) => {
            let text = format!("the Lease can't be read: {why}");
            finding("leader", Level::Unknown, text, "")
        }
        Ok(None) => {
            let text = "there is no Lease: no pod has led yet".to_owned();
            finding("leader", Level::Failed, text, no_leader)
        }
        Ok(Some(Lease { holder, .. })) if holder.is_empty() => {
            let text = "nobody holds the Lease".to_owned();
            finding("leader", Level::Failed, text, no_leader)
        }
        Ok(Some(Lease {
            holder,
            renewed,
            duration,
        })) => match renewed {
            Some(ago) if ago <= duration => {
                let text = format!(
                    "{holder} leads, and renewed the Lease {} s ago",
                    ago.max(&0)
                );
                finding("leader", Level::Well, text, "")
            }
            Some(ago) => finding(
                "leader",
                Level::Failed,
                format!(
                    "{holder} held the Lease and renewed it last {ago} s ago, which is longer than the {duration} s for which a renewal counts"
                ),
                no_leader,
            ),
            None => {
                let text = format!("{holder} holds the Lease, which doesn't say since when");
                finding("leader", Level::Warning, text, "")
            }
        },
    }
}

fn readyz(answer: &Result<(u16, String), String>) -> Finding {
    match answer {
        Ok((200, _)) => finding("operator", Level::Well, "/readyz answers ok".to_owned(), ""),
        Ok((status, body)) => {
            let lines = body.trim().replace('\n', "; ");
            let text = format!("/readyz answers {status}: {lines}");
            finding(
                "operator",
                Level::Failed,
                text,
                "mend what /readyz names; no restart is needed",
            )
        }
        Err(why) => finding(
            "operator",
            Level::Failed,
            format!("/readyz doesn't answer: {why}"),
            "kubectl get pods -l app.kubernetes.io/name=cognito-password-operator; a NetworkPolicy may keep this caller out",
        ),
    }
}

/// Whether resources wait for AWS credentials, by the operator's own count. Nobody but the operator can try its
/// credentials.
fn identity(metrics: &Result<(u16, String), String>) -> Finding {
    let without = |why: &str| {
        let text = format!("/metrics doesn't say whether AWS credentials work: {why}");
        finding("identity", Level::Unknown, text, "")
    };
    let text = match metrics {
        Ok((200, text)) => text,
        Ok((status, _)) => return without(&format!("the answer is {status}")),
        Err(why) => return without(why),
    };
    let waiting = text
        .lines()
        .find_map(|line| line.strip_prefix(WITHOUT_CREDENTIALS));
    match waiting.and_then(|count| count.trim().parse::<u64>().ok()) {
        None => without("the count of resources is missing"),
        Some(0) => {
            let text = "no resource waits for AWS credentials".to_owned();
            finding("identity", Level::Well, text, "")
        }
        Some(count) => finding(
            "identity",
            Level::Failed,
            format!(
                "{count} resources wait because the operator, or the role of a grant, has no AWS credentials that work"
            ),
            "kubectl get cupg -o wide, and kubectl get cup -A -o wide: the messages have AWS's words; docs/iam.md",
        ),
    }
}

/// The sample of resources that wait for credentials.
const WITHOUT_CREDENTIALS: &str =
    "cognito_password_operator_resources{reason=\"InvalidCredentials\"}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::checkup::right::{Installation, needed};

    /// The page of an operator with this number of resources without credentials.
    fn metrics(waiting: u64) -> String {
        format!("# TYPE x gauge\n{WITHOUT_CREDENTIALS} {waiting}\n# EOF\n")
    }

    /// An installation in which all is well.
    fn well() -> Facts {
        let installation = Installation {
            namespace: "home".to_owned(),
            key_secret: "keys",
            watched: Vec::new(),
            lease: Some("lease".to_owned()),
        };
        let rights = needed(&installation);
        let kinds = [
            "cognitouserpasswords",
            "cognitouserpasswords/status",
            "cognitouserpoolgrants",
            "cognitouserpoolgrants/status",
        ];
        Facts {
            kubernetes: Ok(("1".to_owned(), "33".to_owned())),
            kinds: Ok(kinds.map(str::to_owned).into()),
            rights: rights.into_iter().map(|right| (right, Ok(true))).collect(),
            lease: Some(Ok(Some(Lease {
                holder: "pod-a".to_owned(),
                renewed: Some(2),
                duration: 15,
            }))),
            readyz: Some(Ok((200, "ok".to_owned()))),
            metrics: Some(Ok((200, metrics(0)))),
        }
    }

    /// Brings one fault into the facts.
    type Change = Box<dyn FnOnce(&mut Facts)>;

    fn levels(facts: &Facts) -> Vec<(&'static str, Level)> {
        let findings = judge(facts);
        findings.iter().map(|it| (it.subject, it.level)).collect()
    }

    fn worst(change: impl FnOnce(&mut Facts)) -> (&'static str, Level, String) {
        let mut facts = well();
        change(&mut facts);
        let worst = judge(&facts).into_iter().max_by_key(|it| it.level);
        let worst = worst.expect("there are findings");
        (worst.subject, worst.level, worst.text)
    }

    #[test]
    fn a_good_installation_has_one_good_finding_for_each_subject() {
        let subjects = [
            "kubernetes",
            "crds",
            "rights",
            "leader",
            "operator",
            "identity",
        ];
        assert_eq!(levels(&well()), subjects.map(|it| (it, Level::Well)));
    }

    #[test]
    fn without_election_and_address_there_is_no_finding_on_them() {
        let mut facts = well();
        (facts.lease, facts.readyz, facts.metrics) = (None, None, None);
        let subjects = ["kubernetes", "crds", "rights"];
        assert_eq!(levels(&facts), subjects.map(|it| (it, Level::Well)));
    }

    #[test]
    fn each_fault_is_found_and_named() {
        let why = || "it is down".to_owned();
        let lease = |holder: &str, renewed| {
            Some(Ok(Some(Lease {
                holder: holder.to_owned(),
                renewed,
                duration: 15,
            })))
        };
        let minor = |minor: &'static str| -> Change {
            Box::new(move |it| it.kubernetes = Ok(("1".to_owned(), minor.to_owned())))
        };
        let cases: Vec<(Change, &str, Level, &str)> = vec![
            (minor("31"), "kubernetes", Level::Warning, "1.31"),
            (minor("31+"), "kubernetes", Level::Warning, "1.31+"),
            (minor(""), "kubernetes", Level::Warning, "not a known"),
            (
                Box::new(move |it| it.kubernetes = Err(why())),
                "kubernetes",
                Level::Unknown,
                "it is down",
            ),
            (
                Box::new(|it| it.kinds = Ok(vec!["cognitouserpasswords".to_owned()])),
                "crds",
                Level::Failed,
                "cognitouserpoolgrants",
            ),
            (
                Box::new(move |it| it.kinds = Err(why())),
                "crds",
                Level::Unknown,
                "it is down",
            ),
            (
                Box::new(|it| it.rights[4].1 = Ok(false)),
                "rights",
                Level::Failed,
                "may not get secrets -A",
            ),
            (
                Box::new(move |it| it.rights[4].1 = Err(why())),
                "rights",
                Level::Unknown,
                "get secrets -A: it is down",
            ),
            (
                Box::new(|it| it.lease = Some(Ok(None))),
                "leader",
                Level::Failed,
                "no Lease",
            ),
            (
                Box::new(move |it| it.lease = lease("", Some(1))),
                "leader",
                Level::Failed,
                "nobody",
            ),
            (
                Box::new(move |it| it.lease = lease("pod-a", Some(16))),
                "leader",
                Level::Failed,
                "16 s ago",
            ),
            (
                Box::new(move |it| it.lease = lease("pod-a", None)),
                "leader",
                Level::Warning,
                "pod-a",
            ),
            (
                Box::new(move |it| it.lease = Some(Err(why()))),
                "leader",
                Level::Unknown,
                "it is down",
            ),
            (
                Box::new(|it| it.readyz = Some(Ok((503, "lease: a\nkeys: b\n".to_owned())))),
                "operator",
                Level::Failed,
                "503: lease: a; keys: b",
            ),
            (
                Box::new(move |it| it.readyz = Some(Err(why()))),
                "operator",
                Level::Failed,
                "it is down",
            ),
        ];
        assert_found(cases);
    }

    #[test]
    fn missing_credentials_are_found_by_the_metrics() {
        assert_found(vec![
            (
                Box::new(|it| it.metrics = Some(Ok((200, metrics(3))))),
                "identity",
                Level::Failed,
                "3 resources wait",
            ),
            (
                Box::new(|it| it.metrics = Some(Ok((200, String::new())))),
                "identity",
                Level::Unknown,
                "the count of resources is missing",
            ),
            (
                Box::new(|it| it.metrics = Some(Ok((503, String::new())))),
                "identity",
                Level::Unknown,
                "the answer is 503",
            ),
            (
                Box::new(|it| it.metrics = Some(Err("it is down".to_owned()))),
                "identity",
                Level::Unknown,
                "it is down",
            ),
        ]);
    }

    fn assert_found(cases: Vec<(Change, &str, Level, &str)>) {
        for (change, subject, level, words) in cases {
            let (found, its, text) = worst(change);
            assert_eq!((found, its), (subject, level), "{words}: {text}");
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_plus_sign_of_a_distribution_does_no_harm() {
        let mut facts = well();
        facts.kubernetes = Ok(("1".to_owned(), "32+".to_owned()));
        assert_eq!(levels(&facts)[0], ("kubernetes", Level::Well));
    }
}
