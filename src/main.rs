//! Command line -> library -> exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    cognito_password_operator::cli::main(std::env::args_os())
}
