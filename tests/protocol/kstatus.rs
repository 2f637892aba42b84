//! This project's promises about conditions, for readers by the rules of kstatus. kstatus itself runs in the
//! end-to-end tests: `tests/e2e/kstatus.rs`.

use cognito_password_operator::api::{Class, Condition, ConditionStatus, ConditionType, Reason, Status};

/// The status of the Ready condition, if there is one.
pub fn ready(status: &Status) -> Option<ConditionStatus> {
    status.condition(ConditionType::Ready).map(|c| c.status)
}

/// The design's table of classes, and the rules of observedGeneration.
pub fn kstatus(before: &Status, after: &Status) -> Result<(), String> {
    let shown = || format!("{:?}", after.conditions);
    let is = |type_| {
        after
            .condition(type_)
            .is_some_and(|c| c.status == ConditionStatus::True)
    };
    if is(ConditionType::Suspended) {
        return suspended(before, after);
    }
    let (reconciling, stalled) = (is(ConditionType::Reconciling), is(ConditionType::Stalled));
    let ready = after.condition(ConditionType::Ready).ok_or_else(shown)?;
    let reason = ready.known_reason().ok_or_else(shown)?;
    let (said, unknown) = (ready.status, ready.status == ConditionStatus::Unknown);
    let fits = match reason.class() {
        Class::Settled => said == ConditionStatus::True && !reconciling && !stalled,
        Class::Stalled => {
            let untold = reason == Reason::NotConfirmed;
            (unknown, said == ConditionStatus::False) == (untold, !untold)
                && !reconciling
                && stalled
        }
        Class::Waiting => said == ConditionStatus::False && reconciling != stalled,
        Class::Transient if unknown => reason == Reason::UnhandledError && reconciling && !stalled,
        Class::Transient => said == ConditionStatus::False && reconciling && !stalled,
        // A lost reply that sending the same value again cannot clear up.
        Class::Unknown if stalled => {
            reason == Reason::OutcomeUnknown && said == ConditionStatus::False && !reconciling
        }
        Class::Unknown => unknown && reconciling,
    };
    // What the last look found stays beside a verdict on something else, but not beside Ready=True.
    let is_look = |c: &&Condition| c.type_ == ConditionType::Verified.as_str();
    let contradicts =
        |c: &Condition| said == ConditionStatus::True && c.status == ConditionStatus::False;
    let is_contradicted = after.conditions.iter().filter(is_look).any(contradicts);
    let alike = (after.conditions.iter())
        .filter(|c| !is_look(c))
        .all(|c| c.observed_generation == ready.observed_generation && c.reason == ready.reason);
    if !fits || !alike || is_contradicted {
        return Err(shown());
    }
    let moved = after.observed_generation != before.observed_generation;
    let done = said == ConditionStatus::True || stalled;
    if moved && !done
        || said == ConditionStatus::True && after.observed_generation != ready.observed_generation
    {
        return Err(format!(
            "observedGeneration {:?}: {}",
            after.observed_generation,
            shown()
        ));
    }
    Ok(())
}

/// The conditions of a suspended resource: no Reconciling, so that no program waits in vain, and Stalled if
/// the resource is not Ready.
fn suspended(before: &Status, after: &Status) -> Result<(), String> {
    let condition = |type_| after.condition(type_);
    let generation = condition(ConditionType::Suspended).and_then(|c| c.observed_generation);
    let unset = ready(after).is_some_and(|ready| ready != ConditionStatus::True);
    let fits = condition(ConditionType::Ready) == before.condition(ConditionType::Ready)
        && condition(ConditionType::Reconciling).is_none()
        && condition(ConditionType::Stalled).is_some() == unset
        && after.observed_generation == generation;
    fits.then_some(()).ok_or_else(|| format!("{after:?}"))
}
