//! Checks that no password is anywhere but in its Secret and in Cognito. A test notes the values of its
//! Secrets. At the end of the test, everything that its operators left is searched for these values. So every
//! test is also a test for leaks.

mod remains;
mod spellings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aho_corasick::AhoCorasick;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};

use super::audit::Mark;
use super::control_plane::{ControlPlane, on_a_runtime_of_its_own};
use super::fault_server::FaultServer;
use super::operator;
use super::process::lock;
pub(crate) use remains::Remains;
pub(crate) use spellings::spellings;

/// A place to search: its name and its whole text.
pub(crate) type Place = (&'static str, Vec<u8>);

/// Values that are parts of many texts, so that finding one proves nothing. Every other value must be long
/// enough to search for.
const TOO_COMMON: [&str; 5] = [
    "",   // no value
    "P",  // one character
    "ab", // two characters
    "x",  // a key that no resource names
    "y",
];
const LONG_ENOUGH: usize = 8;

/// The search for the values of a namespace, among the traces of its operators.
#[derive(Debug)]
pub(crate) struct Leaks<'a> {
    plane: &'a ControlPlane,
    namespace: String,
    /// The user whose requests are searched, besides requests about the namespace.
    credential: String,
    cognito: Arc<FaultServer>,
    since: Mark,
    values: Arc<Mutex<BTreeSet<Vec<u8>>>>,
    remains: Arc<Remains>,
    is_over: bool,
}

impl<'a> Leaks<'a> {
    /// Collects values from now on.
    pub(crate) fn watch(
        plane: &'a ControlPlane,
        namespace: &str,
        credential: &str,
        (cognito, remains): (&Arc<FaultServer>, &Arc<Remains>),
    ) -> Self {
        Self {
            plane,
            namespace: namespace.to_owned(),
            credential: credential.to_owned(),
            cognito: Arc::clone(cognito),
            since: plane.audit_mark(),
            values: Arc::default(),
            remains: Arc::clone(remains),
            is_over: false,
        }
    }

    /// Collects for another namespace too, with the values of both.
    pub(crate) fn beside(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            credential: self.credential.clone(),
            cognito: Arc::clone(&self.cognito),
            values: Arc::clone(&self.values),
            remains: Arc::clone(&self.remains),
            ..*self
        }
    }

    /// Notes a value that is in a Secret now, or will be.
    pub(crate) fn note(&self, value: &[u8]) {
        lock(&self.values).insert(value.to_owned());
    }

    /// Every place that contains a value but must not. Ends the collection: the drop searches nothing more.
    pub(crate) fn found(&mut self) -> Vec<Leak> {
        self.is_over = true;
        let mut values = BTreeSet::new();
        on_a_runtime_of_its_own(|| async {
            values = self.known(&self.plane.client().await).await;
        });
        let places = self.places();
        let mut leaks = search(&places, &values);
        leaks.extend(
            places
                .iter()
                .filter(|(name, _)| *name == "log")
                .flat_map(uncapped),
        );
        leaks
    }

    /// Everything that other users can read, as of now.
    pub(crate) fn places(&self) -> Vec<Place> {
        let mut places = self.remains.places();
        let names = [&*self.credential, &*self.namespace];
        places.push(("requests", self.plane.audit_lines(self.since, &names)));
        // A test may have stopped the API server. The logged requests then contain what operators wrote.
        if self.plane.api_server_pid().is_some() {
            on_a_runtime_of_its_own(|| async {
                places.extend(self.objects(&self.plane.client().await).await);
            });
        }
        places
    }

    /// The noted values, the values in the namespace's Secrets, and the values that Cognito got.
    async fn known(&self, client: &kube::Client) -> BTreeSet<Vec<u8>> {
        let mut values = lock(&self.values).clone();
        let told = self.cognito.calls().into_iter();
        values.extend(told.map(|call| call.password.into_bytes()));
        if self.plane.api_server_pid().is_some() {
            let secrets: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
            let list = secrets.list(&ListParams::default()).await;
            let list = list.unwrap_or_else(|error| panic!("could not list Secrets: {error}"));
            let data = list.items.into_iter().filter_map(|secret| secret.data);
            values.extend(data.flatten().map(|(_, value)| value.0));
        }
        values
    }

    /// The objects that operators write, including managed fields.
    async fn objects(&self, client: &kube::Client) -> Vec<Place> {
        let mut places = Vec::new();
        let (ours, theirs) = (operator::NAMESPACE, &*self.namespace);
        let objects = [
            ("events", format!("/api/v1/namespaces/{theirs}/events")),
            (
                "resources",
                format!(
                    "/apis/cognito-password-operator.io/v1alpha1/namespaces/{theirs}/cognitouserpasswords"
                ),
            ),
            (
                "leases",
                format!("/apis/coordination.k8s.io/v1/namespaces/{ours}/leases"),
            ),
            (
                "the operator's Secrets",
                format!("/api/v1/namespaces/{ours}/secrets"),
            ),
        ];
        for (name, path) in objects {
            let request = hyper::Request::get(&path).body(Vec::new());
            let asked = client.request_text(request.expect("the request is well-formed"));
            let answer = tokio::time::timeout(Duration::from_mins(2), asked).await;
            let answer = answer.map_err(|_| "no answer within two minutes".to_owned());
            let text = answer.and_then(|text| text.map_err(|error| error.to_string()));
            let text = text.unwrap_or_else(|error| panic!("could not read {path}: {error}"));
            places.push((name, text.into_bytes()));
        }
        places
    }
}

