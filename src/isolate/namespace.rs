//! The network namespace of a run, and the reasons why a system denies one.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::IsolateError;

const FIRST_UNPRIVILEGED_PORT: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// Moves this process into a new network namespace. Root needs no user namespace, so files of other users stay
/// accessible to it. Other users get one in which only they exist; CMD keeps its ids.
///
/// # Errors
/// [`IsolateError::NamespaceDenied`] if the system denies it, also because this process has several threads.
pub(super) fn enter() -> Result<(), IsolateError> {
    let first_port = fs::read(FIRST_UNPRIVILEGED_PORT).ok();
    let (user, group) = (geteuid(), getegid());
    if !user.is_root() || unshare(CloneFlags::CLONE_NEWNET).is_err() {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(denied)?;
        let write = |file: &str, text: String| fs::write(format!("/proc/self/{file}"), text).map_err(refused);
        // The kernel demands this before an unprivileged process may map its group. Kernels before 3.19 lack the file.
        let _ = write("setgroups", "deny".to_owned());
        write("uid_map", format!("{user} {user} 1"))?;
        write("gid_map", format!("{group} {group} 1"))?;
    }
    if let Some(first_port) = first_port {
        // Containers often allow all ports. A read-only /proc/sys keeps the default.
        let _ = fs::write(FIRST_UNPRIVILEGED_PORT, first_port);
    }
    Ok(())
}

fn refused(source: io::Error) -> IsolateError {
    denied(source.raw_os_error().map_or(Errno::EPERM, Errno::from_raw))
}

/// Names the setting that denies a namespace.
pub(super) fn denied(errno: Errno) -> IsolateError {
    let is = |file: &str, value: &str| fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    let (reason, hint) = if is("/proc/sys/user/max_user_namespaces", "0") {
        ("`user.max_user_namespaces` is 0", "`sudo sysctl -w user.max_user_namespaces=15000` allows it")
    } else if is("/proc/sys/user/max_net_namespaces", "0") {
        ("`user.max_net_namespaces` is 0", "`sudo sysctl -w user.max_net_namespaces=15000` allows it")
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        ("`kernel.unprivileged_userns_clone` is 0", "`sudo sysctl -w kernel.unprivileged_userns_clone=1` allows it")
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        (
            "AppArmor restricts user namespaces (`kernel.apparmor_restrict_unprivileged_userns` is 1)",
            "`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` allows it",
        )
    } else if is_container() {
        (
            "the container's seccomp profile or capabilities forbid it",
            "start the container with `--cap-add SYS_ADMIN --cap-add NET_ADMIN`, or with `--security-opt seccomp=unconfined` \
             and `--security-opt apparmor=unconfined`",
        )
    } else {
        (errno.desc(), "run harproxy where user namespaces are allowed, or without `--isolate`")
    };
    IsolateError::NamespaceDenied { reason: reason.to_owned(), hint: hint.to_owned() }
}

fn is_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|file| fs::exists(file).unwrap_or(false))
        || std::env::var_os("container").is_some()
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}
