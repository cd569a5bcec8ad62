use std::process::ExitCode;

/// A recorded request makes about fifty allocations; mimalloc serves them faster than most system allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    harproxy::cli::main(std::env::args_os())
}
