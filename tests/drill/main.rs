//! The drills: the real operator, a real API server and a Cognito with a password history, under faults.
//! Users' Secrets change all the time. In the end, every user's password is the Secret's value, and no status
//! was ever false.
//!
//! `make test` includes a short form, without the drill `saboteur`, which takes minutes. `make drill` is the long
//! form, with `ROUNDS` and `SEED`. Arguments select drills by name.

mod api_server;
mod book;
mod checks;
mod crash;
mod faults;
mod judge;
#[allow(
    dead_code,
    reason = "the end-to-end tests' own: only the check at the end of a world"
)]
#[path = "../e2e/kstatus.rs"]
mod kstatus;
mod leaders;
mod observer;
mod replica;
mod report;
mod saboteur;
mod say;
mod scene;
mod settings;
mod sign_outs;
#[path = "../support/mod.rs"]
mod support;
mod together;
#[allow(
    dead_code,
    reason = "the end-to-end tests' own, of which the drills use a part"
)]
#[path = "../e2e/world.rs"]
mod world;

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use report::Report;
use settings::Settings;

type Drill = fn(Settings) -> Pin<Box<dyn Future<Output = Report>>>;

const DRILLS: [(&str, Drill); 8] = [
    ("crash", |settings| Box::pin(crash::drill(settings))),
    ("faults", |settings| Box::pin(faults::drill(settings))),
    ("api-server", |settings| {
        Box::pin(api_server::drill(settings))
    }),
    ("leaders", |settings| Box::pin(leaders::drill(settings))),
    ("both-act", |settings| Box::pin(leaders::both_act(settings))),
    ("together", |settings| Box::pin(together::drill(settings))),
    ("sign-outs", |settings| Box::pin(sign_outs::drill(settings))),
    (SABOTEUR, |settings| Box::pin(saboteur::drill(settings))),
];

/// This drill takes minutes. The short form has it only if an argument selects it.
const SABOTEUR: &str = "saboteur";

fn main() -> ExitCode {
    let settings = Settings::from_environment();
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    let is_wanted = |name: &str| {
        let is_selected = wanted.iter().any(|it| name.contains(&**it));
        is_selected || wanted.is_empty() && (settings.is_long() || name != SABOTEUR)
    };
    let drills = DRILLS.into_iter().filter(|(name, _)| is_wanted(name));
    let drills: Vec<_> = drills.collect();
    if drills.is_empty() {
        return ExitCode::SUCCESS;
    }
    say::plain(&format!("drills, {settings}"));
    let playing: Vec<_> = drills
        .into_iter()
        .map(|(name, drill)| (name, std::thread::spawn(move || play(drill, settings))))
        .collect();
    let reports = playing.into_iter().map(|(name, drill)| {
        drill.join().unwrap_or_else(|panic| {
            let said = panic.downcast::<String>();
            Report::of_a_panic(name, said.map_or("it panicked".to_owned(), |said| *said))
        })
    });
    let reports: Vec<_> = reports.collect();
    for report in reports
        .iter()
        .filter(|report| !report.violations.is_empty())
    {
        say::plain(&format!("\nVIOLATIONS of {}, {settings}:", report.drill));
        for violation in &report.violations {
            say::plain(&format!("  {violation}"));
        }
        say::plain(&report.evidence);
    }
    say::plain(&format!("\n{}\n{settings}", report::table(&reports)));
    let failed = reports.iter().any(|report| !report.violations.is_empty());
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Runs the drill on a runtime of its own, so that a blocked drill delays no other drill.
fn play(drill: Drill, settings: Settings) -> Report {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime
        .expect("a runtime can be made")
        .block_on(drill(settings))
}

/// Ignores a poisoned lock: a drill that panicked with the lock must not hide its own message behind
/// "poisoned".
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
