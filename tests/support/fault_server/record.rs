//! Every call that arrived, and its outcome.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use super::faults::Fault;
use super::operation::Operation;

/// A call of `AdminSetUserPassword`, with its password: all passwords here belong to the tests.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Counts the calls of all operations, from 1 over the server's life.
    pub(crate) id: u64,
    pub(crate) arrived: Instant,
    /// When the call was answered or its connection was closed.
    pub(crate) ended: Option<Instant>,
    pub(crate) pool: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) permanent: bool,
    pub(crate) outcome: Outcome,
    /// The fault of the call.
    pub(crate) fault: Fault,
    /// Whether the client closed the connection before the reply.
    pub(crate) abandoned: bool,
    pub(crate) user_agent: String,
    /// The access key id and the Region in the signature.
    pub(crate) access_key: String,
    pub(crate) region: String,
}

/// A call of another operation.
#[derive(Clone, Debug)]
pub(crate) struct OtherCall {
    /// Counts the calls of all operations, from 1 over the server's life.
    pub(crate) id: u64,
    pub(crate) arrived: Instant,
    /// When the call was answered or its connection was closed.
    pub(crate) ended: Option<Instant>,
    pub(crate) operation: Operation,
    pub(crate) pool: String,
    pub(crate) subject: Subject,
    pub(crate) outcome: Outcome,
    /// The fault of the call.
    pub(crate) fault: Fault,
    /// Whether the client closed the connection before the reply.
    pub(crate) abandoned: bool,
    pub(crate) user_agent: String,
    /// The access key id and the Region in the signature.
    pub(crate) access_key: String,
    pub(crate) region: String,
}

/// What an [`OtherCall`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `ListUsers` without a filter. `is_first`: without a token.
    Page { is_first: bool },
    /// `ListUsers` for one username.
    Username(String),
    /// `ListUsers` for one sub.
    Sub(String),
    /// `AdminUserGlobalSignOut` of this user.
    SignOut(String),
    /// `DescribeUserPool`.
    Pool,
    /// A person's operation on this user, such as `AdminGetUser`.
    User(String),
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not ended yet. `applied` is true for a call that hangs after it was applied.
    InFlight { applied: bool },
    /// Applied and confirmed.
    Applied,
    /// Not applied; the answer has this code.
    Refused(String),
    /// The caller got nothing reliable: no reply, garbage, or an error although the password was set.
    Lost { applied: bool },
}

impl Call {
    /// When the client ended the call. If the client closed the connection, that is up to [`CLOSING`] before
    /// the server noticed.
    pub(crate) fn closed(&self) -> Option<Instant> {
        match self.ended?.checked_sub(CLOSING) {
            Some(earlier) if self.abandoned => Some(earlier.max(self.arrived)),
            _ => self.ended,
        }
    }

    /// Whether the call has set the password so far.
    pub(crate) fn applied(&self) -> bool {
        match self.outcome {
            Outcome::Applied => true,
            Outcome::Refused(_) => false,
            Outcome::InFlight { applied } | Outcome::Lost { applied } => applied,
        }
    }
}

/// The most of these moments within one second.
pub(crate) fn most_in_a_second(moments: impl IntoIterator<Item = Instant>) -> usize {
    let mut moments: Vec<_> = moments.into_iter().collect();
    moments.sort();
    let from = |(index, first): (usize, &Instant)| {
        let end = *first + Duration::from_secs(1);
        moments.partition_point(|at| *at < end) - index
    };
    moments.iter().enumerate().map(from).max().unwrap_or(0)
}

/// The most calls of one access key in one Region that arrived within one second. The operator counts a call
/// from its start until one second after its reply. The arrival here lies within that time, even on a slow
/// machine.
pub(crate) fn most_calls_in_a_second(calls: &[Call]) -> usize {
    let mut arrived: HashMap<(&str, &str), Vec<Instant>> = HashMap::new();
    for call in calls {
        let budget = (&*call.access_key, &*call.region);
        arrived.entry(budget).or_default().push(call.arrived);
    }
    let most = arrived.into_values().map(most_in_a_second);
    most.max().unwrap_or(0)
}

#[derive(Debug, Default)]
pub(crate) struct Record {
    calls: Vec<Call>,
    /// By operation. The calls of `AdminSetUserPassword` are above.
    others: HashMap<Operation, Vec<OtherCall>>,
    last_id: u64,
}

/// The fields that change after the arrival.
struct Progress<'a> {
    outcome: &'a mut Outcome,
    ended: &'a mut Option<Instant>,
    abandoned: &'a mut bool,
}

impl Record {
    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(super) fn others(&self, operation: Operation) -> &[OtherCall] {
        self.others.get(&operation).map_or(&[], Vec::as_slice)
    }

    /// Records a new call. Returns the id of the call.
    pub(super) fn arrived(&mut self, mut call: Call) -> u64 {
        self.last_id += 1;
        call.id = self.last_id;
        self.calls.push(call);
        self.last_id
    }

    /// As [`arrived`](Self::arrived).
    pub(super) fn other_arrived(&mut self, mut call: OtherCall) -> u64 {
        self.last_id += 1;
        call.id = self.last_id;
        self.others.entry(call.operation).or_default().push(call);
        self.last_id
    }

