//! Short stories: failures that happened once, or that are the most likely to happen.

use super::{
    cognito::{Fault, WEAK, text},
    kstatus::ready,
    world::{Event, Event::*, World},
};
use cognito_password_operator::api::{ConditionStatus, Reason};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;

/// A finished story, in which no promise was broken.
pub struct End {
    world: World,
    story: String,
}

pub fn tell(history: Option<usize>, events: &[Event]) -> End {
    let mut world = World::new(history, true);
    world.live(events);
    let story = world.trace();
    assert_eq!(world.watch.any_broken(), None, "{story}");
    End { world, story }
}

impl End {
    pub fn ready_with(self, value: u8) -> Self {
        let status = self.world.cluster.resource.status();
        assert_eq!(
            ready(&status),
            Some(ConditionStatus::True),
            "{}",
            self.story
        );
        assert_eq!(self.world.cognito.current.0, text(value), "{}", self.story);
        self
    }

    pub fn says(self, reason: Reason) -> Self {
        let status = self.world.cluster.resource.status();
        assert_eq!(status.ready_reason(), Some(reason), "{}", self.story);
        self
    }

    pub fn calls(self, calls: u32) -> Self {
        assert_eq!(self.world.watch.calls, calls, "{}", self.story);
        self
    }

    pub fn has_answered_the_request(self) {
        let resource = &self.world.cluster.resource;
        let answered = resource.status().last_handled_reconcile_at;
        assert_eq!(answered, resource.requested_at, "{}", self.story);
    }

    /// Checks the duration in seconds, without the final minute of silence.
    pub fn within(self, seconds: i64) -> Self {
        let start = Timestamp::from_second(1_800_000_000).expect("a time");
        let took = self.world.now.duration_since(start) - SignedDuration::from_secs(60);
        assert!(
            took <= SignedDuration::from_secs(seconds),
            "{took:?}{}",
            self.story
        );
        self
    }
}

#[test]
fn a_lost_reply_under_history_policy_still_settles() {
    let end = tell(Some(24), &[Fault(Fault::LostAfter), Run(0)]);
    end.ready_with(0)
        .says(Reason::AppliedAfterLostReply)
        .calls(2);
}

#[test]
fn a_conclusion_that_was_written_but_never_acknowledged_is_not_doubted() {
    for history in [None, Some(24)] {
        let events = [Step(0), Step(0), Step(0), LoseReply, Step(0)];
        tell(history, &events).ready_with(0).calls(1);
    }
}

#[test]
fn an_attempt_that_was_written_but_never_acknowledged_is_withdrawn() {
    tell(Some(24), &[LoseReply, Run(0)]).ready_with(0).calls(1);
    let events = [LoseReply, Step(0), Step(0), Crash(0)];
    tell(Some(24), &events).ready_with(0).calls(1);
}

#[test]
fn a_reply_that_comes_after_somebody_else_has_set_the_same_value_changes_nothing() {
    for history in [None, Some(24)] {
        let events = [Step(1), Step(1), Step(1), Run(0), Run(1)];
        tell(history, &events).ready_with(0).calls(2);
    }
}

#[test]
fn a_reply_that_comes_while_somebody_else_sets_the_same_value_keeps_rule_h() {
    let events = [
        Step(1),
        Step(1),
        Step(1), // applied, not yet concluded
        Step(0),
        Step(0), // taken over
        Fault(Fault::LostBefore),
        Step(0),
        Run(1),
    ];
    tell(Some(24), &events).ready_with(0);
}

#[test]
fn a_lost_call_that_lands_late_never_beats_a_newer_value() {
    let events = [
        Fault(Fault::Late(20)),
        Run(0),
        Wait(6),
        Run(0),
        Put(1),
        Run(0),
    ];
    tell(None, &events).ready_with(1).within(45);
}

#[test]
fn a_lost_request_that_lands_late_never_beats_a_newer_value() {
    let events = [
        Run(0),
        Request,
        Fault(Fault::Late(20)),
        Run(0),
        Wait(6),
        Run(0),
        Request,
        Run(0),
        Put(1),
        Run(0),
    ];
    tell(None, &events).ready_with(1);
}

