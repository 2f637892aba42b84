//! Reads the API server's audit log: which user sent which requests, and how often.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

/// The first matching rule counts. Lists and watches of the operator's resources are logged without bodies,
/// because ten thousand resources make a line of ten megabytes. Of other objects, the log has every write of
/// a service account, but no reads, which may be Secrets. Requests of the tests themselves, as administrator,
/// are logged only for the operator's resources.
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

/// A point in time: later requests are new. The length of the log alone can't separate the requests. On a
/// busy machine a request is logged after other clients have seen its effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The length of the log at that time.
    length: u64,
    /// The time by the clock that the test shares with the API server.
    at: Timestamp,
}

impl Mark {
    /// Whether the API server got this event's request after the mark. A watch always counts as new, because
    /// its last entry is written when the watch ends.
    fn is_before(self, event: &Value) -> bool {
        let received = event["requestReceivedTimestamp"].as_str();
        let received = received.and_then(|at| at.parse::<Timestamp>().ok());
        event["verb"] == "watch" || received.is_none_or(|at| at >= self.at)
    }
}

/// Selects requests. A field that is not set matches every request.
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

    /// A user name, for example `system:serviceaccount:NAMESPACE:NAME`.
    pub(crate) fn user(self, user: &str) -> Self {
        self.want("/user/username", user)
    }

    pub(crate) fn verb(self, verb: &str) -> Self {
        self.want("/verb", verb)
    }

    /// The plural of the resource: `secrets`, `cognitouserpasswords`.
    pub(crate) fn resource(self, resource: &str) -> Self {
        self.want("/objectRef/resource", resource)
    }

    /// The subresource; empty for the resource itself.
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

    /// Returns one entry per request: the last entry in the log. A watch has one entry for its start and one
    /// for its end.
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

/// Set on an entry whose watch began after the mark; not set if the watch only ended after the mark.
const BEGUN: &str = "begun";

/// Whether a request lists objects: a list, or the start of a watch that sends the initial events.
pub(crate) fn is_list(request: &Value) -> bool {
    let uri = request["requestURI"].as_str().unwrap_or_default();
    request["verb"] == "list" || (request[BEGUN] == true && uri.contains("sendInitialEvents=true"))
}

/// The current time and the current length of the log.
pub(crate) fn mark(log: &Path) -> Mark {
    Mark {
        length: std::fs::metadata(log).map_or(0, |metadata| metadata.len()),
        at: Timestamp::now(),
    }
}

/// The log's lines of service accounts' requests since the mark, if the line contains one of these names.
pub(crate) fn lines(log: &Path, since: Mark, names: &[&str]) -> Vec<u8> {
    let text = text(log, since);
    let is_meant = |line: &&str| {
        line.contains(r#""user":{"username":"system:serviceaccount:"#)
            && names.iter().any(|name| line.contains(name))
    };
    let lines = text.split_inclusive('\n').filter(is_meant);
    lines.collect::<String>().into_bytes()
}

/// A version of an object that the API server stored, and who made it.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) object: Value,
    /// A user name, as in [`AuditQuery::user`].
    pub(crate) writer: String,
    /// The subresource that was written, such as `status`; empty for the object itself.
    pub(crate) subresource: String,
}

/// Every version of the operator's resources that the API server's answers contain since this offset, and the
/// offset after them. The answer to a write has the version that the write made, so no version is left out.
pub(crate) fn versions(log: &Path, offset: u64) -> (Vec<Version>, u64) {
    let since = Mark {
        length: offset,
        ..Mark::default()
    };
    let text = text(log, since);
    // The API server may be writing the last line.
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let events = text[..whole].lines().filter_map(|line| {
        // Most lines have no object, or are large requests by others.
        let is_ours = line.contains(r#""responseObject":{"#)
            && line.contains(r#""apiGroup":"cognito-password-operator.io""#);
        is_ours.then(|| serde_json::from_str::<Value>(line).ok())?
    });
    let of = |event: &Value, pointer| {
        let text = event.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let versions = events.filter_map(|mut event| {
        let uri = of(&event, "/requestURI");
        let object = event["responseObject"].take();
        let is_object = object["metadata"]["uid"].is_string() && object["spec"].is_object();
        (is_object && !uri.contains("dryRun=")).then(|| Version {
            object,
            writer: of(&event, "/user/username"),
            subresource: of(&event, "/objectRef/subresource"),
        })
    });
    (versions.collect(), offset + whole as u64)
}

/// All whole lines since the mark. The API server writes an event before its answer, so every answered
/// request is in the log.
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
