//! The signals that end a run, as events: the first asks for an orderly end, a second one ends at once.
//!
//! Without CMD a caller waits for [`Signals::next`] and races the orderly end against another; with CMD [`super::run()`] does
//! the waiting.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A wish that the run end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, or Ctrl-C.
    Interrupt,
    /// SIGTERM; on Windows the console's close.
    Terminate,
    /// SIGHUP: the terminal has gone.
    Hangup,
}

impl Signal {
    /// What ended a program that exits with this code, as shells have it: 128 + signal.
    fn told_by(code: u8) -> Option<Self> {
        match code {
            129 => Some(Signal::Hangup),
            130 => Some(Signal::Interrupt),
            143 => Some(Signal::Terminate),
            _ => None,
        }
    }
}

/// The signals of this process, in the order in which they came.
#[derive(Debug)]
pub struct Signals {
    events: UnboundedReceiver<Signal>,
    last: Option<(Signal, Instant)>,
    /// Whether a Ctrl-C reaches CMD too.
    terminal: fn() -> bool,
}

/// The same signal this soon after is the same wish: timeout(1) signals its child and then the group, a shell and the
/// kernel both report a terminal that has closed.
const ECHO: Duration = Duration::from_millis(200);

impl Signals {
    /// Listens from now on, for as long as the process lives: none of these signals ends it by itself any more. Must be
    /// called within a tokio runtime. SIGHUP stays ignored where it is (`nohup`).
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let (tell, events) = unbounded_channel();
        os::listen(&tell)?;
        Ok(Signals { events, last: None, terminal: os::in_foreground })
    }

    /// Signals that a program sends itself, for one that embeds harproxy.
    #[must_use]
    pub fn from_events(events: UnboundedReceiver<Signal>) -> Self {
        Signals { events, last: None, terminal: || false }
    }

    /// The next one. Waits for ever when no more can come. Nothing is lost if the future is dropped.
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

    /// CMD has ended with this exit code. The signal that it got by itself, and that ended it, may be told to us only now: it is no wish of its own. That is a
    /// Ctrl-C in the terminal, or what a whole process group is sent: by timeout(1), or by who cancels a job.
    pub(super) fn cmd_ended(&mut self, code: u8) {
        // What CMD makes of a Ctrl-C may be any code.
        let interrupted = (self.terminal)().then_some(Signal::Interrupt);
        if let Some(signal) = interrupted.or_else(|| Signal::told_by(code)) {
            self.last = Some((signal, Instant::now()));
        }
    }

    /// Whether CMD gets this signal by itself: a Ctrl-C in the terminal whose foreground harproxy shares with it.
    #[must_use]
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
                    if tell.send(name).is_err() {
                        // Signals has been dropped, but the handler stays: go on swallowing.
                        continue;
                    }
                }
            });
        }
        Ok(())
    }

    /// Linux says in `/proc/self/status` which signals are ignored. Elsewhere asking takes `unsafe`; a nohup'd run ends
    /// with its terminal there.
    pub(in crate::child) fn hangup_is_ignored() -> bool {
        const HANGUP: u64 = 1;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
    }

    /// Whether our process group is the one that the controlling terminal sends Ctrl-C to.
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

    /// The console gives Ctrl-C to every process that is attached to it.
    pub(super) fn in_foreground() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_echo_is_the_same_wish_and_another_signal_is_not() {
        let (tell, events) = unbounded_channel();
        let mut signals = Signals::from_events(events);
        for signal in [Signal::Terminate, Signal::Terminate, Signal::Interrupt] {
            tell.send(signal).unwrap();
        }
        assert_eq!(signals.next().await, Signal::Terminate);
        assert_eq!(signals.next().await, Signal::Interrupt);
    }

    #[tokio::test]
    async fn a_signal_that_ended_cmd_is_no_second_wish_though_it_comes_late() {
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
    async fn a_signal_of_the_process_arrives() {
        let mut signals = Signals::listen().unwrap();
        nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(signals.next().await, Signal::Terminate);
    }
}
