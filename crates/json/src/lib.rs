//! JSON as text: positions of values, JSON paths, layout and patches.
//!
//! `serde_json` builds values and forgets how they were spelled. Fixtures are diffed by git and redacted in place, so
//! this crate works on the text itself: numbers keep their spelling, escapes theirs, and members that share a name
//! stay.
//!
//! | module | content |
//! | --- | --- |
//! | [`scan`] | ends of strings, scalars and white space; works on incomplete and malformed text |
//! | [`walk`] | [`Walker`]: the events of a text (brackets, names, scalars) with their spans |
//! | [`node`] | [`Node`]: an immutable tree with spans and digests |
//! | [`text_value`] | [`TextValue`]: a tree that can be edited and written again |
//! | [`text`] | JSON strings: quoting, unquoting, lone surrogates |
//! | [`path`] | [`JsonPath`] (RFC 9535), and the spans of the scalars it selects |
//! | [`layout`] | one line ↔ indented, streaming |
//! | [`patch`] | the changes between two texts, applied to a third |
//! | [`sequence`] | the longest common subsequence of two lists |

#![forbid(unsafe_code)]

pub mod layout;
pub mod node;
pub mod patch;
pub mod path;
pub mod scan;
pub mod sequence;
pub mod text;
pub mod text_value;
pub mod walk;

pub use layout::{LineJoiner, LineReader, Spacing, SpacingDetector, indent, indent_stream, single_line, spacing};
pub use node::{CountAll, Digest, DigestRules, Member, Node, NodeKind};
pub use patch::patch;
pub use path::{JsonPath, LocatedScalar, PathError, Pointer, PointerStep, locate, member_step};
pub use scan::{begins_with_text, is_valid};
pub use text_value::{LineRules, MemberPerLine, ParseError, TextMember, TextValue};
pub use walk::{Container, Event, EventKind, MAX_DEPTH, Walker};
