//! The journal: an append-only file beside the fixture. A recording appends to it as it goes. At its end, or at the start
//! of the next recording if this one was killed, the journal is turned into the fixture.

pub mod frame;
pub mod heads;
pub mod names;
pub mod paths;
pub mod reader;
pub mod writer;

pub use frame::{Frame, FrameKind};
pub use names::SecretNames;
pub use paths::{JournalPaths, LockedJournal};
pub use reader::{JournalReader, PayloadSpan};
pub use writer::{Ack, Flush, Journal};
