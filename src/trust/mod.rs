//! Trust stores of the machine, and the commands that add the CA to them or remove it.
//!
//! A [`Machine`] describes the machine as plain data, so that each system can be tested on any other. [`stores`]
//! computes the [`Store`]s with their commands. [`Store::list`] finds out which stores have the CA, and [`edit`] runs
//! the commands. The facts about each system are in `machine.rs` and `stores.rs`.
//!
//! `-- CMD` does not use this module: the environment makes CMD trust the CA without a change to the machine.

pub mod edit;
mod list;
mod machine;
mod store;
mod stores;

pub use list::{ListError, StoreContents, TrustState};
pub use machine::{JavaStore, Machine, NssDatabase, Os};
pub use store::{
    Ca, CommandError, CommandOutput, CommandRunner, Installation, LocalRunner, Obstacle, Rights, Store, StoreCommand,
    StoreEntry, StoreKind,
};
pub use stores::{StoreList, stores};

#[cfg(test)]
mod tests;
