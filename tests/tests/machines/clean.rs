//! Machines as they were before skiff.

use e2e::Vm;

use crate::cluster::Cluster;

/// Snapshots that the machines keep of themselves.
pub struct Snapshots(());

/// Installs the package, and has each machine note what it was before and after that.
pub fn before(cluster: &Cluster) -> Snapshots {
    cluster.step("the package is installed everywhere");
    cluster.on_all(|machine| {
        machine.ok(". ./snapshot.sh\n\
             modprobe -a overlay bridge veth vxlan nf_tables nft_masq nft_chain_nat nft_compat 2>/dev/null || true\n\
             snapshot >/var/tmp/bare\n\
             dpkg -i skiff.deb >/dev/shm/dpkg 2>&1 || { cat /dev/shm/dpkg; exit 1; }\n\
             snapshot >/var/tmp/packaged\n\
             ! systemctl list-units --no-legend 'skiff-*' | grep .");
    });
    Snapshots(())
}

impl Snapshots {
    pub fn hold_after_uninstall(self, cluster: &Cluster) {
        cluster.step("skiff uninstall, and a purge of the package");
        cluster.on_nodes(|node| {
            // A comparison that shows nothing while there is a cluster would show nothing ever.
            node.ok(
                ". ./snapshot.sh; snapshot >/var/tmp/now; ! diff -q /var/tmp/packaged /var/tmp/now",
            );
        });
        cluster.on_all(|machine| {
            machine.ok("skiff uninstall --yes");
            compare(machine, "packaged");
            machine.ok("dpkg -P skiff >/dev/shm/dpkg 2>&1 || { cat /dev/shm/dpkg; exit 1; }");
            compare(machine, "bare");
        });
        cluster.step("done");
    }
}

fn compare(machine: &Vm, with: &str) {
    machine.ok(&format!(
        ". ./snapshot.sh\n\
         snapshot >/var/tmp/now\n\
         diff /var/tmp/{with} /var/tmp/now"
    ));
}
