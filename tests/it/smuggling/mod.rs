//! Requests and answers that one reader takes for another thing than the next: behind harproxy each has one meaning, or there is a
//! 400 (502 for an answer). Read off the wire, byte by byte.

mod answers;
mod downgrade;
mod requests;
mod wire;
