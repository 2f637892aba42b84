//! Tests of the elector's step for each state of the record.

use super::*;
use rstest::rstest;

const US: &str = "us";
const THEM: &str = "them";

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn wall() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

/// A record with a holder.
fn held_by(holder: &str) -> Record {
    Record {
        version: Some("7".to_owned()),
        holder: holder.to_owned(),
        seconds: Some(15),
        transitions: 3,
        acquired: Some(Timestamp::UNIX_EPOCH),
        renewed: Some(Timestamp::UNIX_EPOCH),
    }
}

fn free() -> Record {
    Record {
        seconds: Some(1),
        ..held_by("")
    }
}

/// An elector that took a released record. The write was sent at 100 s.
fn leader() -> Elector {
    let mut elector = Elector::new(US.to_owned());
    elector.read(Some(free()), secs(99), false);
    let mut record = writes(&elector, secs(100));
    record.version = Some("8".to_owned());
    elector.wrote(record, secs(100));
    elector
}

#[track_caller]
fn writes(elector: &Elector, now: Duration) -> Record {
    match elector.step(now, wall()) {
        Step::Write(record) => record,
        step => panic!("{step:?}"),
    }
}

/// An elector after the first read, at 100 s.
fn after(record: Option<Record>, dead: bool) -> Elector {
    let mut elector = Elector::new(US.to_owned());
    assert_eq!(elector.step(secs(100), wall()), Step::Read);
    elector.read(record, secs(100), dead);
    elector
}

#[test]
fn a_missing_lease_is_created() {
    let wanted = Record {
        version: None,
        holder: US.to_owned(),
        seconds: Some(15),
        transitions: 0,
        acquired: Some(wall()),
        renewed: Some(wall()),
    };
    assert_eq!(writes(&after(None, false), secs(100)), wanted);
}

#[rstest]
#[case::released(free(), false)]
#[case::made_by_hand(Record { seconds: None, ..free() }, false)]
#[case::of_a_dead_holder(held_by(THEM), true)]
fn a_lease_without_a_holder_is_taken_at_once(#[case] record: Record, #[case] dead: bool) {
    let wanted = Record {
        holder: US.to_owned(),
        seconds: Some(15),
        transitions: 4,
        acquired: Some(wall()),
        renewed: Some(wall()),
        ..record.clone()
    };
    assert_eq!(writes(&after(Some(record), dead), secs(100)), wanted);
}

#[rstest]
#[case::as_we_write_it(Some(15), 15)]
#[case::longer(Some(60), 60)]
#[case::shorter_than_a_holder_believes(Some(1), 15)]
#[case::absent(None, 15)]
#[case::nothing(Some(0), 15)]
#[case::negative(Some(-1), 15)]
#[case::for_ever(Some(i32::MAX), 15)]
fn a_lease_is_taken_only_after_its_record_stood_still_for_its_duration(
    #[case] said: Option<i32>,
    #[case] seconds: u64,
) {
    // The times in the record are long past. The elector must ignore these times.
    let mut record = held_by(THEM);
    record.seconds = said;
    let mut elector = after(Some(record.clone()), false);
    let mut now = secs(100);
    while now < secs(100 + seconds) {
        assert_eq!(elector.step(now, wall()), Step::Wait(now + READ_INTERVAL));
        now += READ_INTERVAL;
        assert_eq!(elector.step(now, wall()), Step::Read);
        // A change of the version alone is no renewal.
        record.version = Some(now.as_secs().to_string());
        elector.read(Some(record.clone()), now, false);
    }
    assert_eq!(writes(&elector, now).version, record.version);
}

