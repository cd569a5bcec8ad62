//! harproxy records the HTTP and HTTPS traffic of any program into HAR files and replays it strictly.
//!
//! The crate is a functional core with an I/O shell. Arrows go one way:
//!
//! ```text
//! http, urlglob → har → redact → matching → verdict → record, replay → cli
//! har, redact, matching → upkeep → cli           tls → proxy → record, replay           child → cli
//! ```
//!
//! | room | what it is for |
//! | --- | --- |
//! | [`whole`] | small files that are there whole or not at all, for every room that writes one |
//! | [`http`] | the vocabulary of the wire: header lists, URL normal form, codings, media types |
//! | [`urlglob`] | Playwright's URL glob dialect |
//! | [`har`] | reading and writing fixtures: the HAR and its payloads |
//! | [`matching`] | which entry answers a request, and why |
//! | [`upkeep`] | tools on fixtures: their canonical form, merging, packing, showing |
//! | [`verdict`] | what a run concludes, as plain data, and its reports |
//! | [`tls`] | the certificate authority, leaf certificates, trust bundles, upstream roots |
//! | [`proxy`] | the engine: listen, intercept, forward, tunnel. It knows no HAR |
//! | [`record`], [`replay`] | the two handlers that the engine drives |
//! | [`child`] | the process that is recorded or tested: its environment and its end |
//! | [`cli`] | arguments, configuration, advice; the only room that prints |

#![forbid(unsafe_code)]

pub mod child;
pub mod cli;
pub mod har;
pub mod http;
pub mod learn;
pub mod matching;
pub mod proxy;
pub mod record;
pub mod redact;
pub mod replay;
pub mod tls;
pub mod upkeep;
pub mod urlglob;
pub mod verdict;
pub mod whole;
