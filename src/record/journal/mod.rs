//! The journal: an append-only file beside the fixture, which a recording writes as it goes and which is turned into the
//! fixture at the end, or by the next recording if this one was killed.

mod direct;
pub mod frame;
pub mod place;
pub mod reader;
mod turns;
pub mod writer;

pub use frame::{Frame, Kind};
pub use place::{Claimed, Place};
pub use reader::{Names, Reader, Span};
pub use writer::{Ack, Haste, Journal};
