//! The admin API of a mock server: HTTP with JSON on a listener of its own, for people (`harproxy ctl`), scripts and
//! tests. `docs/reference/admin.openapi.json` describes it.
//!
//! | module | content |
//! | --- | --- |
//! | [`access`] | the token, and the checks of `Host` and `Origin` |
//! | [`server`] | the listener and the token file |
//! | [`api`] | the operations by method and path |
//! | `requests`, `rules`, `entries`, `run` | the operations |
//! | [`events`] | the stream of events |
//! | [`client`] | the client of `harproxy ctl` |

pub mod access;
pub mod api;
pub mod client;
mod entries;
pub mod events;
mod requests;
mod rules;
mod run;
pub mod server;
