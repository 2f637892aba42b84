//! Child processes that cannot outlive the process that started them.
//!
//! A destructor is not enough: statics are never dropped, and `kill -9` runs no destructors. The kernel's
//! parent-death signal is not enough either: it follows the thread that forked, and test threads end early.
//! So each child runs under a short shell script, whose standard input is a pipe from the test process. When
//! the test process ends, in whatever way, the pipe closes, `read` returns and the script kills the child.

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use tokio::sync::watch;

/// The guard script. `$1` is the log file, `$2` the tenths of a second between SIGTERM and SIGKILL (0:
/// SIGKILL at once); the rest is the command. Prints the child's pid, and exits with the child's status.
const GUARD: &str = r#"
exec 3<&0
log=$1 grace=$2
shift 2
"$@" </dev/null >>"$log" 2>&1 3<&- &
pid=$!
(
  read -r _ <&3
  if [ "$grace" -gt 0 ]; then
    kill -TERM "$pid"
    while [ "$grace" -gt 0 ] && kill -0 "$pid"; do
      sleep 0.1
      grace=$((grace - 1))
    done
  fi
  kill -KILL "$pid"
) >/dev/null 2>&1 &
guard=$!
echo "$pid"
exec >/dev/null
wait "$pid"
status=$?
kill -KILL "$guard"
wait "$guard"
exit "$status"
"#;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    pub(crate) fn success(self) -> bool {
        self == Exit::Code(0)
    }
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Spec {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    clean_env: bool,
    log: PathBuf,
    grace: Duration,
}

impl Spec {
    /// `log` receives both stdout and stderr.
    pub(crate) fn new(name: &str, program: &Path, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            clean_env: false,
            log,
            grace: Duration::ZERO,
        }
    }

    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Removes the environment except PATH: the child gets only the variables of `env`.
    pub(crate) fn clean_env(mut self) -> Self {
        self.clean_env = true;
        self
    }

    /// A drop sends SIGTERM first, and SIGKILL after this time. The default is SIGKILL at once, which is
    /// right for every process whose data is thrown away.
    pub(crate) fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    pub(crate) fn spawn(self) -> Process {
        Process::spawn(self)
    }
}

/// A child that runs or has ended. A drop ends the child, and returns when the child is gone.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    pid: Pid,
    log: PathBuf,
    exit: watch::Receiver<Option<Exit>>,
    stdin: Mutex<Option<ChildStdin>>,
    waiter: Mutex<Option<JoinHandle<()>>>,
}

impl Process {
    fn spawn(spec: Spec) -> Self {
        let Spec {
            name,
            program,
            args,
            env,
            clean_env,
            log,
            grace,
        } = spec;
        let mut command = Command::new("sh");
        if clean_env {
            command.env_clear();
            if let Some(path) = std::env::var_os("PATH") {
                command.env("PATH", path);
            }
        }
        let mut shell = command
            .args(["-c", GUARD, "guard"])
            .arg(&log)
            .arg((grace.as_millis() / 100).to_string())
            .arg(&program)
            .args(&args)
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal reaches only the test process; the child then ends by the closed pipe.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start sh for {name}: {error}"));
        let stdin = shell.stdin.take();
        let stdout = shell.stdout.take().expect("stdout was piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .unwrap_or_else(|error| panic!("could not read the pid of {name}: {error}"));
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.unwrap_or_else(|| panic!("{name} did not start: '{line}'"));

        let (ended, exit) = watch::channel(None);
        let waiter = std::thread::spawn(move || {
            let exit = match shell.wait() {
                // The shell reports a child that died of signal N as 128 + N.
                Ok(status) => match (status.code(), status.signal()) {
                    (Some(code), _) if code > 128 => Exit::Signal(code - 128),
                    (Some(code), _) => Exit::Code(code),
                    (None, signal) => Exit::Signal(signal.unwrap_or_default()),
                },
                Err(_) => Exit::Code(-1),
            };
            ended.send_replace(Some(exit));
        });
        Self {
            name,
            pid,
            log,
            exit,
            stdin: Mutex::new(stdin),
            waiter: Mutex::new(Some(waiter)),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.exit().is_none()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        is_stopped(self.pid())
    }

    /// Sends a signal, unless the child has ended: another process may have its pid now.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.is_running() {
            // Ignore the error of a child that ended in this moment.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Sends SIGSTOP, and returns when the child has stopped; SIGCONT continues it. Without the wait, the
    /// child could get a later signal first.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        while self.is_running() && !self.is_stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for the child's end. The error after `deadline` contains the end of the child's log.
    pub(crate) async fn ended(&self, deadline: Duration) -> Result<Exit, String> {
        let mut exit = self.exit.clone();
        let ended = tokio::time::timeout(deadline, exit.wait_for(Option::is_some)).await;
        match ended {
            Ok(Ok(exit)) => Ok(exit.expect("wait_for saw it")),
            Ok(Err(_)) => Err(format!("nobody waits for {} any more", self.name)),
            Err(_) => Err(format!(
                "{} is still running after {deadline:?}; the end of its log:\n{}",
                self.name,
                self.log_tail()
            )),
        }
    }

    /// Sends SIGKILL, and returns when the child is gone.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        self.join();
    }

    /// Everything that the child wrote to stdout and stderr.
    pub(crate) fn logs(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn log_path(&self) -> &Path {
        &self.log
    }

    /// The last lines of the log, for error messages.
    pub(crate) fn log_tail(&self) -> String {
        let logs = self.logs();
        let lines: Vec<&str> = logs.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn join(&self) {
        let waiter = lock(&self.waiter).take();
        if let Some(waiter) = waiter {
            // The thread only waits for the shell and does not panic.
            let _ = waiter.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(lock(&self.stdin).take());
        self.join();
    }
}

fn is_stopped(pid: i32) -> bool {
    // Linux has the state in a file, other systems print the state with `ps`. The name in parentheses may
    // contain anything.
    let state = match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().unwrap_or_default().to_owned(),
        Err(_) => Command::new("ps")
            .args(["-o", "state=", "-p", &pid.to_string()])
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default(),
    };
    state.trim_start().starts_with('T')
}

/// Ignores a poisoned lock: a test that panicked with the lock must not hide its own message behind
/// "poisoned".
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
