//! Digests of named values in which placeholders do not count.

use harproxy_json::Digest;
use harproxy_redact::{Placeholder, placeholder};
use sha2::{Digest as _, Sha256};

use super::content::update_sized;

/// A digest of values, and the placeholders that were found in them, in order.
///
/// Values that differ only in placeholders have the same digest. Placeholders at the same index of two fingerprints
/// with the same digest are at the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub digest: Digest,
    pub placeholders: Vec<Placeholder>,
}

/// Makes a [`Fingerprint`] of named values.
#[derive(Clone, Debug, Default)]
pub struct Fingerprinter {
    digest: Sha256,
    placeholders: Vec<Placeholder>,
}

impl Fingerprinter {
    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.placeholders.extend(placeholder::find(value).map(|found| found.placeholder));
        update_sized(&mut self.digest, name.as_bytes());
        update_sized(&mut self.digest, &placeholder::mask(value));
    }

    #[must_use]
    pub fn finish(self) -> Fingerprint {
        Fingerprint { digest: self.digest.finalize().into(), placeholders: self.placeholders }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_collected_and_do_not_count() {
        let fingerprint = |values: &[(&str, &str)]| {
            let mut fingerprinter = Fingerprinter::default();
            values.iter().for_each(|(name, value)| fingerprinter.add(name, value.as_bytes()));
            fingerprinter.finish()
        };
        let one = fingerprint(&[("a", "x REDACTED-sid-1"), ("b", "REDACTED-token-2")]);
        let other = fingerprint(&[("a", "x REDACTED-sid-3"), ("b", "REDACTED-token-4")]);
        assert_eq!(one.digest, other.digest);
        assert_eq!(one.placeholders.iter().map(|found| found.number).collect::<Vec<_>>(), [1, 2]);
        assert_ne!(fingerprint(&[("a", "bc")]).digest, fingerprint(&[("ab", "c")]).digest);
    }
}
