//! What the test says as it goes: one line each, with the time and the scene.
#![allow(clippy::print_stdout, reason = "what is said is this program's output")]

use std::io::Write;
use std::sync::LazyLock;
use std::time::Instant;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(crate) fn line(scene: &str, text: &str) {
    let at = STARTED.elapsed().as_secs();
    plain(&format!("{at:>5} s  {scene:<22}{text}"));
}

pub(crate) fn plain(text: &str) {
    println!("{text}");
    // The reader may have stopped reading.
    let _ = std::io::stdout().flush();
}
