//! The version of Kubernetes, and what this version offers.

use super::facts::Kubernetes;
use crate::core::checkup::finding::{Cure, Finding, Level};

const SUBJECT: &str = "kubernetes";

/// The oldest minor version of Kubernetes 1 that the operator supports.
const OLDEST_MINOR: u32 = 32;

pub(in crate::core::checkup) fn judge(kubernetes: &Result<Kubernetes, String>) -> Finding {
    let found = match kubernetes {
        Ok(found) => found,
        Err(why) => {
            let text = format!("the API server doesn't say its version: {why}");
            return Finding::new(SUBJECT, Level::Unknown, text);
        }
    };
    let text = format!("version {}.{}", found.major, found.minor);
    // Some distributions add a plus sign to the minor version.
    let digits: String = found
        .minor
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    match (found.major.as_str(), digits.parse::<u32>()) {
        ("1", Ok(minor)) if minor < OLDEST_MINOR => Finding::new(
            SUBJECT,
            Level::Warning,
            format!("{text}; tested from 1.{OLDEST_MINOR} on, which has selectable fields"),
        )
        .cured_by(Cure::words(&format!(
            "upgrade the cluster to 1.{OLDEST_MINOR} or later"
        ))),
        ("1", Ok(_)) => {
            let offers = match found.watch_list {
                Some(true) => ", with selectable fields and WatchList",
                Some(false) => {
                    ", with selectable fields, without WatchList: the operator lists in pages"
                }
                None => ", with selectable fields",
            };
            Finding::new(SUBJECT, Level::Well, format!("{text}{offers}"))
        }
        _ => Finding::new(
            SUBJECT,
            Level::Warning,
            format!("{text} is not a known version"),
        ),
    }
}
