//! Serve: route rules over the sources of a replay: other sources, answers, faults, delays, patches, templates, state.
//!
//! ```text
//! facts ─ rule (condition) ─ decision ─ control headers
//!                               └─ sources │ respond │ state ─ patch, template ─ delay, fault
//! ```
//!
//! | module | content |
//! | --- | --- |
//! | [`facts`] | a request as rules see it |
//! | [`rule`], [`condition`], [`table`] | `[[route]]`, and the decision for a request |
//! | [`patch`], [`template`], [`delay`], [`fault`] | changes of an answer and its pace |
//! | [`state`] | collections that requests change |
//! | `payload` | payloads that are read whole, sent at a rate, or broken off |
//! | [`breaker`] | live sources that fail are skipped for a while |
//! | [`shadow`] | copies of requests for the live API |
//! | [`expect`] | the requests that a run must send |
//! | [`closest`] | the most similar entry, for `--closest` |
//! | [`graphql`] | persisted queries |
//! | [`control`] | `x-mock-…` headers and API keys |
//! | [`history`] | the last requests, for the admin API |
//! | [`memory`] | the rules of a run, and the state that requests change |
//! | [`source`] | the source that applies the rules |

pub mod breaker;
pub mod closest;
pub mod condition;
pub mod control;
pub mod delay;
pub mod expect;
pub mod facts;
pub mod fault;
pub mod graphql;
pub mod history;
pub mod memory;
pub mod patch;
mod payload;
pub mod rule;
pub mod shadow;
pub mod source;
pub mod state;
pub mod table;
pub mod template;
