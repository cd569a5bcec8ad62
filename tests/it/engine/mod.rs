//! The engine's client side, driven through sockets with a handler that says what it was given.

mod connect;
mod dialled;
mod heads;
mod life;
mod own_port;
mod pipelining;
mod reverse;
mod stage;