#[test]
fn each_renewal_restarts_the_wait_of_a_candidate() {
    let mut record = held_by(THEM);
    let mut elector = after(Some(record.clone()), false);
    for renewal in 1..100 {
        record.renewed = Some(Timestamp::UNIX_EPOCH + SignedDuration::from_micros(renewal));
        elector.read(
            Some(record.clone()),
            secs(100) + 14 * secs(renewal.unsigned_abs()),
            false,
        );
        let step = elector.step(secs(100) + 14 * secs(renewal.unsigned_abs()), wall());
        assert!(matches!(step, Step::Wait(_)), "{step:?}");
    }
}

#[test]
fn a_removed_lease_stays_with_its_holder_for_the_rest_of_its_duration() {
    let mut elector = after(Some(held_by(THEM)), false);
    let blank = Record {
        seconds: None,
        ..held_by("")
    };
    for now in 101..115 {
        let removed = (now % 2 == 0).then(|| blank.clone());
        elector.read(removed, secs(now), false);
        assert_eq!(elector.step(secs(now), wall()), Step::Wait(secs(now + 1)));
    }
    elector.read(None, secs(115), false);
    assert_eq!(writes(&elector, secs(115)).version, None);
}

#[test]
fn a_name_that_a_person_removed_is_not_a_release() {
    let mut elector = after(Some(held_by(THEM)), false);
    elector.read(Some(held_by("")), secs(101), false);
    assert_eq!(elector.step(secs(101), wall()), Step::Wait(secs(102)));
    elector.read(Some(held_by("")), secs(116), false);
    assert_eq!(writes(&elector, secs(116)).holder, US);
}

#[test]
fn a_renewal_counts_from_before_it_was_sent_and_comes_every_two_seconds() {
    let mut elector = leader();
    assert_eq!(elector.held_until(), Some(secs(115)));
    assert_eq!(elector.step(secs(101), wall()), Step::Wait(secs(102)));
    let renewal = writes(&elector, secs(102));
    assert_eq!(renewal.version.as_deref(), Some("8"));
    assert_eq!(renewal.transitions, 4);
    // The reply came at 103 s; the lease counts from 102 s.
    elector.wrote(renewal, secs(102));
    assert_eq!(elector.held_until(), Some(secs(117)));
    assert_eq!(elector.step(secs(103), wall()), Step::Wait(secs(104)));
}

#[test]
fn a_renewal_moves_the_record_even_when_the_clock_stands_still() {
    let mut elector = leader();
    let mut last = writes(&elector, secs(102));
    for _ in 0..10 {
        elector.wrote(last.clone(), secs(100));
        let next = writes(&elector, secs(102));
        assert_ne!(next.renewed, last.renewed);
        assert_eq!(next.acquired, last.acquired);
        last = next;
    }
}

#[test]
fn a_holder_loses_the_lease_ten_seconds_after_its_last_renewal_was_sent() {
    let mut elector = leader();
    let mut tries = 0;
    let mut now = secs(100);
    loop {
        match elector.step(now, wall()) {
            Step::Wait(until) => now = until,
            Step::Read | Step::Write(_) => {
                tries += 1;
                let patience = elector.patience(now);
                assert!(patience <= secs(5) && now + patience <= secs(110));
                elector.failed(now);
                now += patience;
            }
            Step::Lost(lost) => {
                assert_eq!((lost, now), (LossReason::NotRenewed, secs(110)));
                break;
            }
        }
    }
    assert_eq!(tries, 2, "a hanging request leaves time for another");
    // An elector that was frozen beyond the deadline sends no request.
    assert_eq!(
        leader().step(secs(500), wall()),
        Step::Lost(LossReason::NotRenewed)
    );
}

#[test]
fn a_slow_api_server_gets_a_leader_and_keeps_the_leader() {
    for millis in [10, 3_000, 4_900] {
        let takes = Duration::from_millis(millis);
        let mut elector = Elector::new(US.to_owned());
        let mut stands = Some(free());
        let mut now = secs(100);
        while now < secs(200) {
            let sent = now;
            let answered = takes <= elector.patience(now);
            match elector.step(now, wall()) {
                Step::Wait(until) => now = until,
                Step::Lost(lost) => panic!("{millis} ms: {lost}"),
                _ if !answered => panic!("{millis} ms is too long"),
                Step::Read => {
                    now += takes;
                    elector.read(stands.clone(), now, false);
                }
                Step::Write(record) => {
                    now += takes;
                    stands = Some(record.clone());
                    elector.wrote(record, sent);
                }
            }
        }
        assert!(elector.held_until().is_some_and(|until| until > now));
    }
}

