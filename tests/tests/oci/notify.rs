//! `NOTIFY_SOCKET`: a service manager hears that a container is ready (sd_notify(3)).

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::harness::{Bundle, Ground, Runtime, cases};

cases! {
    socket_and_its_name_are_in_the_container (Crun: "has a socket elsewhere");
    start_passes_readiness_on_and_names_the_process (Crun: "passes it on in ways of its own");
    start_waits_until_the_manager_has_read_all (Runc: "1.1 does not wait", Crun: "passes it on in ways of its own");
    start_ends_with_a_container_that_is_never_ready (Crun: "passes it on in ways of its own");
    without_a_service_manager_there_is_no_socket;
}

/// Where the service manager of a case listens.
fn manager(g: &Ground) -> UnixDatagram {
    let manager = UnixDatagram::bind(g.dir.join("manager")).expect("bind");
    manager.set_read_timeout(Some(Duration::from_secs(120))).expect("set a limit");
    manager
}

fn hear(manager: &UnixDatagram) -> String {
    let mut message = [0; 200];
    let length = manager.recv(&mut message).expect("a message");
    String::from_utf8_lossy(&message[..length]).trim().to_owned()
}

fn create(g: &Ground, bundle: &Bundle) {
    bundle.write();
    let mut command = g.command();
    command.args(["create", "--bundle"]).arg(&bundle.dir).arg(&bundle.id);
    g.end(command.env("NOTIFY_SOCKET", g.dir.join("manager"))).ok();
}

/// `start`, which waits until the container is ready.
fn starting(g: &Ground, bundle: &Bundle) -> Child {
    let mut command = g.command();
    command.args(["start", &bundle.id]).env("NOTIFY_SOCKET", g.dir.join("manager"));
    command.spawn().expect("start the runtime")
}

/// What the program would send, by the other side of its socket.
fn send(socket: &Path, message: &str) {
    let program = UnixDatagram::unbound().expect("a socket");
    e2e::until("somebody listens", Duration::from_secs(120), || program.connect(socket).ok());
    program.send(message.as_bytes()).expect("send");
}

fn socket_and_its_name_are_in_the_container(g: &Ground) {
    let _manager = manager(g);
    let script = "echo $NOTIFY_SOCKET; [ -S $NOTIFY_SOCKET ] && echo there; touch /run/notify/x 2>/dev/null || echo read-only";
    let bundle = g.bundle().sh(&format!("({script}) >/seen"));
    create(g, &bundle);
    starting(g, &bundle).wait().expect("it ends with the container");
    let seen = std::fs::read_to_string(bundle.rootfs().join("seen")).expect("it has looked");
    assert_eq!(seen, "/run/notify/notify.sock\nthere\nread-only\n");
}

fn start_passes_readiness_on_and_names_the_process(g: &Ground) {
    let manager = manager(g);
    let bundle = g.bundle().sleeper();
    create(g, &bundle);
    let mut start = starting(g, &bundle);
    let socket = g.root().join(&bundle.id).join("notify/notify.sock");
    send(&socket, "STATUS=nearly");
    send(&socket, "READY=1");
    assert_eq!(hear(&manager), "READY=1");
    assert_eq!(hear(&manager), format!("MAINPID={}", bundle.pid()));
    if g.runtime == Runtime::Skiff {
        assert_eq!(hear(&manager), "BARRIER=1");
    }
    assert!(start.wait().expect("it ends").success());
    assert_eq!(bundle.status(), "running");
}

fn start_waits_until_the_manager_has_read_all(g: &Ground) {
    let manager = manager(g);
    let bundle = g.bundle().sleeper();
    create(g, &bundle);
    let mut start = starting(g, &bundle);
    send(&g.root().join(&bundle.id).join("notify/notify.sock"), "READY=1");
    // The barrier is a descriptor that is closed when its message is read.
    hear(&manager);
    hear(&manager);
    assert_eq!(start.try_wait().expect("a child can be asked for"), None);
    assert_eq!(hear(&manager), "BARRIER=1");
    assert!(start.wait().expect("it ends").success());
}

fn start_ends_with_a_container_that_is_never_ready(g: &Ground) {
    let _manager = manager(g);
    let bundle = g.bundle();
    create(g, &bundle);
    assert!(starting(g, &bundle).wait().expect("it ends").success());
    bundle.until_stopped();
}

fn without_a_service_manager_there_is_no_socket(g: &Ground) {
    g.bundle().sh("echo $NOTIFY_SOCKET; ls -d /run/notify 2>/dev/null; true").run().prints("");
}
