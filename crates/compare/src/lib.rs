//! Compares HTTP exchanges: are two of them the same, and where do they differ?
//!
//! An [`Exchange`] is a normalised view of an entry or of a live request. A [`Projection`] decides what counts of it.
//! [`pair_exchanges`] finds the exchanges of two recordings that correspond, and [`diff`] lists their differences.
//! Equality is defined once: two messages are equal if their keys ([`RequestKey`], [`ResponseKey`]) are, and then, and only
//! then, [`diff`] returns nothing.
//!
//! | module | content |
//! | --- | --- |
//! | [`content`] | [`Content`]: a payload, read up to [`INSPECTED_BYTES`] |
//! | [`exchange`] | [`Exchange`], [`Request`], [`Response`], [`Body`] |
//! | [`volatile`] | [`VolatileRules`]: headers and JSON values that differ in every recording |
//! | [`projection`] | [`Projection`] and the keys that it makes of requests and responses |
//! | [`fingerprint`] | [`Fingerprinter`]: digests of named values, and the placeholders in them |
//! | [`json_diff`] | the differences of two JSON trees |
//! | [`diff`](mod@diff) | the differences of two exchanges |
//! | [`pairing`] | pairs of corresponding items: by key, in order, by longest common subsequence |
//! | [`pair`] | pairs of corresponding exchanges |

#![forbid(unsafe_code)]

pub mod content;
pub mod diff;
pub mod exchange;
pub mod fingerprint;
pub mod json_diff;
pub mod pair;
pub mod pairing;
pub mod projection;
pub mod volatile;

pub use content::{Content, ContentKey, INSPECTED_BYTES};
pub use diff::{BodyLocation, Difference, DifferenceKind, Location, diff};
pub use exchange::{Body, Exchange, Request, Response};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use harproxy_json::Digest;
pub use json_diff::{ArrayRule, JsonDifference, json_differences};
pub use pair::pair_exchanges;
pub use pairing::{Pairing, align};
pub use projection::{Projection, RequestKey, ResponseKey};
pub use volatile::VolatileRules;
