//! A monitor and nothing else: what the crate's own tests run instead of `skiff monitor`.

fn main() -> std::process::ExitCode {
    runtime::monitor::main(std::env::args_os().skip(1))
}
