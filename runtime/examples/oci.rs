//! The OCI command line by itself, quick to build: what `skiff oci` does.

fn main() -> std::process::ExitCode {
    runtime::oci::main("skiff", std::env::args_os().skip(1))
}
