//! Command line -> library -> exit code.

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    cognito_password_operator::cli::operator::main(std::env::args_os())
}
