//! How many threads this machine lets this process have.
//!
//! Asked once, at start: at some of these limits a new thread is refused, at one of them
//! (`vm.max_map_count`) the standard library may abort the process instead. What cannot be read,
//! such as /proc/sys in a sandbox, limits nothing, but for that one, whose default is taken.

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::Uid;

/// Mappings that a thread takes: its stack and its signal stack, each with a guard page.
const MAPPINGS_A_THREAD: u64 = 4;

/// Mappings for whatever else the process maps while it runs.
const OTHER_MAPPINGS: u64 = 1000;

/// `vm.max_map_count` where nobody has changed it.
const DEFAULT_MAPPINGS: u64 = 65_530;

/// Threads that this process has besides those that are asked about, and other processes may start.
const OTHER_THREADS: u64 = 100;

/// Memory that must be left when a thread starts: for its stack, and for what it does. Where there is
/// none for its signal stack, the standard library aborts the process, and where there is none for
/// what is allocated then, too. It is more than glibc's malloc ever has in reserve (64 MiB), so that it
/// has to ask the system.
const LEFT_FOR_A_THREAD: usize = 65 << 20;

/// Finds out whether there is memory for one more thread. A system that lets processes have no more
/// than there is (`vm.overcommit_memory`), or `ulimit -v`, may leave none; elsewhere nobody needs to
/// ask. Nothing is touched, but mapping and unmapping make all other threads wait.
///
/// # Errors
/// When there is none.
pub(crate) fn expect_memory_for_a_thread() -> io::Result<()> {
    if !is_memory_bounded() {
        return Ok(());
    }
    let mut room: Vec<u8> = Vec::new();
    let found = room.try_reserve_exact(LEFT_FOR_A_THREAD);
    // What nobody uses the compiler would not ask for.
    black_box(&room);
    found.map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "no memory for a thread"))
}

/// Whether the system may refuse memory that it has. What is set for the process may be set anew while
/// it runs.
fn is_memory_bounded() -> bool {
    static IS_STRICT: LazyLock<bool> =
        LazyLock::new(|| number_in("/proc/sys/vm/overcommit_memory") == Some(2));
    let allowed = getrlimit(Resource::RLIMIT_AS);
    *IS_STRICT || allowed.is_ok_and(|(soft, _)| soft != RLIM_INFINITY)
}

/// One limit.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    /// Threads that this process may have by it.
    pub(crate) threads: u64,
    /// What it is, as an operator finds it: `vm.max_map_count is 65530`.
    pub(crate) what: String,
    /// How it is raised so that `wanted` threads fit, and what else there is.
    pub(crate) remedy: fn(wanted: u64) -> String,
}

/// All limits that this machine has for this process.
pub(crate) fn thread_limits() -> Vec<Limit> {
    let mut limits = vec![mappings()];
    limits.extend(whole_machine());
    limits.extend(processes_of_the_user());
    limits.extend(control_groups());
    limits
}

fn mappings() -> Limit {
    let allowed = number_in("/proc/sys/vm/max_map_count").unwrap_or(DEFAULT_MAPPINGS);
    let taken = fs::read("/proc/self/maps").map_or(0, |maps| lines(&maps));
    Limit {
        threads: allowed.saturating_sub(taken + OTHER_MAPPINGS) / MAPPINGS_A_THREAD,
        what: format!("vm.max_map_count is {allowed}"),
        remedy: |wanted| {
            let mappings = wanted * MAPPINGS_A_THREAD + 2 * OTHER_MAPPINGS;
            format!("sysctl -w vm.max_map_count={mappings}")
        },
    }
}

/// What all processes together may have: each thread takes a number of `kernel.pid_max`, too.
fn whole_machine() -> Vec<Limit> {
    let taken = fs::read_to_string("/proc/loadavg").ok();
    let taken = taken.as_deref().and_then(threads_in_loadavg).unwrap_or(0);
    let limit = |file, name: &str, remedy| {
        let allowed = number_in(file)?;
        Some(Limit {
            threads: allowed.saturating_sub(taken + OTHER_THREADS),
            what: format!("{name} is {allowed}"),
            remedy,
        })
    };
    let threads_max = limit("/proc/sys/kernel/threads-max", "kernel.threads-max", |n| {
        format!("sysctl -w kernel.threads-max={}", 2 * n)
    });
    let pid_max = limit("/proc/sys/kernel/pid_max", "kernel.pid_max", |n| {
        format!("sysctl -w kernel.pid_max={}", 2 * n)
    });
    threads_max.into_iter().chain(pid_max).collect()
}

