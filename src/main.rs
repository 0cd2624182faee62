//! The `bloom` program: parses its arguments and hands over to the library.
fn main() -> std::process::ExitCode {
    bloom_runtime::cli::main()
}
