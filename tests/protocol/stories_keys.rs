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
    let events = [
        Run(0),
        Permanent(false),
        Fault(Fault::Denied),
        Run(0),
        Wait(350),
        Fault(Fault::Denied),
        Run(0),
        LoseKeys,
        Fault(Fault::Denied),
        Run(0),
    ];
    tell(None, &events).ready_with(0);
}

#[test]
fn a_lost_fingerprint_key_never_makes_ready_what_was_not_even_sent() {
    let changes = [Other(true), Permanent(false)];
    for change in changes {
        let events = [
            PutOther(1),
            Run(0),
            change,
            Fault(Fault::Throttled),
            Run(0),
            LoseKeys,
            Run(0),
        ];
        let value = u8::from(change == Other(true));
        tell(None, &events).ready_with(value).calls(3);
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
    tell(Some(24), &events).ready_with(0);
}
