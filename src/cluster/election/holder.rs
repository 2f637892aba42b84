//! The identity of a Lease's holder: a name for people, a random part that makes the identity unique to this
//! process, and marks. The marks prove later that the process is gone, so that its successor needn't wait
//! until the lease lapses.
//!
//! `NAME_RANDOM_POD_PLACE.PID.START`
//!
//! - POD is the pod's uid, or `-`. The kubelet restarts a container only after the old container has ended.
//! - PLACE is a hash of the machine's boot id and the PID namespace. PID and START (in ticks since the boot)
//!   name a process there. One `-` stands for all three if `/proc` can't be read.

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};
use sha2::{Digest, Sha256};
use std::fs;

/// A longer name is cut. Pod names have 63 characters at most in practice.
const NAME_MAX: usize = 63;

/// The identity of this process in a Lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    identity: String,
    marks: Marks,
}

/// The facts that show whether a process still runs.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Marks {
    pod: Option<String>,
    process: Option<Process>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Process {
    place: String,
    pid: i32,
    start: u64,
}

impl Holder {
    /// The identity of this process. `pod_name` and `pod_uid` come from the downward API.
    ///
    /// # Errors
    /// The system's random source fails.
    pub fn of_this_process(
        pod_name: Option<&str>,
        pod_uid: Option<&str>,
    ) -> Result<Self, getrandom::Error> {
        let random = getrandom::u64()?;
        let name = pod_name.map_or_else(hostname, str::to_owned);
        let marks = Marks {
            pod: pod_uid.map(str::to_owned),
            process: Process::of(std::process::id()),
        };
        Ok(Self::new(&name, random, marks))
    }

    fn new(name: &str, random: u64, marks: Marks) -> Self {
        let name: String = name.chars().take(NAME_MAX).collect();
        let pod = marks.pod.as_deref().unwrap_or("-");
        let process = marks.process.as_ref().map_or_else(
            || "-".to_owned(),
            |Process { place, pid, start }| format!("{place}.{pid}.{start}"),
        );
        Self {
            identity: format!("{name}_{random:016x}_{pod}_{process}"),
            marks,
        }
    }

    /// The value for `holderIdentity`.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether the process with this identity is provably gone. A frozen process is not gone.
    #[must_use]
    pub fn has_outlived(&self, identity: &str) -> bool {
        let Some(marks) = Marks::parse(identity).filter(|_| identity != self.identity) else {
            return false;
        };
        let (Some(ours), Some(its)) = (&self.marks.process, &marks.process) else {
            return false;
        };
        if ours.place == its.place {
            return its.is_gone();
        }
        // The same pod in another place is an earlier container of this pod. (In the same place, the holder
        // would be a second process beside this one, such as one by `kubectl exec`.)
        self.marks.pod.is_some() && self.marks.pod == marks.pod
    }
}

impl Holder {
    /// Whether both are pods of one Deployment. A pod's name begins with the name of its Deployment.
    #[must_use]
    pub fn is_of_same_deployment_as(&self, identity: &str) -> bool {
        let ours = deployment(&self.identity);
        ours.is_some() && ours == deployment(identity)
    }
}

/// The name of the Deployment in the identity of one of its pods: `DEPLOYMENT-HASH-RANDOM_...`. `None`
/// outside of a pod.
fn deployment(identity: &str) -> Option<&str> {
    Marks::parse(identity)?.pod?;
    let (pod, _) = identity.rsplitn(4, '_').nth(3)?.rsplit_once('-')?;
    let (deployment, _hash) = pod.rsplit_once('-')?;
    Some(deployment)
}

impl Marks {
    /// `None` for an identity of another form, such as that of another program.
    fn parse(identity: &str) -> Option<Self> {
        let mut parts = identity.rsplitn(4, '_');
        let process = parts.next()?;
        let pod = parts.next()?;
        let random = parts.next()?;
        let ours = random.len() == 16 && parts.next().is_some();
        ours.then(|| Self {
            pod: (pod != "-" && !pod.is_empty()).then(|| pod.to_owned()),
            process: Process::parse(process),
        })
    }
}

