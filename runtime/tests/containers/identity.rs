//! Who a container is and what it may do, as recorded from containerd.

use oci_spec::runtime::{Capability, User};

use crate::node::{self, Node};

const SCRIPT: &str = "grep -E '^(Cap|NoNewPrivs|Groups|Uid|Gid)' /proc/self/status; id";

#[tokio::test]
async fn the_defaults_are_those_of_containerd() {
    let Some(node) = node::open() else { return };
    let expected = [
        "Uid:\t0\t0\t0\t0",
        "Gid:\t0\t0\t0\t0",
        "Groups:\t ",
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "uid=0(root) gid=0(root)",
    ];
    assert_eq!(node.output(SCRIPT).await, expected);
}

fn with_capabilities(node: &Node, capabilities: &[Capability]) -> runtime::ContainerConfig {
    let mut container = node.shell("c", "grep Cap /proc/self/status | cut -f2");
    let sets = runtime::defaults::capabilities(capabilities.iter().copied().collect());
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_capabilities(Some(sets));
    container
}

#[tokio::test]
async fn all_dropped_means_none() {
    let Some(node) = node::open() else { return };
    let container = with_capabilities(&node, &[]);
    assert_eq!(node.output_of(container).await, ["0000000000000000"; 5]);
}

#[tokio::test]
async fn a_capability_this_roots_own_lacks_is_left_out() {
    let Some(node) = node::open() else { return };
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own
        .lines()
        .find_map(|l| l.strip_prefix("CapPrm:\t"))
        .unwrap()
        .to_owned();
    let container = with_capabilities(&node, &runtime::defaults::ALL_CAPABILITIES);
    let none = "0000000000000000".to_owned();
    assert_eq!(
        node.output_of(container).await,
        [none.clone(), own.clone(), own.clone(), own, none]
    );
}

#[tokio::test]
async fn a_user_has_its_groups_and_no_capabilities() {
    let Some(node) = node::open() else { return };
    let mut container = node.shell("c", SCRIPT);
    let mut user = User::default();
    user.set_uid(1000)
        .set_gid(1000)
        .set_additional_gids(Some(vec![2000, 3000]));
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_user(user);
    let expected = [
        "Uid:\t1000\t1000\t1000\t1000",
        "Gid:\t1000\t1000\t1000\t1000",
        "Groups:\t2000 3000 ",
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "uid=1000(user) gid=1000(user) groups=2000(extra),3000",
    ];
    assert_eq!(node.output_of(container).await, expected);
}

#[tokio::test]
async fn a_user_may_open_its_own_standard_streams() {
    let Some(node) = node::open() else { return };
    let mut container = node.shell("c", "echo out > /dev/stdout; echo err > /dev/stderr");
    let mut user = User::default();
    user.set_uid(1000).set_gid(1000);
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_user(user);
    let mut lines = node.output_of(container).await;
    lines.sort();
    assert_eq!(lines, ["err", "out"]);
}

#[tokio::test]
async fn no_new_privileges_holds() {
    let Some(node) = node::open() else { return };
    let mut container = node.shell("c", "grep NoNewPrivs /proc/self/status");
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_no_new_privileges(Some(true));
    assert_eq!(node.output_of(container).await, ["NoNewPrivs:\t1"]);
}

#[tokio::test]
async fn the_default_seccomp_profile_refuses_what_the_capabilities_do_not_cover() {
    let Some(node) = node::open() else { return };
    // Root with CAP_SYS_ADMIN in every set but a profile made for one without.
    let script = "grep Seccomp: /proc/self/status; unshare -m true 2>&1; mount -t tmpfs t /tmp 2>&1; \
        sh -c 'echo a thread is fine'";
    let mut container = node.shell("c", script);
    let caps = runtime::defaults::capabilities(runtime::defaults::ALL_CAPABILITIES.into());
    container
        .spec
        .process_mut()
        .as_mut()
        .unwrap()
        .set_capabilities(Some(caps));
    let profile = runtime::defaults::seccomp(&runtime::defaults::CAPABILITIES.into());
    container
        .spec
        .linux_mut()
        .as_mut()
        .unwrap()
        .set_seccomp(Some(profile));
    let expected = [
        "Seccomp:\t2",
        "unshare: unshare(0x20000): Operation not permitted",
        "mount: permission denied (are you root?)",
        "a thread is fine",
    ];
    assert_eq!(node.output_of(container).await, expected);
}

#[tokio::test]
async fn a_profile_that_cannot_be_enforced_starts_nothing() {
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let mut container = node.shell("c", "true");
    let mut profile = runtime::defaults::seccomp(&runtime::defaults::CAPABILITIES.into());
    profile.set_default_action(oci_spec::runtime::LinuxSeccompAction::ScmpActNotify);
    container
        .spec
        .linux_mut()
        .as_mut()
        .unwrap()
        .set_seccomp(Some(profile));
    let error = sandbox.start(container).await.unwrap_err();
    assert!(matches!(error, runtime::Error::Create { .. }), "{error:?}");
    assert_eq!(sandbox.list().await.unwrap(), []);
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn no_key_of_the_host_is_in_reach() {
    let Some(node) = node::open() else { return };
    // The session keyring is new, so it is empty; /proc/keys is masked by default, so look without.
    let mut container = node.shell(
        "c",
        "grep -c . /proc/keys; grep -c skiff-test-key /proc/keys",
    );
    container
        .spec
        .linux_mut()
        .as_mut()
        .unwrap()
        .set_masked_paths(None);
    let lines = node.output_of(container).await;
    assert_eq!(lines.last().unwrap(), "0");
}
