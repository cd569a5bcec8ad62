//! Linux: `/proc` shows the processes of one's own, their sockets and what they were started with.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use indexmap::{IndexMap, IndexSet};
use procfs::net::{TcpNetEntry, TcpState, UdpNetEntry};
use procfs::process::{FDTarget, Process, Stat};

use super::{LookPlan, Observed, version};
use crate::verdict::clues::{Connection, Program};

/// So many programs and connections are kept.
const KEPT: usize = 500;
/// The variables of which one is enough.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/// Which proxy's environment it is.
const OUR_PROXY: &str = "HARPROXY_RUN_PROXY";

/// Looks at a tree of processes, again and again.
///
/// The kernel's tables of connections are long to read, whatever is in them, so they are read only when a process has a socket
/// that was not there before.
pub(super) struct Eye {
    plan: LookPlan,
    /// Where our own program lies.
    own: Option<Memory>,
    /// Those that were alive at the last look. A [`Process`] is an open folder of `/proc`, so that a number that is given
    /// anew is not taken for it.
    tree: HashMap<i32, Known>,
    programs: IndexMap<String, Program>,
    connections: IndexSet<Connection>,
    /// Every socket that was seen.
    sockets: HashSet<u64>,
    /// Those of which it is not known yet what they are connected to.
    pending: HashMap<u64, Socket>,
    /// Where the tree itself listens.
    listening: HashSet<SocketAddr>,
    /// Programs with TCP sockets that were gone before it could be seen where they led.
    unseen: IndexSet<String>,
}

struct Known {
    process: Process,
    /// The kernel's name of it, which changes when it becomes another program.
    comm: String,
    name: String,
    /// Its network namespace.
    network: Option<OsString>,
}

/// A socket whose other end is not known.
struct Socket {
    program: String,
    network: Option<OsString>,
    kind: Kind,
    /// How often it was not found, and how many looks to wait before the next time: one that is connected to nothing yet, or
    /// never will be, must not cost a table at every look.
    tries: u32,
    wait: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
}

/// How often a socket is looked for.
const TRIES: u32 = 8;

/// A line of a table.
struct Line {
    inode: u64,
    local: SocketAddr,
    remote: SocketAddr,
    listens: bool,
}

impl Eye {
    pub(super) fn at(pid: u32, plan: &LookPlan) -> Self {
        let mut eye = Eye {
            plan: plan.clone(),
            own: Process::myself().and_then(|own| own.stat()).ok().map(|stat| Memory::of(&stat)),
            tree: HashMap::new(),
            programs: IndexMap::new(),
            connections: IndexSet::new(),
            sockets: HashSet::new(),
            pending: HashMap::new(),
            listening: HashSet::new(),
            unseen: IndexSet::new(),
        };
        if let Ok(pid) = i32::try_from(pid) {
            eye.meet(pid);
        }
        eye
    }

    /// Looks once; whether something was new.
    pub(super) fn look(&mut self) -> bool {
        let changed = self.walk();
        let there = self.find_sockets();
        self.resolve(&there);
        changed || !self.pending.is_empty()
    }

    pub(super) fn observed(self) -> Observed {
        Observed {
            programs: Some(self.programs.into_values().collect()),
            connections: self.connections.into_iter().collect(),
            unseen: self.unseen.into_iter().collect(),
        }
    }

    /// Follows the tree: what has ended goes, what was started comes. A process whose parent has ended is still known.
    fn walk(&mut self) -> bool {
        let mut new = false;
        let mut pids: Vec<i32> = self.tree.keys().copied().collect();
        while let Some(pid) = pids.pop() {
            match self.tree[&pid].process.stat() {
                Ok(stat) if stat.state != 'Z' => new |= self.name(pid, stat.comm),
                _ => {
                    self.tree.remove(&pid);
                    continue;
                }
            }
            for child in self.children(pid) {
                if !self.tree.contains_key(&child) && self.meet(child) {
                    pids.push(child);
                    new = true;
                }
            }
        }
        new
    }

    fn children(&self, pid: i32) -> Vec<i32> {
        let tasks = self.tree.get(&pid).and_then(|known| known.process.tasks().ok());
        let children = tasks.into_iter().flatten().flatten().filter_map(|task| task.children().ok()).flatten();
        children.filter_map(|child| i32::try_from(child).ok()).collect()
    }

