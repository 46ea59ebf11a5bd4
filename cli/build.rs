//! How the program is laid out in its file.

fn main() {
    // The kernel maps whole folios of the page cache at a fault: 64 KiB as a rule. Where addresses
    // are aligned as the file is, a page needs one of them; else often two.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,max-page-size=65536");
    println!("cargo::rerun-if-changed=build.rs");
}
