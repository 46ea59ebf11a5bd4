//! The commands, one file each.

mod agent;
mod annotate;
mod api_resources;
mod apply;
mod attach;
mod chosen;
mod cluster;
mod completion;
mod cordon;
mod create;
mod datastore;
mod delete;
mod describe;
mod drain;
mod exec;
mod expose;
mod get;
mod hello;
mod hollow_nodes;
mod image;
mod install;
mod key_values;
mod label;
mod logs;
mod man;
pub mod oci;
mod port_forward;
mod reset;
mod rollout;
mod run;
mod scale;
mod server;
mod session;
mod set;
mod snapshot;
mod support_bundle;
mod taint;
mod token;
mod uninstall;
mod up;
mod upgrade;
mod why;
mod workload;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cluster::ServerError;

#[derive(Subcommand)]
pub enum Command {
    /// Run a whole cluster on this machine: server and node in one process
    Up(Box<up::Up>),
    /// Run the cluster's server: API, store, scheduler and controllers
    Server(Box<server::Server>),
    /// Run this machine as a node of a cluster
    Agent(Box<agent::Agent>),
    /// Make skiff a service that starts with this machine
    #[command(subcommand)]
    Install(install::Install),
    /// Remove the service, all pods and everything skiff ever made on this machine
    Uninstall(uninstall::Uninstall),
    /// Stop all pods of this machine and remove everything skiff ever made here
    Reset(reset::Reset),
    /// Manage the tokens that machines join with
    #[command(subcommand)]
    Token(token::Token),
    /// Save, check and restore what the cluster's server keeps
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    /// Move what the cluster's server keeps into etcd, and back
    #[command(subcommand)]
    Datastore(datastore::Datastore),
    /// Manage this machine's images
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Make, start and delete whole clusters on this machine, from kind's configuration
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Run containers from bundles, as runc does
    Oci(oci::Oci),
    /// Make the cluster have what files say
    Apply(apply::Apply),
    /// Show objects
    Get(get::Get),
    /// Tell all about an object, and what happened to it
    Describe(describe::Describe),
    /// Remove objects
    Delete(delete::Delete),
    /// Run an image in a pod
    Run(run::Run),
    /// Make objects from files or flags
    Create(create::Create),
    /// Change how many pods a workload has
    Scale(scale::Scale),
    /// Put a Service before a workload
    Expose(expose::Expose),
    /// Change one thing of a workload
    #[command(subcommand)]
    Set(set::Set),
    /// Follow, undo and repeat rollouts
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Show what containers printed
    Logs(logs::Logs),
    /// Join the process of a container
    Attach(attach::Attach),
    /// Run a command in a container
    Exec(exec::Exec),
    /// Reach a pod's ports from this machine
    PortForward(port_forward::PortForward),
    /// Set labels of objects, and remove some
    Label(label::Label),
    /// Set annotations of objects, and remove some
    Annotate(annotate::Annotate),
    /// Say which pods nodes do not take
    Taint(taint::Taints),
    /// Let nodes take no new pods
    Cordon(cordon::Cordon),
    /// Let nodes take new pods again
    Uncordon(cordon::Cordon),
    /// Move all pods away from nodes
    Drain(drain::Drain),
    /// Put another skiff in the place of the installed one, and back if it does not come up
    Upgrade(upgrade::Upgrade),
    /// Gather what others need to see of this machine and its cluster, without secrets
    SupportBundle(support_bundle::SupportBundle),
    /// Tell how an object came to be as it is, and what it waits for
    Why(why::Why),
    /// List the types of objects that the server has
    ApiResources(api_resources::ApiResources),
    /// Add nodes that run pods in name only, to measure the cluster with
    HollowNodes(hollow_nodes::HollowNodes),
    /// Print what makes a shell complete skiff's commands
    Completion(completion::Completion),
    /// Write a page of the manual for every command
    #[command(hide = true)]
    Man(man::Man),
    /// Answer HTTP requests with this host's name (what the README's demo runs)
    Hello(hello::Hello),
}

/// Runs a command to its end.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Up(up) => up.run().await,
            Command::Server(server) => server.run().await,
            Command::Agent(agent) => agent.run().await,
            Command::Install(install) => install.run(),
            Command::Uninstall(uninstall) => uninstall.run().await,
            Command::Completion(completion) => completion.run(),
            Command::Man(man) => man.run(),
            Command::Reset(reset) => reset.run().await,
            Command::Token(token) => token.run().await,
            Command::Snapshot(snapshot) => snapshot.run().await,
            Command::Datastore(datastore) => datastore.run().await,
            Command::Image(image) => image.run().await,
            Command::Cluster(cluster) => cluster.run().await,
            Command::Oci(oci) => Ok(oci.run()),
            Command::Hello(hello) => hello.run().await,
            Command::Apply(apply) => apply.run().await,
            Command::Get(get) => get.run().await,
            Command::Describe(describe) => describe.run().await,
            Command::Delete(delete) => delete.run().await,
            Command::Run(run) => run.run().await,
            Command::Create(create) => create.run().await,
            Command::Scale(scale) => scale.run().await,
            Command::Expose(expose) => expose.run().await,
            Command::Set(set) => set.run().await,
            Command::Rollout(rollout) => rollout.run().await,
            Command::Logs(logs) => logs.run().await,
            Command::Attach(attach) => attach.run().await,
            Command::Label(label) => label.run().await,
            Command::Annotate(annotate) => annotate.run().await,
            Command::Taint(taints) => taints.run().await,
            Command::Cordon(cordon) => cordon.run(cordon::Wanted::Cordoned).await,
            Command::Uncordon(cordon) => cordon.run(cordon::Wanted::Uncordoned).await,
            Command::Drain(drain) => drain.run().await,
            Command::Upgrade(upgrade) => upgrade.run().await,
            Command::SupportBundle(bundle) => bundle.run().await,
            Command::Why(why) => why.run().await,
            Command::ApiResources(list) => list.run().await,
            Command::HollowNodes(nodes) => nodes.run().await,
            Command::Exec(exec) => exec.run().await,
            Command::PortForward(forward) => forward.run().await,
        }
    })
}

/// An error as it is shown: the server's in kubectl's words, ours after `error:`.
pub fn words(error: &anyhow::Error) -> String {
    match error.downcast_ref::<ServerError>() {
        Some(refused) => refused.to_string(),
        None => format!("error: {error:#}"),
    }
}

/// Shows what went wrong with some of several objects; fails if anything did.
fn finish(errors: &[anyhow::Error]) -> ExitCode {
    for error in errors {
        eprintln!("{}", words(error));
    }
    if errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
