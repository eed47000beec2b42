//! The server's processor time and memory, where it runs on this machine: read from /proc.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::os;

/// Linux gives each thread so much kernel stack on 64-bit machines.
const KERNEL_STACK: u64 = 16 * 1024;

/// A protocol's table of sockets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Table {
    /// /proc/net/tcp and tcp6: the listening ones.
    Tcp,
    /// /proc/net/udp and udp6.
    Udp,
}

/// A line of such a table.
struct Socket {
    port: u16,
    listening: bool,
    /// Bytes that wait to be read, as the kernel counts them.
    waiting: u64,
    inode: u64,
    drops: u64,
}

fn sockets(table: Table) -> Vec<Socket> {
    let paths = match table {
        Table::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Table::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let parse = |line: &str| {
        // sl local_address rem_address st tx_queue:rx_queue tr:tm retrnsmt uid timeout inode ref
        // pointer drops
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        let (_, waiting) = fields.get(4)?.split_once(':')?;
        Some(Socket {
            port: u16::from_str_radix(port, 16).ok()?,
            listening: *fields.get(3)? == "0A",
            waiting: u64::from_str_radix(waiting, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
            drops: fields
                .get(12)
                .and_then(|drops| drops.parse().ok())
                .unwrap_or(0),
        })
    };
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let texts = paths.map(read);
    texts
        .iter()
        .flat_map(|text| text.lines().skip(1))
        .filter_map(parse)
        .collect()
}

/// What a UDP port's sockets tell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UdpPort {
    /// Bytes that wait to be read.
    pub(crate) waiting: u64,
    /// Datagrams that the kernel dropped because the buffer was full, since the sockets exist.
    pub(crate) drops: u64,
}

/// `None` when no socket of this machine has the port.
pub(crate) fn udp_port(port: u16) -> Option<UdpPort> {
    let of_port = sockets(Table::Udp)
        .into_iter()
        .filter(|socket| socket.port == port);
    of_port.fold(None, |sum: Option<UdpPort>, socket| {
        let sum = sum.unwrap_or_default();
        Some(UdpPort {
            waiting: sum.waiting + socket.waiting,
            drops: sum.drops + socket.drops,
        })
    })
}

/// Packets of any kind that this machine has dropped before any socket could have them: loopback's, too,
/// go through a queue for each processor (net.core.netdev_max_backlog). 0 where that is not told.
pub(crate) fn dropped_before_sockets() -> u64 {
    let text = fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    dropped_packets(&text)
}

/// The second of the columns, which are hexadecimal.
fn dropped_packets(softnet: &str) -> u64 {
    let dropped = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    softnet.lines().filter_map(dropped).sum()
}

/// The server's memory.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Memory {
    /// Proportional set size: memory shared between processes counts in parts.
    pub(crate) pss_bytes: u64,
    pub(crate) rss_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) kernel_stack_bytes: u64,
}

/// What is asked for again and again, and so must cost the server nothing.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Resources {
    pub(crate) rss_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
}

impl Resources {
    /// Threads and descriptors of what comes and goes anyway: somebody who asks for the status.
    const SLACK: u64 = 8;

    /// The larger of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Resources {
            rss_bytes: self.rss_bytes.max(other.rss_bytes),
            threads: self.threads.max(other.threads),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }

    /// A sentence when there are more connections than `before`. A thread that waits for the next
    /// client has a descriptor, one that has a client has two. Memory that was freed may stay with the
    /// process, and says nothing.
    pub(crate) fn has_more_connections(self, before: Self) -> Option<String> {
        let connections = |of: Self| of.descriptors.saturating_sub(of.threads);
        let (now, before) = (connections(self), connections(before));
        (now > before + Self::SLACK).then(|| {
            let left = now - before;
            format!("{left} more descriptors are left than threads that wait for clients have")
        })
    }

    /// A sentence when there are more threads or descriptors than `before`.
    pub(crate) fn exceeds(self, before: Self) -> Option<String> {
        let more = |now: u64, before: u64| now > before + Self::SLACK;
        let is_more =
            more(self.threads, before.threads) || more(self.descriptors, before.descriptors);
        is_more.then(|| {
            format!(
                "{} threads and {} descriptors are left, {} and {} there were before",
                self.threads, self.descriptors, before.threads, before.descriptors
            )
        })
    }
}

