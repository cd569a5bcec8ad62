use std::process::ExitCode;

/// A recorded request asks for memory a hundred times: what that takes is a seventh of it with the system's.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    harproxy::cli::main(std::env::args_os())
}
