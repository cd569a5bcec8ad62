//! The tree of CMD's processes on Linux, read from `/proc`: programs, sockets and environments.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use indexmap::{IndexMap, IndexSet};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use procfs::process::{FDTarget, Process};

use super::activity::Activity;
use super::closed::ClosedConnections;
use super::environment::is_cleared;
use super::pause::Pause;
use super::tables::{self, SocketKind};
use super::{ClosedWhile, DirectConnection, ProcessReport, Program, WatchPlan, is_this_machine, version};
use harproxy_support::printable::one_line;

/// Maximum number of programs, and of connections, in a report.
const MAX_REPORTED: usize = 500;
/// The program of a connection that closed before it was seen.
const UNKNOWN_PROGRAM: &str = "an unknown program";

/// A tree of processes and its history.
///
/// The kernel's connection tables are expensive to read, so they are read only after a process has opened a new socket.
#[derive(Default)]
pub(super) struct ProcessTree {
    plan: WatchPlan,
    /// Memory layout of harproxy itself, to recognise forked children before their exec.
    own: Option<(u64, u64)>,
    /// Processes that were alive at the last poll. A [`Process`] is an open folder of `/proc`, so a reused pid is not
    /// mistaken for it.
    alive: HashMap<i32, KnownProcess>,
    programs: IndexMap<String, Program>,
    connections: IndexSet<DirectConnection>,
    /// Inodes of all sockets so far.
    sockets: HashSet<u64>,
    /// Sockets whose remote address is not known yet.
    pending: HashMap<u64, PendingSocket>,
    /// Addresses on which CMD's programs listen.
    listening: HashSet<SocketAddr>,
    /// Programs with TCP sockets that closed before their address was read.
    short_lived: IndexSet<String>,
    /// Connected UDP sockets that are not reported yet.
    probes: HashMap<u64, UdpProbe>,
    /// Connections that close unseen, and the times at which they may be CMD's.
    closed: Option<(ClosedConnections, Activity)>,
}

/// A connected UDP socket. A program that only asks the kernel for a route to an address closes it at once, so it is
/// traffic only if it stays open.
struct UdpProbe {
    socket: PendingSocket,
    to: SocketAddr,
    since: Instant,
}

/// The time for which a UDP socket must stay open to count.
const PROBE_TIME: Duration = Duration::from_millis(100);

struct KnownProcess {
    process: Process,
    /// The kernel's name of the process, which changes on exec.
    comm: String,
    name: String,
    network: Option<OsString>,
    /// The processor time that it had used at the last poll. It grows whenever the process runs.
    used: Option<Duration>,
}

/// A socket whose remote address is not known.
struct PendingSocket {
    program: String,
    network: Option<OsString>,
    kind: SocketKind,
    tries: u32,
    /// Polls to skip before the next look-up, so that an unconnected socket does not cost a table at every poll.
    wait: u32,
}

const MAX_TRIES: u32 = 8;

/// Returns a tree without processes, which knows the connections from before CMD.
pub(super) fn begin(remembers_closed: bool) -> ProcessTree {
    let closed = remembers_closed.then(ClosedConnections::begin).flatten();
    ProcessTree { closed: closed.map(|closed| (closed, Activity::begin(Instant::now()))), ..ProcessTree::default() }
}

/// Watches a process and its descendants until `stopped` reports the end of the watch.
pub(super) fn watch(
    mut tree: ProcessTree,
    pid: u32,
    plan: WatchPlan,
    stopped: &Receiver<(u32, WatchPlan)>,
) -> ProcessReport {
    tree.follow(pid, plan);
    let mut pause = Pause::default();
    loop {
        let started = Instant::now();
        let has_changed = tree.poll();
        let interval = pause.after_poll(started.elapsed(), has_changed);
        if !matches!(stopped.recv_timeout(interval), Err(RecvTimeoutError::Timeout)) {
            return tree.into_report();
        }
    }
}

impl ProcessTree {
    fn follow(&mut self, pid: u32, plan: WatchPlan) {
        self.plan = plan;
        self.own = Process::myself().ok().and_then(|own| memory_layout(&own));
        if let Ok(pid) = i32::try_from(pid) {
            self.add(pid);
        }
    }

    /// Reads the state of all processes. Returns whether something changed.
    fn poll(&mut self) -> bool {
        let changed = self.update_processes();
        self.note_activity(changed);
        let open = self.find_sockets();
        self.resolve_sockets(&open);
        self.confirm_probes(&open);
        changed || !self.pending.is_empty()
    }

