//! Trust stores: where the programs of a machine take their roots from, and what makes one of them take the CA.
//!
//! A [`Machine`] says what there is to know of the machine, as plain data, so that each family of systems can be asked for on any
//! other; [`stores`] makes of it the [`Store`]s that apply, with the commands that [`Plan`] them; [`Store::look`] finds out which of them
//! hold the CA already, and [`act`] runs the commands. What is known of each system stands in `families.rs` and `stores.rs`, and nowhere else.
//!
//! Nothing here is needed by `-- CMD`, whose environment makes one process trust the CA and leaves the machine as it is.

pub mod act;
mod ca;
mod families;
mod found;
mod look;
mod machine;
mod recipe;
mod store;
mod stores;

pub use ca::Ca;
pub use found::{Entry, Found, State};
pub use look::LookError;
pub use machine::{Java, Machine, Nss, Os, Rights};
pub use recipe::Step;
pub use store::{Get, Kind, Obstacle, Right, Store};
pub use stores::{Plan, stores};

#[cfg(test)]
mod tests;
