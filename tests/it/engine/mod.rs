//! The client side of the engine, tested through sockets with a handler that echoes requests.

mod connect;
mod dialled;
mod heads;
mod life;
mod own_port;
mod pipelining;
mod reverse;
mod stage;