/// `ulimit -u`. Root is not held to it.
fn processes_of_the_user() -> Option<Limit> {
    if Uid::effective().is_root() {
        return None;
    }
    let (allowed, _) = getrlimit(Resource::RLIMIT_NPROC).ok()?;
    let taken = threads_of_this_user();
    Some(Limit {
        threads: allowed.saturating_sub(taken),
        what: format!("ulimit -u is {allowed}"),
        remedy: |wanted| {
            let wanted = wanted + OTHER_THREADS;
            format!("ulimit -u {wanted}, or LimitNPROC={wanted} in the unit file")
        },
    })
}

fn threads_of_this_user() -> u64 {
    let user = Uid::current().to_string();
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0;
    };
    let threads = processes.flatten().filter_map(|process| {
        let status = fs::read_to_string(process.path().join("status")).ok()?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()
        };
        (value("Uid:")? == user).then(|| value("Threads:")?.parse::<u64>().ok())?
    });
    threads.sum()
}

/// `pids.max` of this process's control group and of those that it lies in.
fn control_groups() -> Vec<Limit> {
    let Ok(groups) = fs::read_to_string("/proc/self/cgroup") else {
        return Vec::new();
    };
    let mut limits = Vec::new();
    for (root, group) in groups.lines().filter_map(pids_group) {
        let inside = Path::new(group.trim_start_matches('/'));
        for ancestor in inside.ancestors() {
            limits.extend(pids_limit(&root.join(ancestor)));
        }
    }
    limits
}

/// Where the kernel keeps what one line of /proc/self/cgroup says of pids, and the group's path
/// there: `0::/system.slice/udpush.service` in the unified hierarchy, `8:pids:/…` in the old one.
fn pids_group(line: &str) -> Option<(PathBuf, &str)> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
    if controllers.is_empty() {
        return Some(("/sys/fs/cgroup".into(), group));
    }
    let has_pids = controllers.split(',').any(|name| name == "pids");
    has_pids.then(|| ("/sys/fs/cgroup/pids".into(), group))
}

fn pids_limit(group: &Path) -> Option<Limit> {
    let path = group.join("pids.max");
    // "max" is no number, and no limit.
    let allowed = number_in(&path)?;
    let taken = number_in(group.join("pids.current")).unwrap_or(0);
    Some(Limit {
        threads: allowed.saturating_sub(taken),
        what: format!("{} is {allowed}", path.display()),
        remedy: |wanted| format!("TasksMax={} in the unit file", wanted + OTHER_THREADS),
    })
}

fn number_in(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn lines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The fourth field is `running/all`.
fn threads_in_loadavg(loadavg: &str) -> Option<u64> {
    let (_, all) = loadavg.split_whitespace().nth(3)?.split_once('/')?;
    all.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_control_groups_are_found() {
        let unified = pids_group("0::/system.slice/udpush.service").unwrap();
        assert_eq!(unified.0, Path::new("/sys/fs/cgroup"));
        assert_eq!(unified.1, "/system.slice/udpush.service");
        let old = pids_group("8:pids:/a:b").unwrap();
        assert_eq!(
            (old.0.as_path(), old.1),
            (Path::new("/sys/fs/cgroup/pids"), "/a:b")
        );
        assert!(pids_group("9:memory:/").is_none());
        assert!(pids_group("").is_none());
    }

    #[test]
    fn the_kernel_tells_how_many_threads_there_are() {
        assert_eq!(threads_in_loadavg("0.04 0.49 0.41 1/94 23556\n"), Some(94));
        assert_eq!(threads_in_loadavg(""), None);
    }

    #[test]
    fn the_mappings_limit_is_always_known() {
        let limits = thread_limits();
        let mappings = limits
            .iter()
            .find(|limit| limit.what.starts_with("vm.max_map_count"));
        assert!(mappings.unwrap().threads > 0);
    }
}
