//! Child processes: signals, ends, and no child that outlives its parent.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use crate::support::{Exit, Process, Signal, Spec, eventually, scratch};

const SOON: Duration = Duration::from_mins(2);

/// Set for the copy of this test binary that the next test kills.
const VICTIM: &str = "CPO_TEST_VICTIM";

pub(super) fn exists(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

fn sh(script: &str) -> Spec {
    Spec::new("script", Path::new("sh"), scratch("script").join("log")).args(["-c", script])
}

/// Waits until the script has printed `ready`.
async fn started(process: &Process) {
    eventually(SOON, async || {
        let logs = process.logs();
        if logs.contains("ready") {
            Ok(())
        } else {
            Err(logs)
        }
    })
    .await;
}

#[tokio::test]
async fn output_and_exit_status_arrive() {
    let process = sh("echo to stdout; echo to stderr >&2; exit 7").spawn();
    assert_eq!(process.ended(SOON).await, Ok(Exit::Code(7)));
    assert_eq!(process.logs(), "to stdout\nto stderr\n");
}

#[tokio::test]
async fn signals_reach_the_child_itself() {
    let process = sh("trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    let process = process.spawn();
    started(&process).await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended(SOON).await, Ok(Exit::Code(3)));
    assert!(process.logs().ends_with("asked\n"));

    let process = sh("echo ready; exec sleep 1000").spawn();
    started(&process).await;
    process.pause();
    process.signal(Signal::TERM);
    let stopped = process.ended(Duration::from_millis(300)).await;
    let stopped = stopped.expect_err("a stopped process doesn't hear SIGTERM");
    assert!(stopped.contains("still running"), "{stopped}");
    process.signal(Signal::CONT);
    assert_eq!(process.ended(SOON).await, Ok(Exit::Signal(15)));
}

#[tokio::test]
async fn a_killed_child_is_gone_when_kill_returns() {
    let process = sh("echo ready; exec sleep 1000").spawn();
    let pid = process.pid();
    assert!(exists(pid));
    process.kill();
    assert!(!exists(pid));
    assert_eq!(process.exit(), Some(Exit::Signal(9)));
}

#[tokio::test]
async fn a_dropped_child_is_gone() {
    let process = sh("exec sleep 1000").spawn();
    let pid = process.pid();
    drop(process);
    assert!(!exists(pid));
}

#[tokio::test]
async fn a_dropped_child_gets_its_grace_and_no_more() {
    let log = scratch("grace").join("log");
    let path = log.display();
    let process = sh(&format!(
        "trap 'echo asked >>{path}; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    ));
    let process = process.grace(SOON).spawn();
    started(&process).await;
    drop(process);
    let said = std::fs::read_to_string(&log).expect("it was asked before it was killed");
    assert_eq!(said, "asked\n");

    let process = sh("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    let process = process.grace(Duration::from_millis(300)).spawn();
    started(&process).await;
    let pid = process.pid();
    drop(process);
    assert!(!exists(pid), "it didn't want to go");
}

/// Not a test by itself: the next test starts this process and kills it.
#[tokio::test]
async fn victim() {
    use std::io::Write;

    if std::env::var_os(VICTIM).is_some() {
        let process = sh("echo ready; exec sleep 1000").spawn();
        started(&process).await;
        // Writes past the test harness, which captures the output of `println!`.
        writeln!(
            std::io::stdout(),
            "child={} in {}",
            process.pid(),
            process.log_path().display()
        )
        .expect("who started us listens");
        std::thread::sleep(Duration::from_secs(1000));
    }
}

#[tokio::test]
async fn nothing_outlives_a_test_process_that_is_killed() {
    use std::io::{BufRead, BufReader};

    let mut victim = Command::new(std::env::current_exe().expect("we are a program"))
        .args([
            "--exact",
            "infrastructure::processes::victim",
            "--nocapture",
        ])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("we can be started once more");
    let stdout = BufReader::new(victim.stdout.take().expect("stdout was piped"));
    let said = stdout
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("child=")?.1.to_owned()))
        .expect("the victim says what it started");
    let (pid, log) = said.split_once(" in ").expect("pid and log");
    let pid: i32 = pid.parse().expect("a pid");
    assert!(exists(pid));

    victim.kill().expect("it is ours");
    victim.wait().expect("it is ours");
    let directory = Path::new(log)
        .ancestors()
        .nth(2)
        .expect("its temporary directory");
    eventually(SOON, async || match (exists(pid), directory.exists()) {
        (false, false) => Ok(()),
        (child, files) => Err(format!("still there: child {child}, files {files}")),
    })
    .await;
}