    /// Notes whether a program ran since the last poll. `has_changed`: a process began, ended or changed its program.
    fn note_activity(&mut self, has_changed: bool) {
        let Some((_, activity)) = &mut self.closed else { return };
        let mut has_run = has_changed;
        for known in self.alive.values_mut() {
            let used = processor_time(known.process.pid());
            has_run |= used.is_none() || used != known.used;
            known.used = used;
        }
        activity.add_poll(Instant::now(), has_run);
    }

    fn into_report(mut self) -> ProcessReport {
        if let Some((closed, activity)) = self.closed.take() {
            let mut servers = BTreeMap::new();
            for closed in closed.finish() {
                let has_run = closed.at.is_none_or(|at| activity.has_run_at(at));
                let while_cmd = if has_run { ClosedWhile::CmdRan } else { ClosedWhile::CmdWaited };
                let known = servers.entry(closed.server).or_insert(while_cmd);
                *known = while_cmd.max(*known);
            }
            for (to, while_cmd) in servers {
                let (program, closed) = (UNKNOWN_PROGRAM.to_owned(), Some(while_cmd));
                self.record_connection(DirectConnection { program, to, closed, ..DirectConnection::default() });
            }
        }
        ProcessReport {
            programs: Some(self.programs.into_values().collect()),
            connections: self.connections.into_iter().collect(),
            short_lived: self.short_lived.into_iter().collect(),
        }
    }

    /// Removes ended processes and adds new ones. A process stays known after its parent has ended. Returns whether a
    /// process began, ended or changed its program.
    fn update_processes(&mut self) -> bool {
        let mut has_changed = false;
        let mut pids: Vec<i32> = self.alive.keys().copied().collect();
        while let Some(pid) = pids.pop() {
            match self.alive[&pid].process.stat() {
                Ok(stat) if stat.state != 'Z' => has_changed |= self.identify(pid, stat.comm),
                _ => {
                    self.alive.remove(&pid);
                    has_changed = true;
                    continue;
                }
            }
            for child in self.children(pid) {
                if !self.alive.contains_key(&child) && self.add(child) {
                    pids.push(child);
                    has_changed = true;
                }
            }
        }
        has_changed
    }

    fn children(&self, pid: i32) -> Vec<i32> {
        let tasks = self.alive.get(&pid).and_then(|known| known.process.tasks().ok());
        let children = tasks.into_iter().flatten().flatten().filter_map(|task| task.children().ok()).flatten();
        children.filter_map(|child| i32::try_from(child).ok()).collect()
    }

    fn add(&mut self, pid: i32) -> bool {
        let Ok(process) = Process::new(pid) else { return false };
        let network = std::fs::read_link(format!("/proc/{pid}/ns/net")).ok().map(Into::into);
        self.alive.insert(pid, KnownProcess { process, comm: String::new(), name: String::new(), network, used: None });
        true
    }

    /// Records the program of a process after an exec. Returns whether it is a new program.
    fn identify(&mut self, pid: i32, comm: String) -> bool {
        let Some(known) = self.alive.get_mut(&pid).filter(|known| known.comm != comm) else { return false };
        let exe = known.process.exe().ok();
        if is_before_exec(&known.process, self.own) {
            return false;
        }
        let cleared = is_cleared(&known.process, &self.plan.proxy);
        if known.process.exe().ok() != exe {
            // An exec happened while the environment was read. The next poll reads it again.
            return false;
        }
        known.name = exe.as_deref().and_then(file_name).unwrap_or_else(|| first_word(&comm));
        known.comm = comm;
        let program = Program { name: known.name.clone(), version: exe.as_deref().and_then(version::of), cleared };
        let script = script(&known.process, &known.comm).map(|name| Program { name, ..program.clone() });
        [Some(program), script].into_iter().flatten().for_each(|program| self.record(program));
        true
    }

    fn record(&mut self, program: Program) {
        if self.programs.len() >= MAX_REPORTED {
            return;
        }
        let known = self.programs.entry(program.name.clone()).or_insert_with(|| program.clone());
        if program.cleared == Some(true) || known.cleared.is_none() {
            known.cleared = program.cleared;
        }
    }

