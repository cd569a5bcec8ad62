//! Serves HTTP on a client connection: requests to the handler, answers to the client.

pub(crate) mod auth;
pub(crate) mod drive;
pub(crate) mod http_connection;
pub(crate) mod idle;
mod own_pages;
mod refusal;
mod response;
pub(crate) mod reverse;
mod target;
