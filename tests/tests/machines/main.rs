//! Three Debian machines under systemd: a server and two nodes.
//!
//! They are installed from the package, joined by token, restarted, killed,
//! upgraded, rebooted and removed. Meanwhile objects are written, and a
//! Deployment's pods, which are on both nodes, answer by their Service. What was
//! acknowledged is never lost, and a container ends with its machine only.

mod api;
mod clean;
mod cluster;
mod goods;
mod life;
mod pods;
mod requests;
mod upgrade;
mod web;
mod writes;

use e2e::{Network, need, vm};

use cluster::Cluster;

#[test]
fn three_machines_are_installed_restarted_upgraded_rebooted_and_removed() {
    if !need::met(vm::PROGRAMS) || !need::met(goods::PROGRAMS) {
        return;
    }
    let dir = vm::scratch("machines");
    // Making these needs the world's network.
    let (image, goods) = (vm::image(), goods::disk(&dir));
    let mut network = Network::new();
    let taps = [network.tap(), network.tap(), network.tap()];
    network.enter(|| {
        let cluster = Cluster::start((&image, &goods, &dir), &taps);
        whole_life(&cluster);
    });
    let _ = std::fs::remove_dir_all(&dir);
    let _ = dir.parent().map(std::fs::remove_dir);
}

fn whole_life(cluster: &Cluster) {
    let snapshots = clean::before(cluster);
    let api = cluster.join();
    web::deploy(cluster, &api);
    let service = web::answers_from_everywhere(cluster, &api);

    let writes = writes::Writes::start(&api);
    requests::start_on_nodes(cluster, &service.ip);
    life::daemons_restart(cluster, &api);
    life::daemons_are_killed(cluster, &api);
    upgrade::succeeds_or_is_undone(cluster, &api);
    life::node_reboots(cluster, &api, &service);
    life::server_reboots(cluster, &api, &writes);
    writes.stop_and_check(&api);
    requests::stop(cluster);

    snapshots.hold_after_uninstall(cluster);
}