    /// Returns the inodes of all open sockets. New IP sockets become pending.
    fn find_sockets(&mut self) -> HashSet<u64> {
        let mut open = HashSet::new();
        for known in self.alive.values() {
            for fd in known.process.fd().into_iter().flatten().flatten() {
                let FDTarget::Socket(inode) = fd.target else { continue };
                open.insert(inode);
                if self.sockets.contains(&inode) {
                    continue;
                }
                // A forked child closes its sockets on exec. The parent still has this one.
                let Ok(kind) = socket_kind(known.process.pid(), fd.fd) else { continue };
                self.sockets.insert(inode);
                if let Some(kind) = kind {
                    let (program, network) = (known.name.clone(), known.network.clone());
                    self.pending.insert(inode, PendingSocket { program, network, kind, tries: 0, wait: 0 });
                }
            }
        }
        open
    }

    /// Looks up pending sockets in the connection tables.
    fn resolve_sockets(&mut self, open: &HashSet<u64>) {
        let mut lines = HashMap::new();
        let due = self.pending.values().filter(|socket| socket.wait == 0);
        let wanted: HashSet<_> = due.map(|socket| (socket.network.clone(), socket.kind)).collect();
        let mut ports = HashSet::new();
        for (network, kind) in &wanted {
            let Some(known) = self.alive.values().find(|known| known.network == *network) else { continue };
            for line in tables::read(&known.process, *kind).into_iter().filter(|row| row.inode != 0) {
                if line.listens {
                    ports.insert(line.local.port());
                }
                if self.pending.contains_key(&line.inode) {
                    lines.insert(line.inode, line);
                }
            }
        }
        let listening = lines.values().filter(|line| line.listens).map(|line| line.local);
        self.listening.extend(listening);
        for (inode, mut socket) in std::mem::take(&mut self.pending) {
            match lines.get(&inode) {
                Some(line) if line.listens => {}
                Some(line) if ports.contains(&line.local.port()) => {}
                Some(line) if line.remote.port() != 0 && socket.kind.is_udp() => {
                    self.probes.insert(inode, UdpProbe { socket, to: line.remote, since: Instant::now() });
                }
                Some(line) if line.remote.port() != 0 => self.record_socket(socket, line.remote),
                _ if !open.contains(&inode) => {
                    if !socket.kind.is_udp() {
                        self.short_lived.insert(socket.program);
                    }
                }
                _ if socket.wait == 0 => {
                    socket.tries += 1;
                    socket.wait = 1 << socket.tries.min(6);
                    if socket.tries < MAX_TRIES {
                        self.pending.insert(inode, socket);
                    }
                }
                _ => {
                    socket.wait -= 1;
                    self.pending.insert(inode, socket);
                }
            }
        }
    }

    /// Reports UDP sockets that are still open after [`PROBE_TIME`].
    fn confirm_probes(&mut self, open: &HashSet<u64>) {
        for (inode, probe) in std::mem::take(&mut self.probes) {
            if !open.contains(&inode) {
                continue;
            }
            if probe.since.elapsed() >= PROBE_TIME {
                self.record_socket(probe.socket, probe.to);
            } else {
                self.probes.insert(inode, probe);
            }
        }
    }

    fn record_socket(&mut self, socket: PendingSocket, to: SocketAddr) {
        if self.connections.len() >= MAX_REPORTED {
            return;
        }
        let udp = socket.kind.is_udp();
        self.record_connection(DirectConnection { program: socket.program, to, udp, ..DirectConnection::default() });
    }

    fn record_connection(&mut self, connection: DirectConnection) {
        let to = connection.to;
        if self.plan.own_addresses.iter().any(|own| accepts(own, to)) {
            return;
        }
        let own = self.listening.iter().any(|addr| accepts(addr, to)) && is_this_machine(to.ip());
        self.connections.insert(DirectConnection { own, ..connection });
    }
}

/// Returns the processor time that all threads of a process have used; `None` if it has ended.
fn processor_time(pid: i32) -> Option<Duration> {
    clock_getcpuclockid(Pid::from_raw(pid)).and_then(ClockId::now).ok().map(Duration::from)
}

/// Returns true if a listener at `addr` accepts connections to `to`.
fn accepts(addr: &SocketAddr, to: SocketAddr) -> bool {
    addr.port() == to.port() && (addr.ip() == to.ip() || addr.ip().is_unspecified())
}

