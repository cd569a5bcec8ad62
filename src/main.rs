use std::process::ExitCode;

fn main() -> ExitCode {
    harproxy::cli::main(std::env::args_os())
}
