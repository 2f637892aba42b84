//! Prints the progress of the drills: one line each, with the drill's name and the time.
#![allow(clippy::print_stdout, reason = "what is said is this program's output")]

use std::io::Write;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Say {
    drill: &'static str,
    started: Instant,
}

impl Say {
    pub(crate) fn new(drill: &'static str) -> Self {
        Self {
            drill,
            started: Instant::now(),
        }
    }

    pub(crate) fn line(self, text: &str) {
        let at = self.started.elapsed().as_secs_f64();
        plain(&format!("{at:>7.1} s  {:<11}{text}", self.drill));
    }
}

pub(crate) fn plain(text: &str) {
    println!("{text}");
    // If the reader of the output is gone, the rest is lost.
    let _ = std::io::stdout().flush();
}

/// 43 ms, 3.2 s.
pub(crate) fn time(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}
