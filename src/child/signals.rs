//! Termination signals as events: the first requests an orderly shutdown, the second an immediate one.
//!
//! Without CMD, the caller awaits [`Signals::next`] and stops its orderly shutdown on another signal. With CMD,
//! [`super::run()`] awaits the signals.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A request to end the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, or Ctrl-C.
    Interrupt,
    /// SIGTERM; on Windows Ctrl-Break or closing the console.
    Terminate,
    /// SIGHUP: the terminal was closed.
    Hangup,
}

impl Signal {
    const ALL: [Signal; 3] = [Signal::Interrupt, Signal::Terminate, Signal::Hangup];

    /// Returns the exit status of a process that the signal ended: 128 + its POSIX number.
    pub fn exit_code(self) -> u8 {
        match self {
            Signal::Hangup => 129,
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
        }
    }
}

/// The termination signals of this process, in order of arrival.
#[derive(Debug)]
pub struct Signals {
    events: UnboundedReceiver<Signal>,
    last: Option<(Signal, Instant)>,
    /// Returns true if the terminal also sends Ctrl-C to CMD.
    terminal: fn() -> bool,
}

/// Window in which a repeated signal counts as the same request. timeout(1) signals its child and then the group; a
/// shell and the kernel both report a closed terminal.
const ECHO: Duration = Duration::from_millis(200);

impl Signals {
    /// Installs the handlers for the lifetime of the process, replacing the default termination. Must be called within
    /// a tokio runtime. On Linux, SIGHUP stays ignored if it already is (`nohup`).
    pub fn listen() -> io::Result<Self> {
        let (tell, events) = unbounded_channel();
        os::listen(&tell)?;
        Ok(Signals { events, last: None, terminal: os::in_foreground })
    }

    /// Creates `Signals` from a channel, for a program that embeds harproxy.
    pub fn from_events(events: UnboundedReceiver<Signal>) -> Self {
        Signals { events, last: None, terminal: || false }
    }

    /// Returns the next signal that is not a repetition. Never resolves if no sender is left. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        loop {
            let Some(signal) = self.events.recv().await else { return std::future::pending().await };
            let echo = self.last.is_some_and(|(last, at)| last == signal && at.elapsed() < ECHO);
            self.last = Some((signal, Instant::now()));
            if !echo {
                return signal;
            }
        }
    }

    /// Records that CMD exited with this code. If a signal to the whole group ended CMD, harproxy's copy may arrive
    /// later and must not count as a new request. Such signals come from Ctrl-C in a terminal, timeout(1) or a
    /// cancelled CI job.
    pub(super) fn cmd_ended(&mut self, code: u8) {
        // CMD may exit with any code after a Ctrl-C.
        let interrupted = (self.terminal)().then_some(Signal::Interrupt);
        let ended_by = || Signal::ALL.into_iter().find(|signal| signal.exit_code() == code);
        if let Some(signal) = interrupted.or_else(ended_by) {
            self.last = Some((signal, Instant::now()));
        }
    }

    /// Returns true if CMD receives this signal directly: Ctrl-C in a terminal whose foreground group includes harproxy
    /// and CMD.
    pub fn reaches_cmd(&self, signal: Signal) -> bool {
        signal == Signal::Interrupt && (self.terminal)()
    }
}

#[cfg(unix)]
pub(super) mod os {
    use nix::unistd::{getpgrp, tcgetpgrp};
    use tokio::signal::unix::{SignalKind, signal};

    use super::{Signal, UnboundedSender, io};

    pub(super) fn listen(tell: &UnboundedSender<Signal>) -> io::Result<()> {
        let mut kinds = vec![
            (SignalKind::interrupt(), Signal::Interrupt),
            (SignalKind::terminate(), Signal::Terminate),
            (SignalKind::hangup(), Signal::Hangup),
        ];
        if hangup_is_ignored() {
            kinds.pop();
        }
        for (kind, name) in kinds {
            let mut stream = signal(kind)?;
            let tell = tell.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    // The handler stays installed if `Signals` was dropped: signals are discarded then.
                    let _ = tell.send(name);
                }
            });
        }
        Ok(())
    }

    /// Returns true if SIGHUP is ignored, according to `/proc/self/status` on Linux. Other systems need `unsafe` for
    /// this, so SIGHUP ends a run under nohup there.
    pub(in crate::child) fn hangup_is_ignored() -> bool {
        const HANGUP: u64 = 1;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
    }

    /// Returns true if harproxy's process group is the foreground group of its controlling terminal.
    pub(super) fn in_foreground() -> bool {
        std::fs::File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))
    }
}

#[cfg(windows)]
mod os {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close};

    use super::{Signal, UnboundedSender, io};

    pub(super) fn listen(tell: &UnboundedSender<Signal>) -> io::Result<()> {
        let (mut c, mut brk, mut close) = (ctrl_c()?, ctrl_break()?, ctrl_close()?);
        let tell = tell.clone();
        tokio::spawn(async move {
            loop {
                let signal = tokio::select! {
                    _ = c.recv() => Signal::Interrupt,
                    _ = brk.recv() => Signal::Terminate,
                    _ = close.recv() => Signal::Terminate,
                };
                let _ = tell.send(signal);
            }
        });
        Ok(())
    }

    /// Always true: the console sends Ctrl-C to every attached process.
    pub(super) fn in_foreground() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn repeated_signal_counts_once_and_a_different_one_counts_again() {
        let (tell, events) = unbounded_channel();
        let mut signals = Signals::from_events(events);
        for signal in [Signal::Terminate, Signal::Terminate, Signal::Interrupt] {
            tell.send(signal).unwrap();
        }
        assert_eq!(signals.next().await, Signal::Terminate);
        assert_eq!(signals.next().await, Signal::Interrupt);
    }

    #[tokio::test]
    async fn late_signal_that_ended_cmd_is_not_a_second_signal() {
        let cases = [
            (true, 0, Signal::Terminate),
            (true, 143, Signal::Terminate),
            (false, 0, Signal::Interrupt),
            (false, 130, Signal::Terminate),
            (false, 143, Signal::Interrupt),
        ];
        for (terminal, code, next) in cases {
            let (tell, events) = unbounded_channel();
            let mut signals = Signals::from_events(events);
            signals.terminal = if terminal { || true } else { || false };
            tell.send(Signal::Interrupt).unwrap();
            tell.send(Signal::Terminate).unwrap();
            signals.cmd_ended(code);
            assert_eq!(signals.next().await, next);
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn signal_to_the_process_is_received() {
        let mut signals = Signals::listen().unwrap();
        nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(signals.next().await, Signal::Terminate);
    }
}
