//! The end of a drill: all faults stop, all users converge, and a silence follows. Then the checks run on
//! everything that the drill saw.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;

use crate::book::MARKER;
use crate::checks::{Actors, Evidence};
use crate::replica::Replica;
use crate::report::Report;
use crate::say::time;
use crate::scene::Scene;
use crate::support::{
    AuditQuery, Call, Fault, Operation, OtherCall, Outcome, Subject, describe,
    most_calls_in_a_second,
};
use crate::world::SENTINEL;

/// The limits from the end of all faults and from the end of the longest backoff: the quarantine, and a busy
/// machine's delays.
const CONVERGED: Duration = Duration::from_mins(5);
const AFTER_BACKOFF: Duration = Duration::from_mins(3);

/// Ends a drill.
pub(crate) async fn judge(scene: &Scene, replicas: &[&Replica], actors: Actors) -> Report {
    judge_with(scene, replicas, actors, |_| Vec::new()).await
}

/// Ends a drill with a further check of each user.
pub(crate) async fn judge_with(
    scene: &Scene,
    replicas: &[&Replica],
    actors: Actors,
    more: impl Fn(&str) -> Vec<String>,
) -> Report {
    let mut report = Report {
        drill: scene.drill,
        ..Report::default()
    };
    scene.world.cognito.heal();
    for replica in replicas {
        replica.proxy.heal();
    }
    let stuck = converge(scene, &mut report).await;
    if stuck.is_empty() {
        silence(scene, &mut report).await;
    }
    leaks(scene, replicas, &mut report).await;
    let calls = scene.world.cognito.calls();
    count(scene, replicas, &calls, 0, &mut report);
    rate(scene, &calls, &mut report);
    let mut suspects = stuck;
    for user in &scene.users {
        let mut violations = of_user(scene, user, &calls, actors);
        violations.extend(more(user));
        if !violations.is_empty() && !suspects.contains(user) {
            suspects.push(user.clone());
        }
        let named = violations
            .iter()
            .map(|violation| format!("{user}: {violation}"));
        report.violations.extend(named);
    }
    if !report.violations.is_empty() {
        report.evidence = evidence(scene, replicas, &suspects, &calls).await;
    }
    report
}

/// The users that do not settle in time.
async fn converge(scene: &Scene, report: &mut Report) -> Vec<String> {
    let healed = Instant::now();
    let backoff = scene.users.iter().filter_map(|user| {
        let seen = scene.observer.seen_of(user);
        let left = seen.last()?.retry_at?.duration_since(Timestamp::now());
        Duration::try_from(left).ok()
    });
    let backoff = backoff.max().unwrap_or_default();
    let deadline = CONVERGED.max(backoff + AFTER_BACKOFF);
    let settled = join_all(scene.users.iter().map(async |user| {
        let settled = scene.observer.settled(&scene.book, user);
        tokio::time::timeout(deadline, settled).await.is_ok()
    }))
    .await;
    let stuck = scene
        .users
        .iter()
        .zip(settled)
        .filter(|(_, settled)| !settled);
    let stuck: Vec<String> = stuck.map(|(user, _)| user.clone()).collect();
    for user in &stuck {
        let why = format!("{user}: not Ready of its Secret's value after {deadline:?}");
        report.violations.push(why);
    }
    if stuck.is_empty() {
        report.converged_after = Some(healed.elapsed());
        let took = time(healed.elapsed());
        scene.say.line(&format!(
            "all faults over; all {} users settled after {took} (longest backoff {})",
            scene.users.len(),
            time(backoff)
        ));
    }
    for user in &scene.users {
        let (is, wanted) = (
            scene.world.cognito.password_of(scene.pool(user), user),
            scene.book.newest(user),
        );
        if is != wanted {
            report
                .violations
                .push(format!("{user} has {is:?} instead of {wanted:?}"));
        }
    }
    stuck
}

/// Checks that converged users cause no work. The first fence waits for the effects of all earlier events.
/// Every call and every status write between the two fences is too much.
async fn silence(scene: &Scene, report: &mut Report) {
    scene.world.fence().await;
    let (mark, calls) = (scene.world.mark(), scene.world.cognito.call_count());
    let sign_outs = scene.world.cognito.sign_outs().len();
    scene.world.fence().await;
    let more = scene.world.cognito.sign_outs().split_off(sign_outs);
    let more = more
        .iter()
        .map(|call| format!("a sign-out in the silence: {call:?}"));
    report.violations.extend(more);
    let after = scene.world.cognito.calls();
    let more = after[calls..]
        .iter()
        .filter(|call| !call.username.starts_with(SENTINEL));
    report
        .violations
        .extend(more.map(|call| format!("a call in the silence: {call:?}")));
    let writes = AuditQuery::new()
        .since(mark)
        .resource("cognitouserpasswords")
        .subresource("status")
        .namespace(&scene.world.namespace);
    let writes = scene.world.plane.audit(&writes);
    let more = writes
        .iter()
        .filter(|write| write["objectRef"]["name"] != SENTINEL);
    report
        .violations
        .extend(more.map(|write| format!("a status write in the silence: {write}")));
}

pub(crate) async fn leaks(scene: &Scene, replicas: &[&Replica], report: &mut Report) {
    let events = ["get", "events", "-o", "json", "-n", &scene.world.namespace];
    if scene.world.plane.kubectl(&events).contains(MARKER) {
        report
            .violations
            .push("a password is in an event".to_owned());
    }
    for replica in replicas {
        if replica.leaks().await {
            report
                .violations
                .push("a password is in the log or the metrics".to_owned());
        }
    }
}

