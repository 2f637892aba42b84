//! What the API server was asked, from its audit log: who asked for what, how often.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

/// Rules are tried in order, the first that fits holds. Lists and watches of our resources without
/// their bodies (ten thousand resources make a line of ten megabytes). Of others all that service
/// accounts write, never what they read: Secrets. What the tests themselves do, as administrator,
/// only where our resources are concerned.
pub(crate) const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
  - level: Metadata
    verbs: [list, watch]
    resources: [{ group: cognito-password-operator.io }]
  - level: RequestResponse
    resources: [{ group: cognito-password-operator.io }]
  - level: Request
    userGroups: ["system:serviceaccounts"]
  - level: Metadata
    resources:
      - { group: "", resources: [secrets, events] }
      - { group: events.k8s.io, resources: [events] }
      - { group: coordination.k8s.io, resources: [leases] }
  - level: None
"#;

/// A moment: requests that the API server got after it are news. The log alone doesn't tell them apart:
/// on a busy machine a request is logged after others have seen what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The length of the log at that time.
    length: u64,
    /// By the clock that the API server has too.
    at: Timestamp,
}

impl Mark {
    /// Whether the API server got the request of this event after the moment. A watch that ends is news,
    /// whenever it began.
    fn is_before(self, event: &Value) -> bool {
        let received = event["requestReceivedTimestamp"].as_str();
        let received = received.and_then(|at| at.parse::<Timestamp>().ok());
        event["verb"] == "watch" || received.is_none_or(|at| at >= self.at)
    }
}

/// Selects requests. What isn't set doesn't matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditQuery {
    since: Mark,
    wanted: Vec<(&'static str, String)>,
}

impl AuditQuery {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn since(mut self, mark: Mark) -> Self {
        self.since = mark;
        self
    }

    /// For example `system:serviceaccount:NAMESPACE:NAME`.
    pub(crate) fn user(self, user: &str) -> Self {
        self.want("/user/username", user)
    }

    pub(crate) fn verb(self, verb: &str) -> Self {
        self.want("/verb", verb)
    }

    /// The plural: `secrets`, `cognitouserpasswords`.
    pub(crate) fn resource(self, resource: &str) -> Self {
        self.want("/objectRef/resource", resource)
    }

    /// Empty for the resource itself.
    pub(crate) fn subresource(self, subresource: &str) -> Self {
        self.want("/objectRef/subresource", subresource)
    }

    pub(crate) fn namespace(self, namespace: &str) -> Self {
        self.want("/objectRef/namespace", namespace)
    }

    pub(crate) fn name(self, name: &str) -> Self {
        self.want("/objectRef/name", name)
    }

    fn want(mut self, pointer: &'static str, value: &str) -> Self {
        self.wanted.push((pointer, value.to_owned()));
        self
    }

    fn fits(&self, event: &Value) -> bool {
        self.wanted.iter().all(|(pointer, value)| {
            let actual = event.pointer(pointer).and_then(Value::as_str);
            actual.unwrap_or_default() == value
        })
    }

    /// One entry per request, the last one said about it (a watch is in the log when it starts and
    /// again when it ends).
    pub(crate) fn run(&self, log: &Path) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::new();
        for mut event in read(log, self.since).filter(|event| self.fits(event)) {
            let earlier = found
                .iter()
                .rposition(|other| other["auditID"] == event["auditID"]);
            let begun = earlier.is_some_and(|index| found[index][BEGUN] == true);
            event[BEGUN] = (begun || event["stage"] == "ResponseStarted").into();
            match earlier {
                Some(index) if event["verb"] == "watch" => found[index] = event,
                _ => found.push(event),
            }
        }
        found
    }
}

/// Whether a watch began, and didn't only end.
const BEGUN: &str = "begun";

/// Whether a request lists: as such, or because a watch that begins tells of everything first.
pub(crate) fn is_list(request: &Value) -> bool {
    let uri = request["requestURI"].as_str().unwrap_or_default();
    request["verb"] == "list" || (request[BEGUN] == true && uri.contains("sendInitialEvents=true"))
}

/// This moment.
pub(crate) fn mark(log: &Path) -> Mark {
    Mark {
        length: std::fs::metadata(log).map_or(0, |metadata| metadata.len()),
        at: Timestamp::now(),
    }
}

/// The lines of service accounts' requests since then that have one of these names in them.
pub(crate) fn lines(log: &Path, since: Mark, names: &[&str]) -> Vec<u8> {
    let text = text(log, since);
    let is_meant = |line: &&str| {
        line.contains(r#""user":{"username":"system:serviceaccount:"#)
            && names.iter().any(|name| line.contains(name))
    };
    let lines = text.split_inclusive('\n').filter(is_meant);
    lines.collect::<String>().into_bytes()
}

/// All whole lines from `since` on. The API server writes an event before it answers, so what was
/// answered is in the log.
fn read(log: &Path, since: Mark) -> impl Iterator<Item = Value> {
    let text = text(log, since);
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    events
        .into_iter()
        .filter(move |event| since.is_before(event))
}

fn text(log: &Path, since: Mark) -> String {
    let mut text = Vec::new();
    if let Ok(mut file) = std::fs::File::open(log) {
        file.seek(SeekFrom::Start(since.length))
            .and_then(|_| file.read_to_end(&mut text))
            .expect("the audit log can be read");
    }
    String::from_utf8_lossy(&text).into_owned()
}
