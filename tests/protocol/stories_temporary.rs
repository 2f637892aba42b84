//! Stories of temporary passwords: a password that the user has chosen since is never overwritten.

use super::{
    cognito::{Fault, WEAK},
    stories::{End, tell},
    world::{Event, Event::*},
};
use cognito_password_operator::api::Reason;
use rstest::rstest;

/// A temporary value 0, the given events, and then every event that must not send the value again.
fn left_alone(history: Option<usize>, events: &[Event]) -> End {
    let mut story = vec![Permanent(false), Crash(0), Crash(1)];
    story.extend(events);
    story.extend([
        UserChooses,
        Touch,
        Run(0),
        Wait(4_000),
        Run(0),
        Crash(0),
        Run(0),
    ]);
    story.extend([Suspend(true), Run(0), Suspend(false), Crash(0), Run(0)]);
    tell(history, &story)
}

#[test]
fn a_password_that_the_user_chose_is_not_overwritten() {
    left_alone(None, &[Run(0)]).ready_with(0).calls(1);
    left_alone(Some(24), &[Run(0)]).ready_with(0).calls(1);
}

#[rstest]
#[case(Fault::LostBefore)]
#[case(Fault::LostAfter)]
#[case(Fault::Late(20))]
#[case(Fault::Error500After)]
#[case(Fault::Error500Before)]
#[case(Fault::Teapot)]
fn a_lost_reply_is_not_followed_by_a_second_set(#[case] fault: Fault) {
    for history in [None, Some(24)] {
        let events = [Fault(fault), Run(0)];
        left_alone(history, &events)
            .says(Reason::OutcomeUnknown)
            .calls(1);
    }
}

#[test]
fn a_crash_is_not_followed_by_a_second_set() {
    // Planned, written ahead, sent.
    for (steps, calls) in [(2, 0), (3, 1)] {
        let mut events = vec![Step(0); steps];
        events.push(Crash(0));
        left_alone(None, &events)
            .says(Reason::OutcomeUnknown)
            .calls(calls);
    }
}

#[rstest]
#[case(Fault::Throttled)]
#[case(Fault::NotSent)]
#[case(Fault::NoCredentials)]
#[case(Fault::Denied)]
#[case(Fault::UserNotFoundBefore)]
fn a_call_that_provably_had_no_effect_is_retried(#[case] fault: Fault) {
    let events = [Permanent(false), Fault(fault), Run(0)];
    tell(None, &events).ready_with(0).calls(2);
    let again = [
        &events[..],
        &[Crash(0), Touch, Fault(Fault::Throttled), Wait(400), Run(0)],
    ];
    tell(None, &again.concat()).ready_with(0).calls(3);
}

#[test]
fn a_user_created_later_is_set_whatever_was_reported_before() {
    let no_user = Fault(Fault::UserNotFoundBefore);
    for event in [Drop, NoKey, Invalid, Suspend(true), LoseKeys] {
        let events = [Permanent(false), no_user, Run(0), event, Run(0), Wait(400)];
        let events = [&events[..], &[Suspend(false), Put(0), Run(0)]].concat();
        tell(None, &events).ready_with(0).calls(2);
    }
    let denied = [
        Permanent(false),
        no_user,
        Run(0),
        Wait(400),
        Fault(Fault::Denied),
        Run(0),
    ];
    tell(None, &denied).ready_with(0).calls(3);
}

#[test]
fn a_crash_after_a_missing_user_is_not_followed_by_another_set() {
    let events = [
        Fault(Fault::UserNotFoundBefore),
        Run(0),
        Wait(400),
        Step(0),
        Step(0),
        Step(0),
        Crash(0),
    ];
    left_alone(None, &events)
        .says(Reason::OutcomeUnknown)
        .calls(2);
}

#[test]
fn a_request_sends_a_temporary_password_again_once() {
    let lost = [
        Permanent(false),
        Fault(Fault::LostAfter),
        Run(0),
        UserChooses,
        Request,
        Run(0),
    ];
    tell(None, &lost).ready_with(0).calls(2);
    let again = [
        Permanent(false),
        Fault(Fault::LostAfter),
        Run(0),
        Request,
        Fault(Fault::LostBefore),
        Run(0),
    ];
    tell(None, &again).says(Reason::OutcomeUnknown).calls(2);
    let settled = [
        Permanent(false),
        Run(0),
        UserChooses,
        Request,
        Run(0),
        UserChooses,
        Touch,
        Run(0),
    ];
    tell(None, &settled).ready_with(0).calls(2);
}

#[rstest]
#[case(Fault::Throttled)]
#[case(Fault::Denied)]
fn a_request_whose_call_had_no_effect_is_retried(#[case] fault: Fault) {
    let lost = [
        Permanent(false),
        Fault(Fault::LostAfter),
        Run(0),
        Request,
        Fault(fault),
        Run(0),
    ];
    let end = tell(None, &lost).ready_with(0).calls(3);
    end.has_answered_the_request();
    let settled = [
        Permanent(false),
        Run(0),
        UserChooses,
        Request,
        Fault(fault),
        Run(0),
    ];
    let end = tell(None, &settled).ready_with(0).calls(3);
    end.has_answered_the_request();
}

