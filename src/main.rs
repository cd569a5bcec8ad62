use std::process::ExitCode;

/// A recorded request asks for memory fifty times: what that takes is a seventh of it with the system's. Where it can stand in for the system's own, as on
/// Linux, it does: asked for aligned memory, as Rust asks an allocator that it is told of, it takes another way, several times as long for what is
/// longer than 1 KiB.
#[cfg(target_os = "linux")]
use mimalloc as _;

#[cfg(not(target_os = "linux"))]
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    harproxy::cli::main(std::env::args_os())
}
