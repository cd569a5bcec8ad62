//! Sessions: the test that each client runs. CMD names it on a control socket, and entries carry it, so that a fixture
//! of many tests gives each of them its own answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::verdict::Finding;
use harproxy_matching::RequestSession;
use harproxy_support::sync::lock;

/// The length of the longest name of a test, bytes.
const MAX_NAME: usize = 2048;
/// Maximum number of findings that are kept for the control socket.
const MAX_FINDINGS: usize = 1000;

/// A test that a client runs. It begins when it is named.
#[derive(Debug)]
struct RunningTest {
    name: String,
    /// The number of tests that began before it.
    attempt: u64,
    /// The name of its position in sequences. A test that is named again begins anew.
    sequence: String,
}

/// The session of an exchange: that of its client, and its test.
#[derive(Clone, Debug, Default)]
pub struct ExchangeSession {
    client: Option<Arc<str>>,
    test: Option<Arc<RunningTest>>,
}

impl ExchangeSession {
    /// Returns the name of the test, or of the client.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.test().or(self.client.as_deref())
    }

    #[must_use]
    pub fn test(&self) -> Option<&str> {
        self.test.as_ref().map(|test| &*test.name)
    }

    /// Returns the number of tests that began before this one, which is greater each time that a test runs. 0 without a
    /// test.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.test.as_ref().map_or(0, |test| test.attempt)
    }

    /// Returns the session as matching needs it.
    #[must_use]
    pub fn for_matching(&self) -> RequestSession<'_> {
        let sequence = self.test.as_ref().map(|test| &*test.sequence).or(self.client.as_deref());
        RequestSession { sequence, test: self.test() }
    }
}

/// The tests of a run by their clients, and the findings about their requests.
#[derive(Debug, Default)]
pub struct Sessions {
    /// By the user name in the client's proxy URL, which is empty for clients without one.
    running: RwLock<HashMap<String, Arc<RunningTest>>>,
    /// The number of tests that have begun.
    begun: AtomicU64,
    findings: Mutex<Vec<Finding>>,
}

/// A name that a client cannot have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the name of a session is empty: pass the name of the test, or null at its end")]
    Empty,
    #[error("the name of a session is longer than {MAX_NAME} bytes: shorten the name of the test")]
    TooLong,
    #[error(
        "another client runs a test with this name: give each test a name of its own, such as its file and its title"
    )]
    Taken,
}

impl Sessions {
    /// Returns the session of a request of this client.
    #[must_use]
    pub fn of(&self, client: Option<&Arc<str>>) -> ExchangeSession {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        let test = match running.is_empty() {
            true => None,
            false => running.get(client.map_or("", |client| client)).cloned(),
        };
        ExchangeSession { client: client.cloned(), test }
    }

    /// Begins a test of a client: its requests belong to the test until another begins. `None` ends it.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn begin(&self, client: &str, name: Option<&str>) -> Result<(), NameError> {
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = name else {
            running.remove(client);
            return Ok(());
        };
        let is_taken = || running.iter().any(|(other, test)| other != client && test.name == name);
        match name.len() {
            0 => return Err(NameError::Empty),
            len if len > MAX_NAME => return Err(NameError::TooLong),
            _ if is_taken() => return Err(NameError::Taken),
            _ => {}
        }
        let attempt = self.begun.fetch_add(1, Ordering::Relaxed);
        let test = RunningTest { name: name.to_owned(), attempt, sequence: format!("{name}\n{attempt}") };
        running.insert(client.to_owned(), Arc::new(test));
        Ok(())
    }

    /// Keeps a finding about a request of a test.
    pub(super) fn keep(&self, finding: &Finding) {
        let mut findings = lock(&self.findings);
        if findings.len() < MAX_FINDINGS && finding.session.is_some() {
            findings.push(finding.clone());
        }
    }

    /// Returns the findings about the requests of a test.
    #[must_use]
    pub fn findings(&self, test: &str) -> Vec<Finding> {
        let findings = lock(&self.findings);
        findings.iter().filter(|finding| finding.session.as_deref() == Some(test)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_belong_to_the_test_of_their_client() {
        let sessions = Sessions::default();
        let client: Arc<str> = "gw0".into();
        let test = |client| sessions.of(client).test().map(str::to_owned);
        assert_eq!((test(Some(&client)), sessions.of(Some(&client)).name()), (None, Some("gw0")));
        sessions.begin("gw0", Some("a::one")).unwrap();
        assert_eq!((test(Some(&client)).as_deref(), test(None)), (Some("a::one"), None));
        sessions.begin("", Some("a::two")).unwrap();
        assert_eq!(test(None).as_deref(), Some("a::two"));
        sessions.begin("gw0", None).unwrap();
        assert_eq!(test(Some(&client)), None);
    }

    #[test]
    fn test_that_is_named_again_begins_anew() {
        let sessions = Sessions::default();
        let sequence = || sessions.of(None).for_matching().sequence.map(str::to_owned);
        sessions.begin("", Some("one")).unwrap();
        let first = sequence();
        assert_eq!(sequence(), first);
        sessions.begin("", Some("one")).unwrap();
        assert_ne!(sequence(), first);
    }

    #[test]
    fn invalid_names_are_refused() {
        let sessions = Sessions::default();
        sessions.begin("gw0", Some("one")).unwrap();
        assert_eq!(sessions.begin("gw1", Some("one")), Err(NameError::Taken));
        assert_eq!(sessions.begin("gw1", Some("")), Err(NameError::Empty));
        assert_eq!(sessions.begin("gw1", Some(&"x".repeat(MAX_NAME + 1))), Err(NameError::TooLong));
        sessions.begin("gw0", Some("two")).unwrap();
        sessions.begin("gw1", Some("one")).unwrap();
    }
}
