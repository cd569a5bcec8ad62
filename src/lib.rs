//! harproxy records the HTTP and HTTPS traffic of any program into HAR files and replays it strictly.
//!
//! The crate is a functional core with an I/O shell. Arrows go one way:
//!
//! ```text
//! http, urlglob → har → redact → matching → verdict → record, replay → cli
//! har, redact, matching → upkeep → cli           tls → proxy → record, replay, watch     tls → trust → cli     child → cli
//! ```
//!
//! | room | what it is for |
//! | --- | --- |
//! | [`whole`] | small files that are there whole or not at all, for every room that writes one |
//! | [`scratch`] | folders for as long as something runs, swept when it was killed |
//! | [`quote`] | words to paste into a shell, for every room that names a command |
//! | [`runtime`] | runtimes of one thread, for who serves and for who waits |
//! | [`http`] | the vocabulary of the wire: header lists, URL normal form, codings, media types |
//! | [`urlglob`] | Playwright's URL glob dialect |
//! | [`har`] | reading and writing fixtures: the HAR and its payloads |
//! | [`matching`] | which entry answers a request, and why |
//! | [`upkeep`] | tools on fixtures: their canonical form, merging, packing, showing |
//! | [`verdict`] | what a run concludes, as plain data, and its reports |
//! | [`tls`] | the certificate authority, leaf certificates, trust bundles, upstream roots |
//! | [`trust`] | the trust stores of a machine, and the commands that make them take the CA |
//! | [`proxy`] | the engine: listen, intercept, forward, tunnel. It knows no HAR |
//! | [`record`], [`replay`] | the two handlers that the engine drives |
//! | [`watch`] | the witness of a run: what live lists, events and reports tell of each request |
//! | [`doctor`] | a handler that lets everything through, and the diagnosis of a client that goes past |
//! | [`child`] | the process that is recorded or tested: its environment and its end |
//! | [`cli`] | arguments, configuration, advice; the only room that prints |

#![forbid(unsafe_code)]

pub mod child;
pub mod cli;
pub mod doctor;
pub mod har;
pub mod http;
pub mod learn;
pub mod matching;
pub mod proxy;
pub mod quote;
pub mod record;
pub mod redact;
pub mod replay;
pub mod runtime;
pub mod scratch;
pub mod tls;
pub mod trust;
pub mod upkeep;
pub mod urlglob;
pub mod verdict;
pub mod watch;
pub mod whole;
