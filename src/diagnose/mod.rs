//! Diagnosis of a CMD whose traffic does not reach the proxy: its runtime, the connections that bypass the proxy, and
//! the change that sends them through it. [`doctor`] is the command that only diagnoses.

mod advice;
mod bypass;
pub mod doctor;
mod evidence;
pub mod processes;
mod runtime;
#[cfg(test)]
mod tests;

pub use advice::{PLAYWRIGHT, advise};
pub use bypass::{BypassRules, Bypasses, ScopeHosts, resolve_no_proxy};
pub use evidence::{Evidence, Project, no_proxy_entries, script_of, unset_url};
pub use processes::{DirectConnection, Program};
pub use runtime::Runtime;
