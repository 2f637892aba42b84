//! Suspending and resuming resources.

use super::observed::ObservedResource;
use crate::core::text::is_unseen;

/// The most characters of a reason.
pub const BECAUSE_MAX: usize = 256;

/// What is to become of a suspension.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Suspend. The text says why; None leaves the present text of a suspended resource.
    Suspend(Option<String>),
    /// Resume, and forget why the resource was suspended.
    Resume,
}

/// What must be written for a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// `spec.suspend`
    pub suspend: bool,
    /// The annotation `suspended-because`; None takes the annotation away.
    pub because: Option<String>,
}

impl Change {
    /// What must be written to this resource. None if the resource is as wanted already.
    #[must_use]
    pub fn write(&self, resource: &ObservedResource) -> Option<Write> {
        let (suspend, because) = match self {
            Self::Suspend(Some(because)) => (true, Some(because.clone())),
            // The text of an earlier suspension isn't this one's.
            Self::Suspend(None) => {
                let because = resource.suspended_because.clone();
                (true, because.filter(|_| resource.suspend))
            }
            Self::Resume => (false, None),
        };
        let is_as_wanted = resource.suspend == suspend && resource.suspended_because == because;
        (!is_as_wanted).then_some(Write { suspend, because })
    }
}

/// Checks why a resource is to be suspended.
///
/// # Errors
/// What is wrong with the text.
pub fn because(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        Err("some text is needed, such as INC-4711".to_owned())
    } else if text.chars().any(is_unseen) {
        Err("the text must be one line, without invisible characters".to_owned())
    } else if text.chars().count() > BECAUSE_MAX {
        Err(format!("the text has more than {BECAUSE_MAX} characters"))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::observed::tests::resource, *};
    use crate::api::SUSPENDED_BECAUSE;
    use rstest::rstest;
    use serde_json::json;

    fn write(suspend: bool, because: Option<&str>) -> Write {
        let because = because.map(str::to_owned);
        Write { suspend, because }
    }

    fn suspended_by(because: Option<&str>) -> Change {
        Change::Suspend(because.map(str::to_owned))
    }

    #[rstest]
    #[case(false, None, &suspended_by(None), Some(write(true, None)))]
    #[case(false, None, &suspended_by(Some("new")), Some(write(true, Some("new"))))]
    #[case(false, Some("stale"), &suspended_by(None), Some(write(true, None)))]
    #[case(true, Some("old"), &suspended_by(None), None)]
    #[case(true, Some("old"), &suspended_by(Some("old")), None)]
    #[case(true, Some("old"), &suspended_by(Some("new")), Some(write(true, Some("new"))))]
    #[case(true, Some("old"), &Change::Resume, Some(write(false, None)))]
    #[case(false, Some("stale"), &Change::Resume, Some(write(false, None)))]
    #[case(false, None, &Change::Resume, None)]
    fn only_what_differs_is_written(
        #[case] suspend: bool,
        #[case] because: Option<&str>,
        #[case] change: &Change,
        #[case] wanted: Option<Write>,
    ) {
        let resource = resource(|it| {
            it["spec"]["suspend"] = json!(suspend);
            if let Some(because) = because {
                it["metadata"]["annotations"][SUSPENDED_BECAUSE] = json!(because);
            }
        });
        assert_eq!(change.write(&resource), wanted);
    }

    #[rstest]
    #[case(" INC-4711 ", Ok("INC-4711"))]
    #[case("  ", Err("some text is needed, such as INC-4711"))]
    #[case("a\nb", Err("the text must be one line, without invisible characters"))]
    #[case(
        "a\u{202e}b",
        Err("the text must be one line, without invisible characters")
    )]
    fn a_reason_is_one_line_of_visible_text(
        #[case] text: &str,
        #[case] wanted: Result<&str, &str>,
    ) {
        let wanted = wanted.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(because(text), wanted);
        assert!(because(&"a".repeat(BECAUSE_MAX + 1)).is_err());
    }
}
