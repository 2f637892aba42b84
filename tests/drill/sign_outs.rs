//! SIGN-OUTS: every set owes a sign-out. Sessions begin all the time, replies of sign-outs get lost, and
//! `kill -9` comes at each point from the set to the record of its sign-out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::book::MARKER;
use crate::checks::Actors;
use crate::judge::judge_with;
use crate::observer::ObservedState;
use crate::replica::Replica;
use crate::report::Report;
use crate::say::time;
use crate::scene::{Cast, Scene};
use crate::settings::Settings;
use crate::support::{
    ControlPlane, Fault, FaultServer, Kind, Moment, Operation, OtherCall, Outcome, Random, Session,
    Subject,
};

const SIGN_OUT: Operation = Operation::AdminUserGlobalSignOut;

/// The limit for a set to come to a point, while others wait for a quarantine or a backoff.
const PATIENCE: Duration = Duration::from_mins(3);

/// The operator's position between a set and the record of its sign-out at the time of the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    BeforeSetRecorded,
    AfterSetRecorded,
    BeforeSignOut,
    AfterSignOut,
    BeforeSignOutRecorded,
    AfterSignOutRecorded,
    Anywhere,
}

const POINTS: [Point; 7] = [
    Point::BeforeSetRecorded,
    Point::AfterSetRecorded,
    Point::BeforeSignOut,
    Point::AfterSignOut,
    Point::BeforeSignOutRecorded,
    Point::AfterSignOutRecorded,
    Point::Anywhere,
];

impl Point {
    fn told(self) -> &'static str {
        match self {
            Point::BeforeSetRecorded => "before a set is recorded",
            Point::AfterSetRecorded => "after a set was recorded, before its sign-out",
            Point::BeforeSignOut => "before a sign-out is applied",
            Point::AfterSignOut => "after a sign-out was applied",
            Point::BeforeSignOutRecorded => "before a sign-out's outcome is recorded",
            Point::AfterSignOutRecorded => "after a sign-out's outcome was recorded",
            Point::Anywhere => "anywhere",
        }
    }
}

/// The faults of sign-outs, each with its probability.
fn faults() -> [(Fault, f64); 7] {
    let garbage = Fault::Garbage {
        status: 200,
        applied: true,
    };
    [
        (Fault::DropBefore, 0.06),
        (Fault::DropAfter, 0.08),
        (Fault::HangAfter, 0.02),
        (Fault::internal_error(), 0.04),
        (Fault::internal_error_after(), 0.04),
        (Fault::throttled(), 0.08),
        (garbage, 0.04),
    ]
}

pub(crate) async fn drill(settings: Settings) -> Report {
    let size = (16, settings.count(50, 60));
    let cast = Cast {
        change: |_, resource| resource["spec"]["revokeSessions"] = json!(true),
        ..Cast::default()
    };
    let plane = ControlPlane::shared();
    let scene = Scene::set_with("sign-outs", plane, settings, size, cast).await;
    // Half of these limits are those of sign-outs.
    let scene = scene.with_limits(40, 40);
    let cognito = &scene.world.cognito;
    for user in &scene.users {
        let pool = scene.pool(user);
        cognito.change_password(pool, user, &format!("{MARKER}{user}-of-an-earlier-owner"));
        assert!(cognito.begin_session(pool, user), "{user}");
    }
    let mut replica = Replica::start(&scene, "a", |builder| builder).await;
    let mut random = scene.random(1);
    cognito.of(SIGN_OUT).chance(random.next(), faults());
    // A set whose reply is lost owes its sign-out as soon as the history proves the set.
    cognito.chance(random.next(), [(Fault::DropAfter, 0.05)]);
    let users = scene.users.iter();
    let users: Vec<_> = users.map(|user| (scene.pool(user), user.clone())).collect();
    let signing_in = tokio::spawn(sign_in(Arc::clone(cognito), users, scene.random(2)));
    scene
        .say
        .line("sessions begin all the time; 7 kinds of fault meet 36 sign-outs in a hundred");
    let mut covered = BTreeMap::new();
    scene
        .play(async {
            for _ in 0..settings.count(1, 1) {
                let mut points = POINTS;
                random.shuffle(&mut points);
                for point in points {
                    scene.after_rotations(1 + random.below(5)).await;
                    let at = kill(&scene, &mut replica, point, random.next() % 30).await;
                    let killed = Instant::now();
                    replica.begin().await;
                    replica.wait_ready().await;
                    let (told, took) = (point.told(), time(killed.elapsed()));
                    scene
                        .say
                        .line(&format!("killed {told}{at}; ready again after {took}"));
                    *covered.entry(point).or_insert(0) += 1;
                }
            }
        })
        .await;
    let more = |user: &str| of_user(&scene, user);
    let mut report = judge_with(&scene, &[&replica], Actors::One, more).await;
    signing_in.abort();
    for point in POINTS.iter().filter(|point| !covered.contains_key(point)) {
        let never = format!("never killed {}", point.told());
        report.violations.push(never);
    }
    tell(&scene, &mut report);
    report
}