    fn meet(&mut self, pid: i32) -> bool {
        let Ok(process) = Process::new(pid) else { return false };
        let network = std::fs::read_link(format!("/proc/{pid}/ns/net")).ok().map(Into::into);
        self.tree.insert(pid, Known { process, comm: String::new(), name: String::new(), network });
        true
    }

    /// Says which program a process is, when it has become another.
    fn name(&mut self, pid: i32, comm: String) -> bool {
        let Some(known) = self.tree.get_mut(&pid).filter(|known| known.comm != comm) else { return false };
        let exe = known.process.exe().ok();
        if is_becoming(&known.process, self.own) {
            return false;
        }
        let cleared = is_cleared(&known.process, &self.plan.proxy);
        if known.process.exe().ok() != exe {
            // It became another program in between, whose environment this may be. The next look has that one.
            return false;
        }
        known.name = exe.as_deref().and_then(file_name).unwrap_or_else(|| first_word(&comm));
        known.comm = comm;
        let program = Program { name: known.name.clone(), version: exe.as_deref().and_then(version::of), cleared };
        let script = script(&known.process, &known.comm).map(|name| Program { name, ..program.clone() });
        [Some(program), script].into_iter().flatten().for_each(|program| self.keep(program));
        true
    }

    fn keep(&mut self, program: Program) {
        if self.programs.len() >= KEPT {
            return;
        }
        let known = self.programs.entry(program.name.clone()).or_insert_with(|| program.clone());
        if program.cleared == Some(true) || known.cleared.is_none() {
            known.cleared = program.cleared;
        }
    }

    /// All sockets of the tree. New ones that can be connections wait to be told apart.
    fn find_sockets(&mut self) -> HashSet<u64> {
        let mut there = HashSet::new();
        for known in self.tree.values() {
            for fd in known.process.fd().into_iter().flatten().flatten() {
                let FDTarget::Socket(inode) = fd.target else { continue };
                there.insert(inode);
                if self.sockets.contains(&inode) {
                    continue;
                }
                // What was forked has it until it becomes another program. Whoever it had it from has it still.
                let Ok(kind) = kind(known.process.pid(), fd.fd) else { continue };
                self.sockets.insert(inode);
                if let Some(kind) = kind {
                    let (program, network) = (known.name.clone(), known.network.clone());
                    self.pending.insert(inode, Socket { program, network, kind, tries: 0, wait: 0 });
                }
            }
        }
        there
    }