#[test]
fn a_second_lost_call_starts_the_quarantine_again() {
    let events = [
        Fault(Fault::LostBefore),
        Run(0),
        Wait(20),
        Fault(Fault::Late(24)),
        Run(0),
        Wait(12),
        Put(1),
        Run(0),
    ];
    tell(None, &events).ready_with(1).within(60);
}

#[test]
fn an_earlier_value_is_set_again_when_a_newer_one_may_have_been_applied() {
    for fault in [
        Fault::LostAfter,
        Fault::Error500After,
        Fault::UserNotFoundAfter,
        Fault::Late(24),
    ] {
        let events = [Run(0), Put(1), Fault(fault), Run(0), Put(0), Run(0)];
        tell(None, &events).ready_with(0).calls(3).within(35);
    }
}

#[rstest]
#[case(Fault::Throttled)]
#[case(Fault::NotSent)]
#[case(Fault::NoCredentials)]
fn a_call_that_did_nothing_leaves_no_doubt(#[case] fault: Fault) {
    for history in [None, Some(24)] {
        let events = [Run(0), Put(1), Fault(fault), Run(0), Put(0), Run(0)];
        tell(history, &events).ready_with(0).calls(2).within(1);
    }
}

#[rstest]
#[case(Fault::LostBefore)]
#[case(Fault::LostAfter)]
#[case(Fault::Denied)]
fn a_value_that_comes_back_after_an_invalid_one_is_set(#[case] fault: Fault) {
    let events = [Fault(fault), Run(0), Invalid, Run(0), Put(0), Run(0)];
    tell(None, &events).ready_with(0).within(10);
}

#[test]
fn a_refused_value_that_comes_back_after_an_invalid_one_is_reported_as_refused() {
    let events = [Put(WEAK), Run(0), Invalid, Run(0), Put(WEAK), Run(0)];
    tell(None, &events).says(Reason::InvalidPassword);
}

#[rstest]
#[case::gone(Drop)]
#[case::without_key(NoKey)]
fn a_secret_that_appears_while_the_operator_restarts_is_set_at_once(#[case] event: Event) {
    let events = [event, Run(0), Crash(0), Put(0), Run(0)];
    tell(None, &events).ready_with(0).within(1);
    let events = [
        Run(0),
        Put(1),
        Fault(Fault::LostBefore),
        Run(0),
        event,
        Run(0),
        Put(1),
        Crash(0),
    ];
    tell(None, &events).ready_with(1).within(5);
}

#[test]
fn a_value_that_changes_while_the_operator_restarts_is_set_at_once() {
    let events = [Fault(Fault::Denied), Run(0), Put(1), Crash(0), Run(0)];
    tell(None, &events).ready_with(1).within(1);
}

#[test]
fn a_restart_during_a_set_does_not_wait_for_an_earlier_values_retry_time() {
    for steps in 2..=3 {
        let mut events = vec![Fault(Fault::Denied), Run(0), Put(1)];
        events.extend(std::iter::repeat_n(Step(0), 1));
        events.extend([Run(1), Put(2), Crash(0)]);
        events.extend(std::iter::repeat_n(Step(0), steps));
        events.push(Crash(0));
        tell(None, &events).ready_with(2).within(5);
    }
}

#[test]
fn a_crash_at_any_point_converges() {
    for history in [None, Some(24)] {
        for steps in 0..=4 {
            let mut events = vec![Run(0), Put(1), Touch];
            events.push(Crash(0));
            events.extend(std::iter::repeat_n(Step(0), steps));
            events.push(Crash(0));
            tell(history, &events).ready_with(1).within(5);
        }
    }
}

#[test]
fn a_reused_value_whose_reply_was_lost_is_not_inferred() {
    let events = [
        Run(0),
        Put(1),
        Run(0),
        Put(2),
        Run(0),
        Put(0),
        Fault(Fault::LostAfter),
        Run(0),
    ];
    let end = tell(Some(2), &events);
    let status = end.world.cluster.resource.status();
    assert_ne!(ready(&status), Some(ConditionStatus::True), "{}", end.story);
    let said = &status.conditions[0].message;
    assert!(said.contains("new value"), "{said}");
}