    /// The call with this id, unless the server was reset after the call.
    fn progress(&mut self, id: u64) -> Option<Progress<'_>> {
        if let Ok(index) = self.calls.binary_search_by_key(&id, |call| call.id) {
            let call = &mut self.calls[index];
            return Some(Progress {
                outcome: &mut call.outcome,
                ended: &mut call.ended,
                abandoned: &mut call.abandoned,
            });
        }
        let call = self.others.values_mut().find_map(|calls| {
            let index = calls.binary_search_by_key(&id, |call| call.id).ok()?;
            calls.get_mut(index)
        })?;
        Some(Progress {
            outcome: &mut call.outcome,
            ended: &mut call.ended,
            abandoned: &mut call.abandoned,
        })
    }

    /// The call has had its effect.
    pub(super) fn applied(&mut self, id: u64) {
        if let Some(call) = self.progress(id) {
            match call.outcome {
                Outcome::InFlight { applied } | Outcome::Lost { applied } => *applied = true,
                Outcome::Applied | Outcome::Refused(_) => {}
            }
        }
    }

    pub(super) fn ended(&mut self, id: u64, outcome: Outcome) {
        if let Some(call) = self.progress(id) {
            *call.outcome = outcome;
            *call.ended = Some(Instant::now());
        }
    }

    /// The client has closed the connection of a call, if the call has not ended.
    pub(super) fn closed(&mut self, id: u64) {
        if let Some(call) = self.progress(id)
            && let Outcome::InFlight { applied } = *call.outcome
        {
            *call.outcome = Outcome::Lost { applied };
            *call.ended = Some(Instant::now());
            *call.abandoned = true;
        }
    }

    /// Whether the client closed the connection, or the record was cleared.
    pub(super) fn is_abandoned(&self, id: u64) -> bool {
        self.find(id).is_none_or(|(_, abandoned)| abandoned)
    }

    pub(super) fn is_in_flight(&self, id: u64) -> bool {
        let outcome = self.find(id).map(|(outcome, _)| outcome);
        matches!(outcome, Some(Outcome::InFlight { .. }))
    }

    /// The outcome of the call with this id, and whether the call is abandoned.
    fn find(&self, id: u64) -> Option<(&Outcome, bool)> {
        if let Ok(index) = self.calls.binary_search_by_key(&id, |call| call.id) {
            let call = &self.calls[index];
            return Some((&call.outcome, call.abandoned));
        }
        self.others.values().find_map(|calls| {
            let index = calls.binary_search_by_key(&id, |call| call.id).ok()?;
            let call = calls.get(index)?;
            Some((&call.outcome, call.abandoned))
        })
    }

    pub(super) fn clear(&mut self) {
        self.calls.clear();
        self.others.clear();
    }
}

/// A client that gives up a call closes its connection, and may send its next call at the same time. The
/// server can see the two in either order, and late on a busy machine. For this long, an abandoned call may
/// seem to overlap the next call. The operator waits at least one second after it gives up a call.
const CLOSING: Duration = Duration::from_secs(1);

/// From the arrival of a call to its end, if the call has ended.
type Span = (Instant, Option<Instant>);

/// The most concurrent calls for one user.
pub(super) fn max_in_flight_per_user(calls: &[Call]) -> usize {
    let mut per_user: HashMap<(&str, &str), Vec<Span>> = HashMap::new();
    for call in calls {
        let user = (call.pool.as_str(), call.username.as_str());
        per_user
            .entry(user)
            .or_default()
            .push((call.arrived, call.closed()));
    }
    per_user.into_values().map(max_overlap).max().unwrap_or(0)
}

fn max_overlap(spans: Vec<Span>) -> usize {
    // Starts count up and ends count down; of equal times the end comes first.
    let mut moments: Vec<(Instant, i32)> = Vec::with_capacity(2 * spans.len());
    for (start, end) in spans {
        moments.push((start, 1));
        moments.extend(end.map(|end| (end.max(start), -1)));
    }
    moments.sort();
    let mut now = 0;
    let mut most = 0;
    for (_, step) in moments {
        now += step;
        most = most.max(now);
    }
    usize::try_from(most).unwrap_or(0)
}

/// The calls as text for failure messages; the last 40 of many calls.
pub(super) fn render(calls: &[Call]) -> String {
    let mut text = format!("{} calls", calls.len());
    let Some(first) = calls.first() else {
        return text;
    };
    for call in &calls[calls.len().saturating_sub(40)..] {
        let at = call.arrived.duration_since(first.arrived);
        write!(
            text,
            "\n  #{} +{at:?} {}/{} {:?} permanent={} {:?}",
            call.id, call.pool, call.username, call.password, call.permanent, call.outcome
        )
        .expect("a String takes everything");
    }
    text
}

/// As [`render`], for the calls of other operations.
pub(super) fn render_others(calls: &[OtherCall]) -> String {
    let mut text = format!("{} calls", calls.len());
    let Some(first) = calls.first() else {
        return text;
    };
    for call in &calls[calls.len().saturating_sub(40)..] {
        let at = call.arrived.duration_since(first.arrived);
        write!(
            text,
            "\n  #{} +{at:?} {} {:?} {:?}",
            call.id, call.pool, call.subject, call.outcome
        )
        .expect("a String takes everything");
    }
    text
}