impl Process {
    /// `None` if `/proc` can't be read.
    fn of(pid: u32) -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let mut place = Sha256::new();
        place.update(boot.trim());
        place.update(namespace.to_string_lossy().as_bytes());
        let place = place
            .finalize()
            .first_chunk()
            .copied()
            .map(u64::from_be_bytes)?;
        let (start, _) = process_stat(pid.try_into().ok()?)?;
        Some(Self {
            place: format!("{place:016x}"),
            pid: pid.try_into().ok()?,
            start,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let process = Self {
            place: parts.next()?.to_owned(),
            pid: parts.next()?.parse().ok()?,
            start: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(process)
    }

    /// Valid only if both processes are in the same place.
    fn is_gone(&self) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return false;
        };
        match process_stat(self.pid) {
            Some((start, state)) => start != self.start || matches!(state, 'Z' | 'X'),
            // The process is gone or hidden: `/proc` may be mounted with hidepid, and this program isn't
            // dumpable. The errno of a test signal tells which.
            None => test_kill_process(pid) == Err(Errno::SRCH),
        }
    }
}

/// A process's start time, in ticks since the boot, and its state.
fn process_stat(pid: i32) -> Option<(u64, char)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The process name in parentheses may contain any character.
    let (_, fields) = line.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // The start time is field 22; the state was field 3.
    let start = fields.nth(18)?.parse().ok()?;
    Some((start, state))
}

