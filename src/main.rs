use std::process::ExitCode;

/// Memory. A recorded request asks for fifty pieces of it, a tenth of what it takes with the system's allocator. On Linux mimalloc stands in for
/// that one, and all that has to be seen to is that it is linked. An allocator that Rust is told of is asked for memory of an alignment, which
/// mimalloc gives by another way than plain memory: several times as long for more than 1 KiB.
#[cfg(target_os = "linux")]
#[used]
static MEMORY: unsafe fn(&mimalloc::MiMalloc, std::alloc::Layout) -> *mut u8 =
    <mimalloc::MiMalloc as std::alloc::GlobalAlloc>::alloc;

/// Memory, where nothing can stand in for the system's allocator.
#[cfg(not(target_os = "linux"))]
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    harproxy::cli::main(std::env::args_os())
}