#[test]
fn a_refused_value_does_not_make_the_next_generation_send_a_temporary_password_again() {
    let events = [
        Permanent(false),
        Put(WEAK),
        Run(0),
        Put(0),
        Run(0),
        Suspend(true),
        Suspend(false),
        Run(0),
    ];
    tell(None, &events).ready_with(0).calls(2);
}

#[test]
fn a_new_temporary_value_is_set_and_so_is_a_former_one() {
    let lost = [
        Permanent(false),
        Fault(Fault::LostAfter),
        Run(0),
        UserChooses,
        Put(1),
        Run(0),
    ];
    tell(None, &lost).ready_with(1).calls(2).within(35);
    let back = [&lost[..], &[Wait(40), Run(0), Put(0), Run(0)]].concat();
    tell(None, &back).ready_with(0).calls(3);
    let flips = [
        Permanent(false),
        Run(0),
        UserChooses,
        Permanent(true),
        Run(0),
        Permanent(false),
        Run(0),
    ];
    tell(None, &flips).ready_with(0).calls(3);
}

#[test]
fn a_value_that_was_never_applied_does_not_make_the_former_one_be_sent_again() {
    let events = [
        Run(0),
        UserChooses,
        Put(1),
        Fault(Fault::Throttled),
        Run(0),
        Put(0),
        Run(0),
    ];
    left_alone(None, &events).ready_with(0).calls(2);
    let lost = [
        Fault(Fault::LostAfter),
        Run(0),
        UserChooses,
        Wait(40),
        Put(1),
    ];
    let events = [
        &lost[..],
        &[Fault(Fault::Throttled), Run(0), Put(0), Run(0)],
    ]
    .concat();
    left_alone(None, &events)
        .says(Reason::OutcomeUnknown)
        .calls(2);
}

#[test]
fn a_value_that_was_refused_does_not_make_the_former_one_be_sent_again() {
    for lost in [None, Some(Fault(Fault::LostAfter))] {
        let mut events: Vec<_> = lost.into_iter().collect();
        events.extend([
            Run(0),
            UserChooses,
            Wait(40),
            Put(WEAK),
            Run(0),
            Put(0),
            Run(0),
        ]);
        left_alone(None, &events).calls(2);
    }
}

#[test]
fn a_lost_key_with_a_secret_that_moved_sends_nothing() {
    for lost in [None, Some(Fault(Fault::LostAfter))] {
        let mut events: Vec<_> = lost.into_iter().collect();
        events.extend([Run(0), UserChooses, LoseKeys, Touch, Run(0)]);
        left_alone(None, &events)
            .says(Reason::OutcomeUnknown)
            .calls(1);
        let events = [&[Permanent(false)], &events[..]].concat();
        tell(None, &[&events[..], &[Put(1)]].concat())
            .ready_with(1)
            .calls(2);
        tell(None, &[&events[..], &[Request]].concat())
            .ready_with(0)
            .calls(2);
    }
}

#[test]
fn a_lost_key_after_another_value_was_refused_sends_nothing() {
    let lost = [Fault(Fault::LostAfter), Run(0), UserChooses, Wait(40)];
    let refused = [Put(WEAK), Run(0), LoseKeys, Put(0), Run(0)];
    left_alone(None, &[&lost[..], &refused].concat())
        .says(Reason::OutcomeUnknown)
        .calls(2);
}

#[test]
fn a_lost_key_alone_changes_nothing() {
    left_alone(None, &[Run(0), LoseKeys, Run(0)])
        .ready_with(0)
        .calls(1);
    let lost = [Fault(Fault::LostAfter), Run(0), LoseKeys, Crash(0), Run(0)];
    left_alone(None, &lost)
        .says(Reason::OutcomeUnknown)
        .calls(1);
}

#[test]
fn keys_rotate_while_a_temporary_password_is_in_doubt() {
    let lost = [Permanent(false), Fault(Fault::LostAfter), Run(0)];
    let rotated = [
        NewKey,
        Crash(0),
        Run(0),
        DropOldKeys,
        Crash(0),
        Touch,
        Run(0),
    ];
    let events = [&lost[..], &rotated].concat();
    tell(None, &events).says(Reason::OutcomeUnknown).calls(1);
    tell(None, &[&events[..], &[Put(1)]].concat())
        .ready_with(1)
        .calls(2)
        .within(35);
}

#[test]
fn a_reply_that_comes_after_another_value_was_set_sends_nothing_again() {
    let events = [
        Step(1),
        Step(1),
        Step(1),
        Put(1),
        Wait(40),
        Run(0),
        Run(0),
        Step(1),
    ];
    left_alone(None, &events)
        .says(Reason::OutcomeUnknown)
        .calls(2);
}

#[test]
fn another_process_that_reconciles_during_a_call_changes_nothing() {
    let events = [Step(1), Step(1), Step(1), Run(0), Run(1)];
    left_alone(Some(24), &events).ready_with(0).calls(1);
}