fn hostname() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustix::process::{Signal, kill_process};
    use std::process::{Child, Command};

    fn child() -> Child {
        Command::new("sleep").arg("1000").spawn().expect("sleep")
    }

    fn pid(child: &Child) -> i32 {
        child.id().try_into().expect("a pid")
    }

    fn holder(pod: Option<&str>, process: Option<Process>) -> Holder {
        let pod = pod.map(str::to_owned);
        Holder::new("other", 7, Marks { pod, process })
    }

    /// Waits until the process is in this state, because the kernel changes the state with a delay.
    fn wait_for_state(pid: i32, wanted: char) {
        while process_stat(pid).is_none_or(|(_, state)| state != wanted) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_identity_is_unique_to_a_process_and_names_pod_or_host() {
        let pod = || Holder::of_this_process(Some("operator-6d9-x2x7p"), Some("0f9e-36"));
        let (one, two) = (pod().expect("random"), pod().expect("random"));
        assert_ne!(one.identity(), two.identity());
        assert!(one.identity().starts_with("operator-6d9-x2x7p_"));
        assert_eq!(Marks::parse(one.identity()), Some(one.marks.clone()));
        assert_eq!(one.marks.pod.as_deref(), Some("0f9e-36"));
        let long = Holder::of_this_process(Some(&"n".repeat(253)), Some(&"u".repeat(36)));
        let long = long.expect("random");
        assert!(long.identity().len() < 180, "{}", long.identity());

        let outside = Holder::of_this_process(None, None).expect("random");
        assert!(outside.identity().starts_with(&hostname()));
        assert_eq!(Marks::parse(outside.identity()), Some(outside.marks));
    }

    #[test]
    fn a_dead_process_is_gone_and_a_frozen_one_is_not() {
        let this = Holder::of_this_process(None, None).expect("random");
        let mut child = child();
        let other = holder(None, Process::of(child.id()));
        assert!(!this.has_outlived(other.identity()));

        let raw = Pid::from_raw(pid(&child)).expect("a pid");
        kill_process(raw, Signal::STOP).expect("it is ours");
        wait_for_state(pid(&child), 'T');
        assert!(!this.has_outlived(other.identity()), "frozen");

        child.kill().expect("it is ours");
        wait_for_state(pid(&child), 'Z');
        assert!(this.has_outlived(other.identity()), "not reaped yet");
        child.wait().expect("it is ours");
        assert!(this.has_outlived(other.identity()), "gone");
    }

    #[test]
    fn another_process_with_the_same_pid_is_not_the_holder() {
        let this = Holder::of_this_process(None, None).expect("random");
        let mut child = child();
        let mut process = Process::of(child.id()).expect("there is /proc");
        process.start -= 1;
        assert!(this.has_outlived(holder(None, Some(process)).identity()));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
    }

    #[test]
    fn an_earlier_container_of_this_pod_is_gone_and_a_second_process_beside_this_one_is_not() {
        let this = Holder::of_this_process(Some("pod"), Some("uid")).expect("random");
        let ours = this.marks.process.clone().expect("there is /proc");
        let elsewhere = Process {
            place: "0123456789abcdef".to_owned(),
            ..ours.clone()
        };
        let earlier = holder(Some("uid"), Some(elsewhere.clone()));
        assert!(this.has_outlived(earlier.identity()));
        assert!(!this.has_outlived(holder(Some("uid"), Some(ours)).identity()));

        for other in [
            holder(Some("another"), Some(elsewhere.clone())),
            holder(None, Some(elsewhere.clone())),
            holder(Some("uid"), None),
        ] {
            assert!(!this.has_outlived(other.identity()), "{}", other.identity());
        }
        let outside = Holder::of_this_process(None, None).expect("random");
        assert!(!outside.has_outlived(holder(None, Some(elsewhere)).identity()));
    }

    #[test]
    fn pods_of_one_deployment_are_known_by_their_names() {
        let pod = |name: &str| Holder::of_this_process(Some(name), Some("uid")).expect("random");
        let ours = pod("operator-6d9f7c-x2x7p");
        for (other, wanted) in [
            (pod("operator-5c8b9d-abcde"), true),
            (pod("operator-b-6d9f7c-x2x7p"), false),
            (pod("other-6d9f7c-x2x7p"), false),
            (pod("operator"), false),
            (Holder::of_this_process(None, None).expect("random"), false),
        ] {
            let one = ours.is_of_same_deployment_as(other.identity());
            let two = other.is_of_same_deployment_as(ours.identity());
            assert_eq!((one, two), (wanted, wanted), "{}", other.identity());
        }
        assert!(!ours.is_of_same_deployment_as("somebody"));
    }

    #[test]
    fn identities_of_another_form_and_the_own_identity_are_never_gone() {
        let this = Holder::of_this_process(None, None).expect("random");
        let ours = this.identity().to_owned();
        for identity in [
            "",
            "host_0f9e",
            "a_b_c_d",
            "somebody",
            "_",
            "a_b_-_-",
            &ours,
        ] {
            assert!(!this.has_outlived(identity), "{identity}");
        }
    }

    proptest! {
        /// A text that isn't a holder's identity never proves that a process is gone.
        #[test]
        fn no_other_text_proves_that_a_process_is_gone(
            text in ".{0,80}|[a-z]{0,5}_[0-9a-f]{16}_[0-9a-f-]{0,4}_[0-9a-f]{0,17}\\.[0-9-]{0,12}\\.[0-9-]{0,22}",
        ) {
            let this = Holder::of_this_process(None, None).expect("random");
            prop_assert!(!this.has_outlived(&text));
        }

        #[test]
        fn an_identity_that_was_written_is_parsed_unchanged(
            name in ".{0,80}",
            random in any::<u64>(),
            pod in proptest::option::of("[0-9a-f-]{2,36}"),
            pid in 1_i32..,
            start in any::<u64>(),
        ) {
            let place = "0123456789abcdef".to_owned();
            let process = Some(Process { place, pid, start });
            let holder = Holder::new(&name, random, Marks { pod, process });
            prop_assert_eq!(Marks::parse(holder.identity()), Some(holder.marks));
        }
    }
}