/// The server's processes.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) pids: Vec<u32>,
}

impl Server {
    /// This process and those that it has started.
    pub(crate) fn with_pid(pid: u32) -> Result<Self, String> {
        let server = Server {
            pids: with_children(BTreeSet::from([pid])),
        };
        match server.processor_time() {
            Some(_) => Ok(server),
            None => Err(format!(
                "there is no process {pid}: look for the server's with ps, or leave out --pid"
            )),
        }
    }

    /// Whoever has a socket on this port, where `address` is this machine's; with their children.
    pub(crate) fn find(address: SocketAddr, table: Table) -> Option<Self> {
        // Only an address of this machine can be bound.
        UdpSocket::bind((address.ip(), 0)).ok()?;
        let ours = |socket: &Socket| {
            socket.port == address.port() && (table == Table::Udp || socket.listening)
        };
        let links: BTreeSet<String> = sockets(table)
            .into_iter()
            .filter(ours)
            .map(|socket| format!("socket:[{}]", socket.inode))
            .collect();
        let holds = |pid: &u32| {
            let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
                return false;
            };
            let mut targets =
                descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            targets.any(|target| target.to_str().is_some_and(|target| links.contains(target)))
        };
        let holders: BTreeSet<u32> = processes().into_iter().filter(holds).collect();
        let pids = with_children(holders);
        (!pids.is_empty()).then_some(Server { pids })
    }

    /// All that they have used so far; `None` when one of them is gone.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let times = self.pids.iter().map(|&pid| os::processor_time(pid).ok());
        times.sum()
    }

    pub(crate) fn resources(&self) -> Resources {
        let mut sum = Resources::default();
        for pid in &self.pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            sum.rss_bytes += number(&status, "VmRSS:") * 1024;
            sum.threads += number(&status, "Threads:");
            let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
            sum.descriptors += descriptors.map_or(0, |entries| entries.count() as u64);
        }
        sum
    }

    pub(crate) fn memory(&self) -> Memory {
        let mut sum = Memory::default();
        for pid in &self.pids {
            let rollup =
                fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            sum.pss_bytes += number(&rollup, "Pss:") * 1024;
            sum.rss_bytes += number(&status, "VmRSS:") * 1024;
            sum.threads += number(&status, "Threads:");
        }
        sum.kernel_stack_bytes = sum.threads * KERNEL_STACK;
        sum
    }
}

/// The number behind `name` at the beginning of a line, 0 where there is none.
fn number(text: &str, name: &str) -> u64 {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = std::process::id();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| pid != own).collect()
}

fn with_children(mut family: BTreeSet<u32>) -> Vec<u32> {
    let parent = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        number(&status, "PPid:") as u32
    };
    let parents: Vec<(u32, u32)> = processes()
        .into_iter()
        .map(|pid| (pid, parent(pid)))
        .collect();
    loop {
        let before = family.len();
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| family.contains(parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            return family.into_iter().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_port_is_found_and_what_waits_there_is_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(udp_port(address.port()).unwrap().waiting, 0);
        socket.send_to(b"waits", address).unwrap();
        let port = udp_port(address.port()).unwrap();
        assert!(port.waiting > 0);
        assert_eq!(port.drops, 0);
    }

    #[test]
    fn packets_that_were_dropped_are_added_up() {
        let softnet = "0d959d0d 000003a1 00000020\n0d3ae460 00000002 00000022\n";
        assert_eq!(dropped_packets(softnet), 0x3a3);
        assert_eq!(dropped_packets(""), 0);
    }

    #[test]
    fn a_process_has_memory_and_processor_time() {
        let own = Server {
            pids: vec![std::process::id()],
        };
        let memory = own.memory();
        assert!(memory.pss_bytes > 0 && memory.threads > 0);
        assert!(own.processor_time().unwrap() > Duration::ZERO);
        assert!(
            Server {
                pids: vec![u32::MAX >> 1]
            }
            .processor_time()
            .is_none()
        );
    }
}
