//! What the drill itself did: the value of each Secret at each resourceVersion, and how often operators were
//! killed.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::lock;

/// A part of every value, and of no other text. A text with the marker contains a password.
pub(crate) const MARKER: &str = "dRi11-";

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// By user, oldest first.
    values: Mutex<HashMap<String, Vec<Entry>>>,
    kills: Mutex<Vec<Instant>>,
}

/// One value of a user's Secret.
#[derive(Clone, Debug)]
struct Entry {
    value: String,
    /// The resourceVersions at which the Secret had the value, each with the time when the drill learned the
    /// version.
    versions: Vec<(Instant, String)>,
}

impl Book {
    /// A value that this user never had. The book records the value before any other program can see the
    /// value.
    pub(crate) fn new_value(&self, user: &str, random: u64) -> String {
        let mut values = lock(&self.values);
        let entries = values.entry(user.to_owned()).or_default();
        let value = format!("{MARKER}{user}-{}-{random:08x}", entries.len());
        entries.push(Entry {
            value: value.clone(),
            versions: Vec::new(),
        });
        value
    }

    /// Notes that the Secret has this resourceVersion, with the newest value.
    pub(crate) fn written(&self, user: &str, version: String) {
        if let Some(entry) = lock(&self.values)
            .get_mut(user)
            .and_then(|all| all.last_mut())
        {
            entry.versions.push((Instant::now(), version));
        }
    }

    /// Each write of the user's Secret, as a line of text.
    pub(crate) fn written_at(&self, user: &str) -> Vec<(Instant, String)> {
        let values = lock(&self.values);
        let entries = values.get(user).into_iter().flatten();
        let lines = entries.flat_map(|entry| {
            let line = |version| format!("the Secret, at {version}, has {}", entry.value);
            entry
                .versions
                .iter()
                .map(move |(at, version)| (*at, line(version)))
        });
        lines.collect()
    }

    pub(crate) fn newest(&self, user: &str) -> Option<String> {
        let values = lock(&self.values);
        Some(values.get(user)?.last()?.value.clone())
    }

    /// The value at this resourceVersion of the user's Secret.
    pub(crate) fn value_at(&self, user: &str, version: &str) -> Option<String> {
        let values = lock(&self.values);
        let held = |entry: &&Entry| entry.versions.iter().any(|(_, its)| its == version);
        let entry = values.get(user)?.iter().find(held)?;
        Some(entry.value.clone())
    }

    /// How many values all Secrets had together.
    pub(crate) fn changes(&self) -> usize {
        lock(&self.values).values().map(Vec::len).sum()
    }

    /// Notes the end of an operator that was killed, or that ended as abruptly.
    pub(crate) fn ended(&self) {
        lock(&self.kills).push(Instant::now());
    }

    pub(crate) fn kills(&self) -> Vec<Instant> {
        lock(&self.kills).clone()
    }
}
