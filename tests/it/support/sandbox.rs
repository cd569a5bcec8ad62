//! The real binary in a temporary folder, with an environment that does not depend on the machine.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::client::{Client, Proto};
use super::origin::Origin;

/// A temporary folder, which is the working directory, home and data folder of the binary.
pub struct Sandbox {
    dir: tempfile::TempDir,
}

/// The status and the output of a finished command.
#[derive(Debug)]
pub struct Output {
    /// The exit status, or 128 + signal.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Asserts the status. A failure prints the output.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard error contains `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in\n--- stderr\n{}", self.stderr);
        self
    }
}

impl Sandbox {
    pub fn new() -> Self {
        Sandbox { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path().join(path)
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        file
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Reads a fixture as JSON.
    pub fn har(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    /// A command that runs the binary with these arguments.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harproxy"));
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("XDG_DATA_HOME", self.join("data"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        finish(self.command(args).output().unwrap())
    }

    /// Starts a recording into `hars/api.har`, with `api.test` mapped to the origin.
    pub fn record(&self, origin: &Origin) -> Server {
        let begin = ["record", "-o", "hars/api.har"].map(String::from);
        self.start(begin.into_iter().chain(origin.args()))
    }

    /// Starts the binary without CMD on a free port, and waits for its ready line.
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Server {
        self.start_with(args, &[])
    }

    /// Like [`Sandbox::start`], with environment variables.
    pub fn start_with<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, variables: &[(&str, &str)]) -> Server {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
        Server::spawn(command)
    }
}

/// The output of a running program.
#[derive(Clone, Default)]
pub struct CapturedOutput(Arc<(Mutex<OutputBuffer>, Condvar)>);

#[derive(Default)]
struct OutputBuffer {
    text: Vec<u8>,
    ended: bool,
}

impl CapturedOutput {
    /// Reads a stream on a thread until it ends.
    pub fn by(mut stream: impl Read + Send + 'static) -> (Self, JoinHandle<()>) {
        let said = CapturedOutput::default();
        let listening = said.clone();
        let thread = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // Reading from a closed terminal returns an error.
            while let Ok(n @ 1..) = stream.read(&mut piece) {
                listening.change(|heard| heard.text.extend_from_slice(&piece[..n]));
            }
            listening.change(|heard| heard.ended = true);
        });
        (said, thread)
    }

    fn change(&self, change: impl FnOnce(&mut OutputBuffer)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// The output so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().text).into_owned()
    }

    /// Waits until `find` returns a value for the output.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let (said, more) = &*self.0;
        let mut guard = said.lock().unwrap();
        loop {
            let text = String::from_utf8_lossy(&guard.text);
            match find(&text) {
                Some(found) => return found,
                None if guard.ended => panic!("no {what} in\n{text}"),
                None => {}
            }
            let waited = more.wait_timeout(guard, Duration::from_secs(120)).unwrap();
            guard = waited.0;
            assert!(!waited.1.timed_out(), "no {what} in\n{}", String::from_utf8_lossy(&guard.text));
        }
    }

    /// Waits for an event with this name that fulfils a condition.
    #[track_caller]
    pub fn event(&self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.wait_for(&format!("event {name}"), |text| {
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let events = whole.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            events.into_iter().find(|event| event["event"] == name && is(event))
        })
    }
}

/// A running `record` or `replay` without CMD.
pub struct Server {
    child: Child,
    ready: Value,
    stdout: BufReader<std::process::ChildStdout>,
    said: CapturedOutput,
    stderr: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a command that prints a ready line as JSON, and waits for the line.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, stderr) = CapturedOutput::by(child.stderr.take().unwrap());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str(&line) else {
            let status = child.wait().unwrap();
            stderr.join().unwrap();
            panic!("not ready: {line:?}, {status}\n--- stderr\n{}", said.text());
        };
        Server { child, ready, stdout, said, stderr: Some(stderr) }
    }

    /// The output on standard error.
    pub fn stderr(&self) -> &CapturedOutput {
        &self.said
    }

    /// The ready line.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    pub fn proxy(&self) -> SocketAddr {
        self.ready["proxy"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
    }

    /// The CA's certificate, PEM.
    pub fn ca(&self) -> String {
        std::fs::read_to_string(self.ready["ca"].as_str().unwrap()).unwrap()
    }

    /// A client that trusts the CA.
    pub fn client(&self, proto: Proto) -> Client {
        Client::new(self.proxy(), self.ca(), proto)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by number.
    #[cfg(unix)]
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Sends SIGINT and waits for the end.
    pub fn stop(self) -> Output {
        self.signal(nix::sys::signal::Signal::SIGINT);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Output {
        let status = self.child.wait().unwrap();
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.stderr.take().unwrap().join().unwrap();
        Output { status: code(status), stdout, stderr: self.said.text() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stderr.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            if std::thread::panicking()
                && let Some(stderr) = self.stderr.take()
            {
                let _ = stderr.join();
                let _ = writeln!(std::io::stderr(), "--- harproxy said\n{}", self.said.text());
            }
        }
    }
}

/// Converts the output of a command that a test ran itself.
pub fn finish(output: std::process::Output) -> Output {
    Output {
        status: code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[cfg(unix)]
pub fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
}
