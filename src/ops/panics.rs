//! Logs panics: the place, the backtrace, and the message only if the message is a constant of the program.
//!
//! A formatted message can quote the data at hand. `str` slicing quotes the text that it can't cut. `unwrap`
//! prints the error, and an error can contain all of the bytes that are not UTF-8. A password in memory could
//! get into the log that way.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{PanicHookInfo, set_hook};
use tracing::error;

/// Replaces a formatted message.
const WITHHELD: &str = "(withheld: the message may quote a secret)";

/// Sends panics to the log instead of standard error from now on. Adds a backtrace if `RUST_BACKTRACE` asks
/// for one.
pub(super) fn log_panics() {
    set_hook(Box::new(log));
}

fn log(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = info.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured)
        .then(|| on_one_line(&backtrace.to_string()));
    error!(
        why = constant_message(info.payload()),
        place,
        thread = thread.name(),
        backtrace,
        "panicked"
    );
}

/// A panic message without arguments is a `&'static str`; any other message is a `String`.
fn constant_message(payload: &dyn Any) -> &'static str {
    payload.downcast_ref().copied().unwrap_or(WITHHELD)
}

/// Every entry of the log is one line.
fn on_one_line(backtrace: &str) -> String {
    let frames: Vec<_> = backtrace.lines().map(str::trim).collect();
    frames.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{catch_unwind, panic_any};

    fn message_of(panic: impl FnOnce() + std::panic::UnwindSafe) -> &'static str {
        let payload = catch_unwind(panic).expect_err("it panics");
        constant_message(payload.as_ref())
    }

    #[test]
    fn only_a_constant_message_is_logged() {
        assert_eq!(message_of(|| panic!("no value")), "no value");
        assert_eq!(message_of(|| panic_any("no value")), "no value");
        let (secret, cut) = ("ünï-secret".to_owned(), std::hint::black_box(1));
        let unread = String::from_utf8(vec![0xff; 8]);
        assert_eq!(message_of(move || panic!("no {secret}")), WITHHELD);
        assert_eq!(message_of(move || drop("ünï"[..cut].to_owned())), WITHHELD);
        assert_eq!(message_of(move || drop(unread.expect("text"))), WITHHELD);
        assert_eq!(message_of(|| panic_any(5)), WITHHELD);
    }

    #[test]
    fn a_backtrace_is_one_line() {
        let line = on_one_line("   0: here\n             at src/here.rs:1\n   1: there\n");
        assert_eq!(line, "0: here at src/here.rs:1 1: there");
    }
}
