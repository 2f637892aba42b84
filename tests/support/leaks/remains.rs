//! What operators leave behind: their logs, their last answers, and what `/proc` shows of their processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::super::http;
use super::super::process::lock;
use super::Place;

/// The traces of all operators of one builder and its clones.
#[derive(Debug, Default)]
pub(crate) struct Remains(Mutex<Vec<Remain>>);

#[derive(Debug)]
struct Remain {
    pid: i32,
    port: u16,
    log: PathBuf,
    has_ended: bool,
    /// What the last inspection found, by name.
    seen: BTreeMap<&'static str, Vec<u8>>,
}

impl Remains {
    /// Records a started operator. Returns its number.
    pub(crate) fn add(&self, pid: i32, port: u16, log: &Path) -> usize {
        let mut all = lock(&self.0);
        all.push(Remain {
            pid,
            port,
            log: log.to_owned(),
            has_ended: false,
            seen: BTreeMap::new(),
        });
        all.len() - 1
    }

    /// Inspects an operator that is about to end, as far as the operator still answers.
    pub(crate) fn look(&self, number: usize) {
        let (pid, port) = {
            let one = &lock(&self.0)[number];
            (one.pid, one.port)
        };
        let seen = look(pid, port);
        lock(&self.0)[number].seen.extend(seen);
    }

    /// Ends the inspections of an operator: another process may get its pid and its port.
    pub(crate) fn ended(&self, number: usize) {
        lock(&self.0)[number].has_ended = true;
    }

    /// Everything by name; the logs are read now.
    pub(crate) fn places(&self) -> Vec<Place> {
        let numbers = 0..lock(&self.0).len();
        for number in numbers {
            if !lock(&self.0)[number].has_ended {
                self.look(number);
            }
        }
        let all = lock(&self.0);
        let of_one = |one: &Remain| {
            let log = std::fs::read(&one.log).unwrap_or_default();
            let seen = one.seen.iter().map(|(name, text)| (*name, text.clone()));
            seen.chain([("log", log)]).collect::<Vec<_>>()
        };
        all.iter().flat_map(of_one).collect()
    }
}

fn look(pid: i32, port: u16) -> BTreeMap<&'static str, Vec<u8>> {
    let of_process = |file: &str| std::fs::read(format!("/proc/{pid}/{file}"));
    let served = |path: &str| http::get_blocking(port, path);
    let seen = [
        ("environment", of_process("environ")),
        ("command line", of_process("cmdline")),
        ("metrics", served("/metrics")),
        ("readiness", served("/readyz")),
    ];
    let seen = seen
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.ok()?)));
    seen.collect()
}