#[test]
fn after_a_lost_reply_the_lease_is_read_and_renewed_at_once() {
    for version in ["8", "9"] {
        let mut elector = leader();
        elector.failed(secs(102));
        assert_eq!(elector.step(secs(104), wall()), Step::Read);
        assert_eq!(elector.record(), None);
        let mut record = held_by(US);
        record.version = Some(version.to_owned());
        elector.read(Some(record), secs(104), false);
        assert_eq!(
            writes(&elector, secs(104)).version.as_deref(),
            Some(version)
        );
        assert_eq!(
            elector.held_until(),
            Some(secs(115)),
            "a read proves nothing"
        );
    }
}

#[test]
fn an_acquisition_whose_reply_was_lost_is_renewed_before_it_counts() {
    let mut elector = after(Some(free()), false);
    let taken = writes(&elector, secs(100));
    elector.failed(secs(100));
    elector.read(Some(taken.clone()), secs(102), false);
    assert_eq!(elector.held_until(), None);
    let renewal = writes(&elector, secs(102));
    assert_eq!(renewal.transitions, taken.transitions);
    assert_eq!(renewal.acquired, taken.acquired);
}

#[test]
fn a_holder_whose_record_names_another_has_lost_the_lease() {
    let mut elector = leader();
    elector.conflicted(secs(102));
    assert_eq!(elector.step(secs(102), wall()), Step::Read);
    elector.read(Some(held_by(THEM)), secs(102), false);
    let lost = Step::Lost(LossReason::Taken(THEM.to_owned()));
    assert_eq!(elector.step(secs(102), wall()), lost);
    assert_eq!(elector.held_until(), None);
}

#[test]
fn a_holder_survives_edits_of_the_record_by_people() {
    let edited = Record {
        version: Some("9".to_owned()),
        seconds: Some(1),
        ..held_by(US)
    };
    let cleared = held_by("");
    let blank = Record {
        seconds: None,
        transitions: 0,
        ..held_by("")
    };
    for (record, transitions) in [
        (Some(edited), 3),
        (Some(cleared), 4),
        (Some(blank), 4),
        (None, 4),
    ] {
        let mut elector = leader();
        elector.conflicted(secs(102));
        elector.read(record.clone(), secs(102), false);
        let wanted = Record {
            version: record.and_then(|record| record.version),
            ..held_by(US)
        };
        let written = writes(&elector, secs(102));
        assert_eq!(written.version, wanted.version);
        assert_eq!((&*written.holder, written.seconds), (US, Some(15)));
        assert_eq!(written.transitions, transitions);
    }
}

#[test]
fn repeated_conflicts_do_not_make_a_storm() {
    let mut elector = leader();
    elector.conflicted(secs(102));
    elector.read(Some(held_by(US)), secs(102), false);
    elector.conflicted(secs(102));
    assert_eq!(elector.step(secs(102), wall()), Step::Wait(secs(104)));
}

#[test]
fn a_release_writes_an_empty_holder_like_client_go() {
    let mut elector = leader();
    let record = elector.record().expect("it is known").clone();
    let released = elector.release(record.clone(), wall()).expect("it is ours");
    let wanted = Record {
        holder: String::new(),
        seconds: Some(1),
        acquired: Some(wall()),
        renewed: released.renewed,
        ..record
    };
    assert_eq!(released, wanted);
    assert_eq!(elector.held_until(), None);
    assert_eq!(elector.release(held_by(THEM), wall()), None);
}