/// Returns the kind of a socket from the kernel's protocol name; `None` for other protocols. An error means that the
/// process has closed it.
fn socket_kind(pid: i32, fd: i32) -> rustix::io::Result<Option<SocketKind>> {
    let mut name = [0; 32];
    let length = rustix::fs::getxattr(format!("/proc/{pid}/fd/{fd}"), "system.sockprotoname", &mut name[..])?;
    Ok(match &name[..length] {
        b"TCP\0" | b"MPTCP\0" => Some(SocketKind::Tcp),
        b"TCPv6\0" | b"MPTCPv6\0" => Some(SocketKind::Tcp6),
        b"UDP\0" => Some(SocketKind::Udp),
        b"UDPv6\0" => Some(SocketKind::Udp6),
        _ => None,
    })
}

fn file_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    Some(one_line(name.trim_end_matches(" (deleted)")).into_owned())
}

/// Returns the first word of a process title, which may contain arguments.
fn first_word(comm: &str) -> String {
    one_line(comm.split_whitespace().next().unwrap_or_default()).into_owned()
}

/// Returns the script of an interpreter, if the kernel named the process after it (`#!`).
fn script(process: &Process, comm: &str) -> Option<String> {
    /// The kernel's limit for the name of a process.
    const MAX_COMM: usize = 15;
    let name = file_name(Path::new(process.cmdline().ok()?.get(1)?))?;
    let cut = name.get(..MAX_COMM).unwrap_or(&name);
    (cut == comm && !comm.is_empty()).then_some(name)
}

/// Returns the start addresses of a program's code and stack, which differ for each exec.
fn memory_layout(process: &Process) -> Option<(u64, u64)> {
    process.stat().ok().map(|stat| (stat.startcode, stat.startstack))
}

/// Returns true if a process is between fork and exec. It then still has harproxy's memory layout and environment, or
/// none yet: the kernel sets the start of the code last. Always false for an ended process.
fn is_before_exec(process: &Process, own: Option<(u64, u64)>) -> bool {
    let layout = memory_layout(process);
    layout.is_some_and(|(code, _)| code == 0 || layout == own) && process.exe().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://127.0.0.1:8899";

    fn follow(pid: u32) -> ProcessTree {
        let mut tree = ProcessTree::default();
        tree.follow(pid, WatchPlan { proxy: PROXY.to_owned(), own_addresses: Vec::new() });
        tree
    }

    #[test]
    fn starting_program_is_not_cleared() {
        for _ in 0..200 {
            let mut child = std::process::Command::new("env").arg("true").env("HTTPS_PROXY", PROXY).spawn().unwrap();
            let mut tree = follow(child.id());
            while child.try_wait().unwrap().is_none() {
                tree.poll();
            }
            let cleared: Vec<_> = tree.programs.values().filter(|program| program.cleared == Some(true)).collect();
            assert!(cleared.is_empty(), "{cleared:?}");
        }
    }

    /// Set for a copy of the test program that only waits.
    const WAIT: &str = "HARPROXY_TEST_WAIT";

    /// Does nothing unless `child_before_exec_is_ignored` runs it in a process of its own.
    #[test]
    fn wait_for_end_of_input() {
        if std::env::var_os(WAIT).is_some() {
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
        }
    }

    #[test]
    fn child_before_exec_is_ignored() {
        let program = std::env::current_exe().unwrap();
        let mut child = std::process::Command::new(&program)
            .args(["--exact", "diagnose::processes::tree::tests::wait_for_end_of_input"])
            .env(WAIT, "1")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let (mut own, mut other) = (follow(std::process::id()), follow(child.id()));
        own.poll();
        while other.programs.is_empty() && child.try_wait().unwrap().is_none() {
            other.poll();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let name = file_name(&program).unwrap();
        assert!(other.programs.contains_key(&name), "{:?}", other.programs);
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(own.alive[&pid].name, "", "{:?}", own.programs);
    }

    #[test]
    fn unconnected_socket_is_looked_up_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let to = listener.local_addr().unwrap();
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            let mut tree = follow(std::process::id());
            tree.poll();
            let _stream = socket.connect(to).await.unwrap();
            for _ in 0..1 << MAX_TRIES {
                tree.poll();
            }
            assert!(tree.connections.iter().any(|connection| connection.to == to), "{:?}", tree.connections);
        });
    }

    #[test]
    fn title_is_reduced_to_its_first_word() {
        assert_eq!(first_word("npm exec secret"), "npm");
        assert_eq!(file_name(Path::new("/usr/bin/python3.11 (deleted)")).as_deref(), Some("python3.11"));
    }
}
