//! Request smuggling: ambiguous requests and answers are normalised, or refused with a 400 (502 for an answer). The
//! tests read the bytes on the wire.

mod answers;
mod downgrade;
mod requests;
mod wire;
