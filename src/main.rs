//! The entry: everything is in the library.

fn main() -> std::process::ExitCode {
    nowait::cli::run()
}
