//! Reports: each a pure function of a [`Verdict`](super::Verdict). Nothing is run and nothing is printed here.

pub mod json;
pub mod text;

#[cfg(test)]
mod tests;
