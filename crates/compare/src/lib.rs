//! Compares HTTP exchanges: are two of them the same, and where do they differ?
//!
//! An [`Exchange`] is a normalised view of an entry or of a live request. A [`Projection`] decides what counts of it.
//! [`pair_exchanges`] finds the exchanges of two recordings that correspond, and [`diff()`] lists their differences.
//! Equality is defined once: two messages are equal if their keys ([`RequestKey`], [`ResponseKey`]) are, and then, and
//! only then, [`diff()`] returns nothing.
//!
//! Requests are matched with [`RecordedPayload::score`]. It ends at the first difference; [`diff_payloads`] lists the
//! differences of those that do not match.
//!
//! | module | content |
//! | --- | --- |
//! | [`exchange`] | [`Exchange`], [`Content`]: a payload, read up to [`INSPECTED_BYTES`]; [`Fingerprinter`] |
//! | [`volatile`] | [`VolatileRules`]: headers and JSON values that differ in every recording |
//! | [`projection`] | [`Projection`] and the keys that it makes of requests and responses |
//! | [`pairing`], [`pair`] | pairs of corresponding items, and of corresponding exchanges |
//! | [`template`], [`text_pattern`] | recorded texts with placeholders |
//! | [`body_rules`] | [`BodyRules`]: how request payloads are compared |
//! | [`recorded`], [`sent`], [`stream_digest`] | the payloads of an entry and of a live request |
//! | `volatile_value` | values that differ from run to run by their nature |
//! | [`diff`](mod@diff) | [`Difference`], and the differences of two exchanges |
//! | `json_diff`, [`fields`], [`path_diff`] | the differences of JSON, of named values and of paths |
//! | [`payload_diff`] | the differences of payloads |
//! | [`shape`], [`string_format`] | [`Shape`]: types, fields and formats, merged over many JSON texts |
//! | [`shape_diff`] | [`ShapeDifference`]: the differences of two shapes, with renamed fields |
//! | [`distance`], [`excerpt`](mod@excerpt) | how near an entry is, and what is shown of long values |

#![forbid(unsafe_code)]

pub mod body_rules;
pub mod diff;
pub mod distance;
pub mod excerpt;
pub mod exchange;
pub mod fields;
mod form_digest;
pub mod graphql;
mod json_diff;
pub mod pair;
pub mod pairing;
pub mod path_diff;
pub mod payload_diff;
pub mod projection;
pub mod recorded;
pub mod sent;
pub mod shape;
pub mod shape_diff;
pub mod stream_digest;
pub mod string_format;
pub mod template;
pub mod text_pattern;
pub mod volatile;
mod volatile_value;

pub use body_rules::{BodyRules, MatchBody};
pub use diff::{BodyLocation, Difference, DifferenceKind, Location, diff};
pub use excerpt::{excerpt, excerpt_pair};
pub use exchange::{
    Body, Content, ContentKey, Exchange, Fingerprint, Fingerprinter, INSPECTED_BYTES, Request, Response,
};
pub use harproxy_json::Digest;
pub use pair::pair_exchanges;
pub use pairing::{Pairing, align};
pub use path_diff::{PathDiff, PathSegments, PathStep};
pub use payload_diff::{PayloadDiff, PayloadDiffKind, diff_long_payloads, diff_payloads};
pub use projection::{KEY_HEADERS, Projection, RequestKey, ResponseKey, key_header_values};
pub use recorded::{CutLengths, RecordedPayload};
pub use sent::SentPayload;
pub use shape::{JsonType, Shape, ShapeError};
pub use shape_diff::{ShapeChange, ShapeDifference, ShapePath, ShapeStep, TypeCompatibility, diff_shapes};
pub use stream_digest::{DigestedPayload, PayloadDigester};
pub use string_format::StringFormat;
pub use template::{Encoding, PlaceholderScore, PlaceholderValues, Template};
pub use volatile::VolatileRules;
pub use volatile_value::looks_volatile;