impl Drop for Leaks<'_> {
    fn drop(&mut self) {
        // A test that panics already has its own message.
        if self.is_over || std::thread::panicking() {
            return;
        }
        let leaks = self.found();
        let said: Vec<_> = leaks.iter().map(Leak::to_string).collect();
        assert!(leaks.is_empty(), "leaked: {}", said.join("\n\n"));
    }
}

/// Lines of libraries at a level at which a library may print anything, whatever the line says.
fn uncapped((place, log): &Place) -> Vec<Leak> {
    let log = String::from_utf8_lossy(log);
    let is_uncapped = |line: &&str| {
        [r#""level":"TRACE""#, r#""level":"DEBUG""#]
            .iter()
            .any(|level| line.contains(level))
            && !line.contains(r#""target":"cognito_password_operator"#)
    };
    let lines = log.lines().filter(is_uncapped).take(3);
    let leaks = lines.map(|line| Leak {
        place,
        spelling: "any".to_owned(),
        value: "what a library said".to_owned(),
        around: line.to_owned(),
    });
    leaks.collect()
}

/// A value in a place where it must not be.
#[derive(Debug)]
pub(crate) struct Leak {
    pub(crate) place: &'static str,
    pub(crate) spelling: String,
    pub(crate) value: String,
    around: String,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            spelling,
            value,
            around,
        } = self;
        write!(
            f,
            "{value:?} is in the {place}, as {spelling}: ..{around}.."
        )
    }
}

/// Searches all places for every spelling of the values. Reports each spelling once per place.
pub(crate) fn search(places: &[Place], values: &BTreeSet<Vec<u8>>) -> Vec<Leak> {
    let is_common = |value: &[u8]| TOO_COMMON.iter().any(|it| it.as_bytes() == value);
    let (mut named, mut needles) = (Vec::new(), Vec::new());
    for value in values.iter().filter(|value| !is_common(value)) {
        let shown = String::from_utf8_lossy(value);
        assert!(
            value.len() >= LONG_ENOUGH,
            "{shown:?} is too short to be looked for: take a longer value"
        );
        for (spelling, needle) in spellings(value) {
            named.push((spelling, shown.clone()));
            needles.push(needle);
        }
    }
    let automaton = AhoCorasick::new(&needles).expect("these are few");
    let mut found = BTreeMap::new();
    for (place, text) in places {
        for hit in automaton.find_overlapping_iter(text) {
            let (spelling, value) = &named[hit.pattern().as_usize()];
            found.entry((*place, spelling, value)).or_insert_with(|| {
                let from = hit.start().saturating_sub(200);
                let to = text.len().min(hit.end() + 200);
                String::from_utf8_lossy(&text[from..to]).into_owned()
            });
        }
    }
    let found = found.into_iter();
    found
        .map(|((place, spelling, value), around)| Leak {
            place,
            spelling: spelling.clone(),
            value: value.to_string(),
            around,
        })
        .collect()
}
