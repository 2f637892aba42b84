//! What the test itself knows: which version of which Secret held which value, and how often
//! operators were killed.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::lock;

/// In every value, and nowhere else: where it turns up, a password leaked.
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
    /// The resourceVersions at which the Secret held it, and since when it is known.
    versions: Vec<(Instant, String)>,
}

impl Book {
    /// A value that this user never had. It is written down before anybody can know it.
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

    /// The Secret, with the newest value, has this resourceVersion.
    pub(crate) fn written(&self, user: &str, version: String) {
        if let Some(entry) = lock(&self.values)
            .get_mut(user)
            .and_then(|all| all.last_mut())
        {
            entry.versions.push((Instant::now(), version));
        }
    }

    /// Each write of the user's Secret, in a line.
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

    /// An operator was killed, or ended as if it had been.
    pub(crate) fn ended(&self) {
        lock(&self.kills).push(Instant::now());
    }

    pub(crate) fn kills(&self) -> Vec<Instant> {
        lock(&self.kills).clone()
    }
}
