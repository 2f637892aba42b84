//! Judges the facts about an installation. Each file judges the facts of some subjects; [`facts`] has the facts.

pub(super) mod crds;
pub mod facts;
pub(super) mod kubernetes;
pub(in crate::core) mod leader;
mod objects;
pub(super) mod operator;
mod pages;
mod restore;
pub(in crate::core) mod rights;

use super::finding::Finding;
use facts::{Facts, OperatorFacts, Pages};

/// The findings, in a fixed order.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![kubernetes::judge(&facts.kubernetes)];
    findings.extend(crds::judge(&facts.crds, &facts.program));
    if let Some(installed) = &facts.installed {
        findings.extend(operator::found(installed, facts.operators.len()));
    }
    let several = facts.operators.len() > 1;
    for operator in &facts.operators {
        findings.extend(of_operator(operator, facts, several));
    }
    let admits_all = facts
        .operators
        .iter()
        .filter_map(|it| it.deployed.as_ref())
        .any(|it| it.installed.settings.ungranted_allow);
    if let Some(grants) = &facts.grants {
        findings.extend(objects::grants(grants, admits_all));
    }
    findings.extend(facts.resources.as_ref().map(objects::resources));
    findings
}

/// The findings on one operator. Where there are several, each text begins with the Deployment's name.
fn of_operator(operator: &OperatorFacts, facts: &Facts, several: bool) -> Vec<Finding> {
    let deployed = operator.deployed.as_ref();
    let pages = operator.pages.as_ref();
    let stopped =
        deployed.and_then(|it| operator::stopped(&it.installed, facts.installed.as_ref()));
    if let Some(finding) = stopped {
        return vec![finding];
    }
    let mut findings = Vec::new();
    if let Some(deployed) = deployed {
        let asked = pages.map_or(&[][..], Pages::asked);
        findings.extend(operator::judge(deployed, asked, &facts.program));
        // Through the API server, the pages are missing for the same reason, and say so.
        if let Some(Pages::At(_)) = pages {
            findings.extend(operator::unseen_pods(deployed));
        }
    }
    findings.extend(leader::judge(operator));
    findings.extend(rights::judge(&operator.rights, deployed));
    findings.extend(pages.into_iter().flat_map(pages::network));
    findings.extend(pages::identity(pages, facts.resources.as_ref()));
    findings.extend(deployed.map(pages::metrics));
    if let (true, Some(deployed)) = (several, deployed) {
        let name = operator::name(&deployed.installed);
        for finding in &mut findings {
            if !finding.text.contains(&name) {
                finding.text = format!("{name}: {}", finding.text);
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests;
