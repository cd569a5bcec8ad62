//! Trust stores of the machine, and the commands that add the CA to them or remove it.
//!
//! A [`Machine`] describes the machine as plain data, so that each system can be tested on any other. [`stores`] computes the
//! [`Store`]s with their commands. [`Store::look`] finds out which stores have the CA, and [`act`] runs the commands. The facts about
//! each system are in `families.rs` and `stores.rs`.
//!
//! `-- CMD` does not use this module: the environment makes CMD trust the CA without a change to the machine.

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
pub use store::{Get, Obstacle, Right, Store, StoreKind};
pub use stores::{Plan, stores};

#[cfg(test)]
mod tests;
