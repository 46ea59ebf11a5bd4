//! What skiff is measured with.
//!
//! `bench api` starts `skiff server` with a data directory of its own on a real
//! disk, plays loads against it over TLS, and prints what it saw beside what
//! Kubernetes did on the same machine and what skiff means to reach. It judges
//! nothing: a machine under other load shows other figures.
//!
//! `bench scheduling` has many pods wait, and times how they come to nodes; then
//! it fills hollow nodes with pods.
//!
//! `bench runtime` runs containers by `skiff oci` and by other OCI runtimes, in
//! turns, and looks at what they hold in memory.
//!
//! Client and server share the machine, so the client is light: HTTP/1.1 written
//! by hand on rustls, two threads, no parsing of what is not looked at.

mod api;
mod chunks;
mod client;
mod histogram;
mod load;
mod process;
mod report;
mod runtime;
mod scheduling;
mod server;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures skiff")]
struct Bench {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// The API server and its store
    Api(api::Options),
    /// The scheduler and the controllers at scale
    Scheduling(scheduling::Options),
    /// The OCI runtime beside crun and runc
    Runtime(runtime::Options),
    #[command(hide = true)]
    RuntimePeak(runtime::Peak),
}

fn main() -> anyhow::Result<()> {
    match Bench::parse().part {
        Part::Api(options) => api::run(&options),
        Part::Scheduling(options) => scheduling::run(&options),
        Part::Runtime(options) => runtime::run(&options),
        Part::RuntimePeak(options) => runtime::peak(&options),
    }
}
