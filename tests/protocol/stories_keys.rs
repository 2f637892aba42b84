//! Stories of fingerprint keys that rotate or are lost.

use super::{
    cognito::{Fault, WEAK},
    stories::tell,
    world::Event::*,
};
use cognito_password_operator::api::Reason;

#[test]
fn a_lost_fingerprint_key_never_makes_ready_what_was_refused() {
    let events = [
        PutOther(WEAK),
        Run(0),
        Other(true),
        Run(0),
        LoseKeys,
        Run(0),
    ];
    tell(None, &events).says(Reason::InvalidPassword);
}

#[test]
fn a_lost_fingerprint_key_never_makes_ready_what_was_not_even_sent() {
    let events = [
        PutOther(1),
        Run(0),
        Other(true),
        Fault(Fault::Throttled),
        Run(0),
        LoseKeys,
        Run(0),
    ];
    tell(None, &events).ready_with(1).calls(3);
}

#[test]
fn a_lost_fingerprint_key_hides_whether_a_temporary_value_was_set_until_somebody_asks() {
    for fault in [Fault::Throttled, Fault::Denied] {
        let events = [
            Run(0),
            Permanent(false),
            Fault(fault),
            Run(0),
            LoseKeys,
            Wait(400),
            Run(0),
            Touch,
            Run(0),
            Suspend(true),
            Run(0),
            Suspend(false),
            Crash(0),
            Run(0),
        ];
        tell(None, &events).says(Reason::OutcomeUnknown).calls(2);
        let asked = [&events[..], &[Request]].concat();
        tell(None, &asked).ready_with(0).calls(3);
        let changed = [&events[..], &[Put(1)]].concat();
        tell(None, &changed).ready_with(1).calls(3);
    }
}

#[test]
fn a_lost_fingerprint_key_leads_to_no_call_while_the_secret_is_the_same() {
    tell(Some(24), &[Run(0), LoseKeys, Run(0)])
        .ready_with(0)
        .calls(1);
    tell(Some(24), &[Run(0), LoseKeys, Crash(0), Run(0)])
        .ready_with(0)
        .calls(1);
}

#[test]
fn a_lost_fingerprint_key_does_not_send_a_refused_value_again() {
    tell(None, &[Put(WEAK), Run(0), LoseKeys, Run(0)]).calls(1);
}

#[test]
fn a_lost_fingerprint_key_does_not_make_a_lost_reply_a_refusal() {
    let events = [Fault(Fault::LostAfter), Run(0), LoseKeys];
    let end = tell(Some(24), &events).ready_with(0).within(5);
    end.says(Reason::AppliedAfterLostReply);
}

#[test]
fn a_key_rotates_without_touching_cognito() {
    let events = [
        Run(0),
        NewKey,
        Run(0),
        Touch,
        Run(0),
        DropOldKeys,
        Crash(0),
        Run(0),
    ];
    tell(Some(24), &events).ready_with(0).calls(1);
}

#[test]
fn a_request_after_the_key_was_lost_is_answered() {
    let events = [Run(0), LoseKeys, Request, Run(0)];
    let end = tell(None, &events).ready_with(0).calls(2);
    end.has_answered_the_request();
    let end = tell(Some(24), &events).says(Reason::NotConfirmed).calls(2);
    end.has_answered_the_request();
}
