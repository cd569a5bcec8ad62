//! Systems without network namespaces.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{IsolateError, Refusal, Service};
use harproxy_proxy::upstream::Dial;

/// Never exists on this system.
#[derive(Debug)]
pub struct Isolation(Infallible);

impl Isolation {
    /// # Errors
    /// Always [`IsolateError::Unsupported`].
    pub fn enter(_allow: Vec<Service>) -> Result<Arc<Self>, IsolateError> {
        Err(IsolateError::Unsupported)
    }

    #[must_use]
    pub fn dialler(self: &Arc<Self>) -> Arc<dyn Dial> {
        match self.0 {}
    }

    /// # Errors
    /// None.
    pub async fn open(&self) -> Result<Inside<'_>, IsolateError> {
        match self.0 {}
    }

    pub fn refusals(&self) -> Vec<Refusal> {
        match self.0 {}
    }
}

/// Never exists on this system.
#[derive(Debug)]
pub struct Inside<'a>(Infallible, PhantomData<&'a ()>);

impl Inside<'_> {
    pub async fn answer_names(self, _is_reachable: &dyn Fn(&str) -> bool) -> Infallible {
        match self.0 {}
    }
}

/// # Errors
/// Always [`IsolateError::Unsupported`].
pub fn can_isolate() -> Result<(), IsolateError> {
    Err(IsolateError::Unsupported)
}

/// There are no helper processes on this system.
#[must_use]
pub fn run_helper(_command: &OsStr) -> Option<u8> {
    None
}
