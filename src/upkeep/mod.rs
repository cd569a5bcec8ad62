//! Looking after fixtures: what people do with them between recording and replaying. A file a tool; each works on one fixture
//! (or makes one of several), reads and writes through `har`, prints nothing and asks nobody.

pub mod check;
pub mod fmt;
pub mod ls;
pub mod merge;
pub mod pack;
pub mod prune;
pub mod redact;
pub mod show;
mod sift;
