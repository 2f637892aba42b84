//! What `/proc` shows of a process.

/// Processor time of a process, in seconds, to a hundredth.
pub(crate) fn cpu(pid: i32) -> f64 {
    cpu_by(&format!("/proc/{pid}/stat"))
}

/// Processor time of the calling thread, in seconds, to a hundredth.
pub(crate) fn cpu_of_this_thread() -> f64 {
    cpu_by("/proc/thread-self/stat")
}

fn cpu_by(path: &str) -> f64 {
    let stat = std::fs::read_to_string(path).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks = |field: usize| -> f64 {
        let text = fields.split(' ').nth(field).unwrap_or_default();
        text.parse().expect("a number")
    };
    (ticks(11) + ticks(12)) / 100.0
}

/// Resident memory of a process, now and at its peak, in MB.
pub(crate) fn memory(pid: i32) -> (f64, f64) {
    let [now, peak] = status_of(pid, ["VmRSS:", "VmHWM:"]);
    (now, peak)
}

/// Private memory of a process, in MB: without the pages of the program's file, which come and go.
pub(crate) fn private_memory(pid: i32) -> f64 {
    let [private] = status_of(pid, ["RssAnon:"]);
    private
}

/// The lines of a process's status with these names, in MB.
fn status_of<const N: usize>(pid: i32, names: [&str; N]) -> [f64; N] {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let of = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        let kilobytes = kilobytes.and_then(|text| text.parse::<f64>().ok());
        kilobytes.expect("a number") * 1_024.0 / 1e6
    };
    names.map(of)
}

/// Processor time of a process's first thread, in ms, to the microsecond.
pub(crate) fn work(pid: i32) -> f64 {
    let schedstat = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat"));
    let schedstat = schedstat.expect("it runs");
    let nanoseconds = schedstat.split(' ').next().unwrap_or_default();
    nanoseconds.parse::<f64>().expect("a number") / 1e6
}
