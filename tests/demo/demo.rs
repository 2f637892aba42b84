//! `make demo`: the whole story on this machine, with a real Kubernetes API server, moto as Cognito, and the
//! operator with the rights of its own service account. The demo shows the output of kubectl, the results of
//! sign-ins, and the conditions.
//!
//! No output is scripted. If a step fails, the demo stops, shows the resource, its Events and the operator's
//! log, and exits with an error. `HOLD=1` keeps all processes up at the end. `METRICS=1` adds a chapter with a
//! real Prometheus.

mod hold;
mod metrics;
mod plot;
mod say;
mod stage;
mod story;
#[path = "../support/mod.rs"]
mod support;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;

use say::Say;
use stage::Stage;

/// The result of one step. An error is a sentence that says what went wrong.
type Step<T = ()> = Result<T, String>;

#[tokio::main]
async fn main() -> ExitCode {
    let panicked = panics_are_kept();
    let mut say = Say::new();
    let mut stage = match caught(&panicked, Stage::set(&mut say)).await {
        Ok(stage) => stage,
        Err(why) => {
            say.failed(&why, "");
            return ExitCode::FAILURE;
        }
    };
    if let Err(why) = caught(&panicked, story::tell(&mut say, &mut stage)).await {
        say.failed(&why, &stage.evidence().await);
        return ExitCode::FAILURE;
    }
    if !hold::is_wanted() {
        hold::what_next(&say);
        return ExitCode::SUCCESS;
    }
    match caught(&panicked, hold::hold(&mut say, &stage)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say.failed(&why, "");
            ExitCode::FAILURE
        }
    }
}

/// Runs a part of the demo. A panic of the test support becomes the error.
async fn caught<T>(panicked: &PanicMessage, part: impl Future<Output = Step<T>>) -> Step<T> {
    match AssertUnwindSafe(Box::pin(part)).catch_unwind().await {
        Ok(done) => done,
        Err(_) => Err(panicked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_else(|| "it panicked".to_owned())),
    }
}

type PanicMessage = Arc<Mutex<Option<String>>>;

/// Keeps the message of a panic, instead of printing the message in the middle of the story.
fn panics_are_kept() -> PanicMessage {
    let kept = PanicMessage::default();
    let writer = kept.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload_as_str().unwrap_or("it panicked").to_owned();
        *writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }));
    kept
}
