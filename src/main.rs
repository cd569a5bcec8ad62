use std::process::ExitCode;

/// Recording asks for memory eighty times a request, HTTP/2 for large pieces: docs/performance.md has what it is worth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    harproxy::cli::main(std::env::args_os())
}
