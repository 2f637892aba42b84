//! Command line -> library -> exit code, for the plugin of kubectl.

use std::process::ExitCode;

fn main() -> ExitCode {
    cognito_password_operator::cli::plugin::main(std::env::args_os())
}
