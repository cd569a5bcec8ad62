//! The engine: one port for absolute-form HTTP/1.1 and CONNECT (and origin-form ports for `--reverse`), TLS interception,
//! forwarding and tunnels. It knows no HAR: it hands an [`Exchange`] to a [`Handler`] and sends what comes back.

#![forbid(unsafe_code)]

mod access;
mod answer;
mod attend;
mod auth;
mod bell;
pub mod body;
mod connect;
pub mod endings;
mod engine;
pub mod forward;
pub mod handler;
pub mod limits;
mod names;
mod pulse;
pub mod respond;
mod reverse;
mod secure;
mod serve;
mod served;
pub mod server;
mod shortcut;
mod sites;
mod sniff;
mod status;
mod target;
mod threads;
mod tunnel;
pub mod upstream;
mod wire;
pub mod witness;

pub use attend::AnyHandler;
pub use body::Body;
pub use handler::{
    Ask, Client, Connect, Exchange, Handler, HostStays, Notice, Origin, Plain, Progress, Scheme, Session, Ticket,
};
pub use server::{Proxy, ProxyPlan, Running};
pub use tunnel::splice;
pub use witness::{Note, Provenance, Way, Why, Witness};