#[test]
fn a_request_for_the_synced_value_is_answered_although_the_history_refuses_it() {
    let end = tell(Some(24), &[Run(0), Request, Run(0)]);
    let end = end.says(Reason::NotConfirmed).calls(2);
    end.has_answered_the_request();
    let events = [Run(0), Request, Fault(Fault::LostBefore), Run(0)];
    let end = tell(Some(24), &events).says(Reason::NotConfirmed).calls(3);
    end.has_answered_the_request();
}

#[test]
fn a_password_that_somebody_else_set_is_overwritten_on_request() {
    let events = [Run(0), Meddle(9), Touch, Run(0), Request, Run(0)];
    let end = tell(None, &events).ready_with(0).calls(2);
    end.has_answered_the_request();
}

#[test]
fn the_history_never_confirms_a_value_that_somebody_else_overwrote() {
    for fault in [
        None,
        Some(Fault(Fault::LostBefore)),
        Some(Fault(Fault::Late(20))),
    ] {
        let mut events = vec![Run(0), Meddle(9), Request];
        events.extend(fault);
        events.extend([Run(0), Wait(60), Run(0), Crash(0), Touch, Run(0)]);
        let calls = 2 + u32::from(fault.is_some());
        let end = tell(Some(24), &events).says(Reason::NotConfirmed);
        end.calls(calls).has_answered_the_request();
        // A new value ends the doubt.
        let next = [&events[..], &[Put(1)]].concat();
        tell(Some(24), &next).ready_with(1).calls(calls + 1);
        // A value that the policy refuses changes nothing.
        let back = [&events[..], &[Put(WEAK), Run(0), Put(0), Run(0)]].concat();
        tell(Some(24), &back).says(Reason::NotConfirmed);
    }
}

#[test]
fn the_history_confirms_nothing_on_a_request_after_a_lost_reply() {
    let lost = [Fault(Fault::LostAfter), Run(0)];
    let events = [&lost[..], &[Meddle(9), Request, Run(0)]].concat();
    let end = tell(Some(24), &events).says(Reason::NotConfirmed).calls(2);
    end.has_answered_the_request();
    // The same if the next reply gets lost too.
    let events = [
        &lost[..],
        &[Meddle(9), Request, Fault(Fault::LostBefore), Run(0)],
    ]
    .concat();
    let end = tell(Some(24), &events)
        .says(Reason::OutcomeUnknown)
        .calls(3);
    end.has_answered_the_request();
    // This request came before the lost reply.
    let events = [&[Request], &lost[..]].concat();
    let end = tell(Some(24), &events).ready_with(0).calls(2);
    end.says(Reason::AppliedAfterLostReply)
        .has_answered_the_request();
}

#[test]
fn a_new_value_after_the_history_confirmed_nothing_is_set_at_once() {
    let events = [Run(0), Meddle(9), Request, Run(0), Put(1), Run(0)];
    tell(Some(24), &events).ready_with(1).calls(3).within(1);
    // But not while a lost call may still land.
    let late = [Fault(Fault::Late(20)), Run(0), Wait(6), Run(0), Put(1)];
    let events = [&[Run(0), Meddle(9), Request], &late[..]].concat();
    let end = tell(Some(24), &events).ready_with(1);
    end.calls(4).within(45);
}

#[test]
fn a_late_reply_makes_the_newer_value_be_set_again() {
    let events = [Step(1), Step(1), Step(1), Put(1), Wait(40), Run(0), Step(1)];
    tell(None, &events).ready_with(1).calls(3);
}

#[test]
fn a_restarted_process_does_not_trust_its_memory_over_another_processs_report() {
    let events = [Run(0), Invalid, Crash(0), Run(1), Put(0), Step(0)];
    tell(None, &events).ready_with(0).calls(1);
}

#[test]
fn a_secret_read_beside_a_stale_status_does_not_settle_a_newer_status() {
    let events = [
        Step(0),
        Put(1),
        Step(0),
        Step(0),
        LoseReply,
        Step(0), // settled, but the watch does not show that yet
        Step(0), // value 1 beside an open attempt at value 0
    ];
    tell(None, &events).ready_with(1).calls(2);
}

#[test]
fn a_stale_process_cannot_write_over_a_newer_record() {
    let events = [Step(1), Put(1), Run(0), Step(1), Run(1)];
    tell(None, &events).ready_with(1).calls(1);
}
