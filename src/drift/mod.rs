//! Drift: do the fixtures still describe the real API? Recorded requests are sent to production, and the structure of
//! the answers is compared. `--against` compares two recordings instead.
//!
//! ```text
//! select ─ request ─ client ─┐
//!    └─ recorded evidence    ├─ check ─ suppress ─ report
//!          live evidence ────┘
//! ```
//!
//! | module | content |
//! | --- | --- |
//! | [`checks`] | the table of checks with their severities |
//! | [`endpoint`], [`select`] | endpoints of fixtures, and the entry that is asked for each |
//! | [`request`], [`client`], [`login`] | requests without recorded credentials, sent at a bounded pace |
//! | [`evidence`], [`check`], `headers`, [`values`] | answers of one endpoint together, and their comparison |
//! | [`finding`], [`suppress`] | findings, scores, and known differences |
//! | [`accept`], [`merge`], [`update`] | findings that become known, and fixtures that follow production |
//! | [`report`], [`notify`] | the result for people and programs |
//! | [`schedule`] | repeated runs |

pub mod accept;
pub mod check;
pub mod checks;
pub mod client;
pub mod endpoint;
pub mod evidence;
pub mod finding;
mod headers;
pub mod login;
pub mod merge;
pub mod notify;
pub mod redaction;
pub mod report;
pub mod request;
pub mod run;
pub mod schedule;
pub mod select;
pub mod suppress;
pub mod update;
pub mod values;

pub use checks::DriftSeverity;
pub use finding::{DriftFinding, DriftPlace, EndpointResult};
pub use report::DriftReport;
