//! The engine: an intercepting proxy for HTTP and HTTPS.
//!
//! It serves a proxy port (absolute-form requests and CONNECT) and `--reverse` ports (origin-form requests), intercepts
//! TLS, and forwards requests and tunnels. It contains no HAR code: an [`Exchange`] goes to a [`Handler`], and its
//! answer to the client.
//!
//! ```text
//! listen ─ intercept ─ serve ─ Handler ─ upstream
//!              └─ tunnel
//! ```

#![forbid(unsafe_code)]

pub mod background;
pub mod body;
mod engine;
pub mod handler;
mod intercept;
pub mod limits;
mod listen;
mod origin;
mod request_target;
pub mod respond;
mod serve;
mod sniff;
mod stream;
mod threads;
mod tunnel;
pub mod upstream;

pub use body::Body;
pub use futures_util::future::BoxFuture;
pub use handler::{Close, Connection, ConnectionEvent, Exchange, Handler, Tunnel};
pub use listen::{BindError, Proxy, ProxyPlan, Running};
pub use origin::{Origin, Scheme, Session};
pub use serve::auth::Credentials;
pub use serve::reverse::ReversePlan;
pub use stream::Io;
pub use tunnel::splice;
pub use upstream::HostStays;