    /// Looks in the tables for what is pending.
    fn resolve(&mut self, there: &HashSet<u64>) {
        let mut lines = HashMap::new();
        let mut wanted: HashSet<(Option<OsString>, Kind)> = HashSet::new();
        for socket in self.pending.values().filter(|socket| socket.wait == 0) {
            wanted.insert((socket.network.clone(), socket.kind));
        }
        let mut ports = HashSet::new();
        for (network, kind) in &wanted {
            let Some(known) = self.tree.values().find(|known| known.network == *network) else { continue };
            for line in table(&known.process, *kind) {
                if line.listens {
                    ports.insert(line.local.port());
                }
                if self.pending.contains_key(&line.inode) {
                    lines.insert(line.inode, line);
                }
            }
        }
        let listening = lines.values().filter(|line| line.listens).map(|line| canonical(line.local));
        self.listening.extend(listening);
        for (inode, mut socket) in std::mem::take(&mut self.pending) {
            match lines.get(&inode) {
                Some(line) if line.listens => {}
                Some(line) if ports.contains(&line.local.port()) => {}
                Some(line) if line.remote.port() != 0 => self.connected(socket, canonical(line.remote)),
                _ if !there.contains(&inode) => {
                    if matches!(socket.kind, Kind::Tcp | Kind::Tcp6) {
                        self.unseen.insert(socket.program);
                    }
                }
                _ if socket.wait == 0 => {
                    socket.tries += 1;
                    socket.wait = 1 << socket.tries.min(6);
                    if socket.tries < TRIES {
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

    fn connected(&mut self, socket: Socket, to: SocketAddr) {
        if self.is_ours(to) || self.connections.len() >= KEPT {
            return;
        }
        let here = |addr: &SocketAddr| addr.port() == to.port() && (addr.ip() == to.ip() || addr.ip().is_unspecified());
        let own = to.ip().is_loopback() && self.listening.iter().any(here);
        let udp = matches!(socket.kind, Kind::Udp | Kind::Udp6);
        self.connections.insert(Connection { program: socket.program, to, udp, own });
    }

    fn is_ours(&self, to: SocketAddr) -> bool {
        self.plan
            .ours
            .iter()
            .any(|ours| ours.port() == to.port() && (ours.ip() == to.ip() || ours.ip().is_unspecified()))
    }
}

/// The kind of a socket, as the kernel names its protocol; `None` for one that is no connection over IP. An error where the process has it no longer.
fn kind(pid: i32, fd: i32) -> rustix::io::Result<Option<Kind>> {
    let mut name = [0; 32];
    let length = rustix::fs::getxattr(format!("/proc/{pid}/fd/{fd}"), "system.sockprotoname", &mut name[..])?;
    Ok(match &name[..length] {
        b"TCP\0" | b"MPTCP\0" => Some(Kind::Tcp),
        b"TCPv6\0" | b"MPTCPv6\0" => Some(Kind::Tcp6),
        b"UDP\0" => Some(Kind::Udp),
        b"UDPv6\0" => Some(Kind::Udp6),
        _ => None,
    })
}

/// A table of the network that a process is in. What has no owner any more is not in it.
fn table(process: &Process, kind: Kind) -> Vec<Line> {
    let tcp = |entries: Vec<TcpNetEntry>| {
        let lines = entries.into_iter().filter(|entry| entry.inode != 0 && entry.state != TcpState::SynRecv);
        let line = |entry: TcpNetEntry| Line {
            inode: entry.inode,
            local: entry.local_address,
            remote: entry.remote_address,
            listens: entry.state == TcpState::Listen,
        };
        lines.map(line).collect()
    };
    let udp = |entries: Vec<UdpNetEntry>| {
        let line = |entry: UdpNetEntry| Line {
            inode: entry.inode,
            local: entry.local_address,
            remote: entry.remote_address,
            listens: false,
        };
        entries.into_iter().map(line).collect()
    };
    match kind {
        Kind::Tcp => process.tcp().map(tcp),
        Kind::Tcp6 => process.tcp6().map(tcp),
        Kind::Udp => process.udp().map(udp),
        Kind::Udp6 => process.udp6().map(udp),
    }
    .unwrap_or_default()
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn file_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    Some(name.trim_end_matches(" (deleted)").to_owned())
}

/// A process may have given itself a title with anything in it.
fn first_word(comm: &str) -> String {
    comm.split_whitespace().next().unwrap_or_default().to_owned()
}

/// The script that an interpreter runs, when the kernel called the process after it (`#!`).
fn script(process: &Process, comm: &str) -> Option<String> {
    /// The kernel keeps so much of a name.
    const LONGEST: usize = 15;
    let name = file_name(Path::new(process.cmdline().ok()?.get(1)?))?;
    let cut = name.get(..LONGEST).unwrap_or(&name);
    (cut == comm && !comm.is_empty()).then_some(name)
}

/// Where a program's code and stack begin in memory, which is another place for each that is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    code: u64,
    stack: u64,
}

impl Memory {
    fn of(stat: &Stat) -> Self {
        Memory { code: stat.startcode, stack: stat.startstack }
    }
}

/// Whether a process is becoming a program. It has our memory at first, environment and all: whoever starts it goes on just before it has its own. Then it may have no
/// environment yet: where its code is, is what the kernel says last. Of one that has ended it says nothing of all that.
fn is_becoming(process: &Process, own: Option<Memory>) -> bool {
    let is_not_yet = |memory: Memory| memory.code == 0 || Some(memory) == own;
    process.stat().is_ok_and(|stat| is_not_yet(Memory::of(&stat))) && process.exe().is_ok()
}

/// Whether a process was started without the variables that lead to the proxy; `None` when that can't be said: it belongs to
/// somebody else, has overwritten its environment with a title, has ended, or is below another harproxy.
fn is_cleared(process: &Process, proxy: &str) -> Option<bool> {
    cleared(&environment(process)?, proxy)
}

fn environment(process: &Process) -> Option<Vec<u8>> {
    let mut environment = Vec::new();
    process.open_relative("environ").ok()?.read_to_end(&mut environment).ok()?;
    process.exe().ok()?;
    Some(environment)
}

fn cleared(environment: &[u8], proxy: &str) -> Option<bool> {
    let lines = || environment.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    if (lines().next().is_none() && !environment.is_empty()) || lines().any(|line| !line.contains(&b'=')) {
        return None;
    }
    let value = |name: &str| lines().find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let ours = |value: &[u8]| OsStr::from_bytes(value) == proxy;
    if value(OUR_PROXY).is_some_and(|value| !ours(value)) {
        return None;
    }
    Some(!PROXIES.iter().any(|name| value(name).is_some_and(ours)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://127.0.0.1:8899";

    #[test]
    fn an_environment_without_our_proxy_was_cleared() {
        for (environment, expected) in [
            ("HTTPS_PROXY=http://127.0.0.1:8899\0A=b\0", Some(false)),
            ("http_proxy=http://127.0.0.1:8899\0", Some(false)),
            ("A=b\0", Some(true)),
            ("", Some(true)),
            ("HTTPS_PROXY=http://corp:3128\0", Some(true)),
            ("HTTPS_PROXY=http://127.0.0.1:7\0HARPROXY_RUN_PROXY=http://127.0.0.1:7\0", None),
            ("postgres: writer process\0\0\0", None),
            ("\0\0\0", None),
        ] {
            assert_eq!(cleared(environment.as_bytes(), PROXY), expected, "{environment:?}");
        }
    }

    #[test]
    fn a_program_that_is_only_starting_was_not_cleared() {
        let plan = LookPlan { proxy: PROXY.to_owned(), ours: Vec::new(), pace: super::super::Pace::BESIDE };
        for _ in 0..200 {
            let mut child = std::process::Command::new("env").arg("true").env("HTTPS_PROXY", PROXY).spawn().unwrap();
            let mut eye = Eye::at(child.id(), &plan);
            while child.try_wait().unwrap().is_none() {
                eye.look();
            }
            let cleared: Vec<_> = eye.programs.values().filter(|program| program.cleared == Some(true)).collect();
            assert!(cleared.is_empty(), "{cleared:?}");
        }
    }

    /// What was forked and has not become another program yet.
    #[test]
    fn what_has_our_own_memory_is_no_program_of_cmds() {
        let plan = LookPlan { proxy: PROXY.to_owned(), ours: Vec::new(), pace: super::super::Pace::BESIDE };
        let own = std::env::current_exe().unwrap();
        let mut child =
            std::process::Command::new(&own).args(["--list"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let (mut at_us, mut at_another) = (Eye::at(std::process::id(), &plan), Eye::at(child.id(), &plan));
        at_us.look();
        // As it has more to say than a pipe takes, it is still there.
        while at_another.programs.is_empty() && child.try_wait().unwrap().is_none() {
            at_another.look();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let name = file_name(&own).unwrap();
        assert!(at_another.programs.contains_key(&name), "{:?}", at_another.programs);
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(at_us.tree[&pid].name, "", "{:?}", at_us.programs);
    }

    #[test]
    fn a_socket_that_was_connected_to_nothing_yet_is_looked_for_again() {
        let plan = LookPlan { proxy: PROXY.to_owned(), ours: Vec::new(), pace: super::super::Pace::BESIDE };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let to = listener.local_addr().unwrap();
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            let mut eye = Eye::at(std::process::id(), &plan);
            eye.look();
            let _stream = socket.connect(to).await.unwrap();
            for _ in 0..1 << TRIES {
                eye.look();
            }
            assert!(eye.connections.iter().any(|connection| connection.to == to), "{:?}", eye.connections);
        });
    }

    #[test]
    fn a_title_gives_away_one_word_at_most() {
        assert_eq!(first_word("npm exec secret"), "npm");
        assert_eq!(file_name(Path::new("/usr/bin/python3.11 (deleted)")).as_deref(), Some("python3.11"));
    }
}
