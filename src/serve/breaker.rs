//! The circuit breaker: a live source that fails is skipped for a while.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use harproxy_proxy::Origin;
use harproxy_support::sync::lock;

/// The number of failures in a row after which an origin is skipped.
const FAILURES: u32 = 5;
/// The time for which it is skipped.
const OPEN_DURATION: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default)]
struct Circuit {
    failures: u32,
    open_until: Option<Instant>,
}

/// The failures of live origins.
#[derive(Debug, Default)]
pub struct CircuitBreaker(Mutex<HashMap<Origin, Circuit>>);

impl CircuitBreaker {
    /// Returns the time for which an origin is still skipped. After it, one request tries again.
    pub fn skips(&self, origin: &Origin, now: Instant) -> Option<Duration> {
        let mut circuits = lock(&self.0);
        let circuit = circuits.get_mut(origin)?;
        let until = circuit.open_until?;
        if until > now {
            return Some(until - now);
        }
        // The others wait for the result of this request.
        circuit.open_until = Some(now + OPEN_DURATION);
        None
    }

    /// Notes the result of a request. Returns true if the origin is skipped from now on.
    pub fn note(&self, origin: &Origin, has_failed: bool, now: Instant) -> bool {
        let mut circuits = lock(&self.0);
        if !has_failed {
            circuits.remove(origin);
            return false;
        }
        let circuit = circuits.entry(origin.clone()).or_default();
        circuit.failures += 1;
        if circuit.failures >= FAILURES {
            circuit.open_until = Some(now + OPEN_DURATION);
        }
        circuit.failures == FAILURES
    }

    /// Closes all circuits.
    pub fn reset(&self) {
        lock(&self.0).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harproxy_http::NormalUrl;

    #[test]
    fn failing_origin_is_skipped_and_tried_again() {
        let origin = Origin::of_url(&NormalUrl::parse("https://a.test/").unwrap()).unwrap();
        let (breaker, start) = (CircuitBreaker::default(), Instant::now());
        for _ in 0..FAILURES {
            assert_eq!(breaker.skips(&origin, start), None);
            breaker.note(&origin, true, start);
        }
        assert_eq!(breaker.skips(&origin, start), Some(OPEN_DURATION));
        let later = start + OPEN_DURATION;
        assert_eq!(breaker.skips(&origin, later), None, "one request tries again");
        assert_eq!(breaker.skips(&origin, later), Some(OPEN_DURATION), "the others wait");
        breaker.note(&origin, false, later);
        assert_eq!(breaker.skips(&origin, later), None);
    }
}
