//! The journal: an append-only file beside the fixture, to which a recording writes its exchanges. At the end of the
//! recording, the journal is turned into the fixture. The next recording does that if this one was killed.

pub mod frame;
pub mod heads;
pub mod names;
pub mod paths;
pub mod reader;
pub mod writer;

pub use frame::{Frame, FrameKind, FrameMark};
pub use names::SecretNames;
pub use paths::{JournalPaths, LockedJournal};
pub use reader::{DamagedBytes, JournalReader, PayloadSpan};
pub use writer::{Ack, Flush, Journal, WrittenFrames};