/// A process never makes more calls in a second than its limits allow, whatever pauses or fails. The limit is
/// per process. After a kill or a failover the next process begins with new tokens, and two processes that
/// both act have separate tokens. So a second may see twice as many calls by two processes.
pub(crate) fn rate(scene: &Scene, calls: &[Call], report: &mut Report) {
    let (most, allowed) = (most_calls_in_a_second(calls), scene.calls_a_second());
    let told = format!("at most {most} calls of one process in a second, {allowed} are allowed");
    scene.say.line(&told);
    if most > allowed {
        report.violations.push(told);
    }
}

/// Counts what the drill did and what the operators did. `corrections` are the sets that looks led to.
pub(crate) fn count(
    scene: &Scene,
    replicas: &[&Replica],
    calls: &[Call],
    corrections: usize,
    report: &mut Report,
) {
    let of_users: Vec<_> = calls
        .iter()
        .filter(|call| !call.username.starts_with(SENTINEL))
        .collect();
    let lost = |call: &&&Call| matches!(call.outcome, Outcome::Lost { .. });
    let mut faults: BTreeMap<String, usize> = BTreeMap::new();
    for call in of_users.iter().filter(|call| call.fault != Fault::None) {
        *faults.entry(call.fault.name().to_owned()).or_default() += 1;
    }
    for (operation, name) in [
        (Operation::AdminUserGlobalSignOut, "sign-out"),
        (Operation::ListUsers, "look"),
    ] {
        let calls = scene.world.cognito.calls_of(operation);
        for call in calls.iter().filter(|call| call.fault != Fault::None) {
            let fault = format!("{} ({name})", call.fault.name());
            *faults.entry(fault).or_default() += 1;
        }
    }
    for (name, count) in replicas.iter().flat_map(|replica| replica.proxy.met()) {
        *faults.entry(format!("{name} (API server)")).or_default() += count;
    }
    report.changes = scene.book.changes();
    report.calls = of_users.len();
    report.sets = of_users.iter().filter(|call| call.applied()).count();
    report.lost = of_users.iter().filter(lost).count();
    report.kills = scene.book.kills().len();
    report.states = scene.observer.count();
    report.faults = faults;
    // An applied call is a set. A call that was refused, throttled or lost before its effect is no set. Each
    // change explains one set. Each lost reply, each kill before the record of an outcome, and each correction
    // explains one more.
    let most = report.changes + report.lost + report.kills + corrections;
    if report.sets > most {
        report
            .violations
            .push(format!("{} sets, where {most} are explained", report.sets));
    }
}

fn of_user(scene: &Scene, user: &str, calls: &[Call], actors: Actors) -> Vec<String> {
    let calls: Vec<Call> = calls
        .iter()
        .filter(|call| call.username == user)
        .cloned()
        .collect();
    Evidence {
        user,
        book: &scene.book,
        seen: &scene.observer.seen_of(user),
        calls: &calls,
        in_force: &scene.world.cognito.password_log(scene.pool(user), user),
        actors,
        corrections: 0,
    }
    .violations()
}

/// The facts for finding the cause of a failure.
pub(crate) async fn evidence(
    scene: &Scene,
    replicas: &[&Replica],
    users: &[String],
    calls: &[Call],
) -> String {
    const USERS: usize = 3;
    const LINES: usize = 150;
    let mut text = String::new();
    for user in &users[..users.len().min(USERS)] {
        text += &describe(&scene.world.client, &scene.world.namespace, user).await;
        let seen = scene.observer.seen_of(user);
        let calls: Vec<_> = calls.iter().filter(|call| call.username == *user).collect();
        // States and calls, sorted by time.
        let mut lines: Vec<(Instant, String)> = Vec::new();
        lines.extend(seen.iter().map(|seen| (seen.at, format!("seen: {seen}"))));
        for call in &calls {
            let (id, password, fault) = (call.id, &call.password, call.fault.name());
            let arrived = format!("call {id} arrives: {password}, fault: {fault}");
            lines.push((call.arrived, arrived));
            let ended = call
                .ended
                .map(|ended| (ended, format!("call {id} ends: {:?}", call.outcome)));
            lines.extend(ended);
        }
        lines.extend(of_other_calls(scene, user));
        lines.extend(scene.book.written_at(user));
        lines.extend(
            scene
                .book
                .kills()
                .into_iter()
                .map(|at| (at, "killed".to_owned())),
        );
        lines.sort();
        let Some(first) = lines.first().map(|(at, _)| *at) else {
            continue;
        };
        for (at, line) in &lines[lines.len().saturating_sub(LINES)..] {
            let at = at.duration_since(first).as_secs_f64();
            writeln!(text, "  {at:>8.3} s {line}").expect("a String takes everything");
        }
    }
    for replica in replicas {
        writeln!(
            text,
            "the end of an operator's log:\n{}",
            replica.log_tail()
        )
        .expect("a String takes everything");
    }
    text
}

/// The sign-outs and the lookups of a user, as lines of text.
fn of_other_calls(scene: &Scene, user: &str) -> Vec<(Instant, String)> {
    let cognito = &scene.world.cognito;
    let calls = cognito.sign_outs().into_iter().chain(cognito.list_calls());
    let is_meant = |call: &OtherCall| match &call.subject {
        Subject::SignOut(name) | Subject::Username(name) => name == user,
        Subject::Page { .. } => call.pool == scene.pool(user),
        Subject::Sub(_) | Subject::Pool | Subject::User(_) => false,
    };
    let mut lines = Vec::new();
    for call in calls.filter(is_meant) {
        let (id, fault) = (call.id, call.fault.name());
        let arrived = format!("call {id} arrives: {:?}, fault: {fault}", call.subject);
        lines.push((call.arrived, arrived));
        let ended = format!("call {id} ends: {:?}", call.outcome);
        lines.extend(call.ended.map(|at| (at, ended)));
    }
    lines
}