/// Begins sessions with the passwords in force, for ever.
async fn sign_in(
    cognito: Arc<FaultServer>,
    users: Vec<(&'static str, String)>,
    mut random: Random,
) {
    loop {
        let (pool, user) = &users[random.below(users.len())];
        // A user without a password can't sign in.
        cognito.begin_session(pool, user);
        // The pause sets the load. No check depends on the pause.
        tokio::time::sleep(Duration::from_millis(5 + random.next() % 30)).await;
    }
}

/// Kills the operator at this point. Returns the name of the resource whose set or sign-out was interrupted.
async fn kill(scene: &Scene, replica: &mut Replica, point: Point, steps: u64) -> String {
    let held = match point {
        Point::BeforeSetRecorded => Some((Kind::Outcome, Moment::Before)),
        Point::AfterSetRecorded => Some((Kind::Outcome, Moment::After)),
        // In this drill, every other status write is about a sign-out.
        Point::BeforeSignOutRecorded => Some((Kind::Report, Moment::Before)),
        Point::AfterSignOutRecorded => Some((Kind::Report, Moment::After)),
        Point::BeforeSignOut | Point::AfterSignOut | Point::Anywhere => None,
    };
    if let Some((kind, moment)) = held {
        let mut rule = replica.proxy.hold(kind, moment);
        let caught = tokio::time::timeout(PATIENCE, rule.caught()).await;
        let held = caught.unwrap_or_else(|_| panic!("nobody came {}", point.told()));
        replica.kill(scene);
        return format!(" ({})", held.asked.name);
    }
    match point {
        Point::BeforeSignOut => hangs(scene, Fault::HangBefore).await,
        Point::AfterSignOut => hangs(scene, Fault::HangAfter).await,
        _ => replica.proxy.steps(steps).await,
    }
    replica.kill(scene);
    String::new()
}

/// Waits until another sign-out gets this fault and hangs.
async fn hangs(scene: &Scene, fault: Fault) {
    let script = scene.world.cognito.of(SIGN_OUT);
    let before = scene.world.cognito.count_of(SIGN_OUT);
    script.next([fault.clone()]);
    let hangs = |call: &OtherCall| {
        let applied = fault == Fault::HangAfter;
        call.fault == fault && call.outcome == Outcome::InFlight { applied }
    };
    let hanging = |calls: &[OtherCall]| calls[before..].iter().any(hangs);
    let cognito = &scene.world.cognito;
    let what = "sign-out that hangs";
    cognito
        .wait_until_of(SIGN_OUT, what, PATIENCE, hanging)
        .await;
}

fn sign_outs_of(scene: &Scene, user: &str) -> Vec<OtherCall> {
    let mut calls = scene.world.cognito.sign_outs();
    calls.retain(|call| call.subject == Subject::SignOut(user.to_owned()));
    calls
}

/// The promises about one user's sessions, each broken one as a sentence.
fn of_user(scene: &Scene, user: &str) -> Vec<String> {
    let (cognito, pool) = (&scene.world.cognito, scene.pool(user));
    let seen = scene.observer.seen_of(user);
    let sessions = cognito.session_log(pool, user);
    let sets = cognito.password_log(pool, user);
    let sign_outs = sign_outs_of(scene, user);
    let mut wrong = Vec::new();
    for state in seen.iter().filter(|state| state.says_ready()) {
        wrong.extend(of_sessions(state, &sessions));
        wrong.extend(of_sign_outs(scene, state, &sets, &sign_outs));
    }
    if seen.last().is_some_and(|state| state.owed_since.is_some()) {
        wrong.push("a sign-out is owed in the end".to_owned());
    }
    // The first password is an earlier owner's. A record of a sign-out that a kill prevented explains one more.
    let answered = |call: &&OtherCall| call.outcome == Outcome::Applied;
    let answered = sign_outs.iter().filter(answered).count();
    let most = sets.len() - 1 + scene.book.kills().len();
    if answered > most {
        wrong.push(format!(
            "{answered} sign-outs were answered, where {most} are explained"
        ));
    }
    wrong
}

/// No session lives that began before the set on record. The drill sees a status some time after the write, so
/// a session that lives then lived at the write.
fn of_sessions(state: &ObservedState, sessions: &[Session]) -> Option<String> {
    let Some(set_at) = state.synced_at else {
        return Some(format!("Ready=True without the time of the set: {state}"));
    };
    let survives = |session: &&Session| {
        let lives = session.ended.is_none_or(|ended| ended > state.at);
        session.began < state.at && time_of(session.began) < set_at && lives
    };
    let survivor = sessions.iter().find(survives)?;
    let before = set_at.duration_since(time_of(survivor.began));
    Some(format!(
        "a session with {} lives that began {before:#} before the set: {state}",
        survivor.password
    ))
}

/// The set on record had a sign-out that began later, and whose answer says that the sign-out was made.
fn of_sign_outs(
    scene: &Scene,
    state: &ObservedState,
    sets: &[(Instant, String)],
    sign_outs: &[OtherCall],
) -> Option<String> {
    let value = scene.book.value_at(&state.user, state.synced.as_ref()?)?;
    let of_value = |(at, its): &&(Instant, String)| *its == value && *at <= state.at;
    let (set_at, _) = sets.iter().rev().find(of_value)?;
    let serves = |call: &OtherCall| {
        call.outcome == Outcome::Applied
            && call.arrived > *set_at
            && call.ended.is_some_and(|ended| ended <= state.at)
    };
    let is_served = sign_outs.iter().any(serves);
    (!is_served).then(|| format!("Ready=True of {value} without a sign-out: {state}"))
}

/// The time of a moment, by the clock that the drill shares with the operator.
fn time_of(moment: Instant) -> Timestamp {
    let elapsed = SignedDuration::try_from(moment.elapsed()).unwrap_or_default();
    Timestamp::now() - elapsed
}

/// Says how much there was to judge. A drill in which nothing happened proves nothing.
fn tell(scene: &Scene, report: &mut Report) {
    let cognito = &scene.world.cognito;
    let users = scene.users.iter();
    let sessions: Vec<_> = users
        .flat_map(|user| cognito.session_log(scene.pool(user), user))
        .collect();
    let ended = sessions.iter().filter(|session| session.ended.is_some());
    let (began, ended) = (sessions.len(), ended.count());
    let calls = cognito.sign_outs();
    let lost = |call: &&OtherCall| matches!(call.outcome, Outcome::Lost { .. });
    let lost = calls.iter().filter(lost).count();
    scene.say.line(&format!(
        "{began} sessions began, {ended} were ended by {} sign-outs, of which {lost} were lost",
        calls.len()
    ));
    if ended == 0 || lost == 0 {
        let nothing = "no session was ended, or no reply of a sign-out was lost";
        report.violations.push(nothing.to_owned());
    }
}
