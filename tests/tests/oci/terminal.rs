//! Terminals, console sockets and descriptors that are handed on.

use std::os::fd::AsFd;

use crate::harness::console::Socket;
use crate::harness::{Bundle, Ground, cases};

cases! {
    console_comes_over_the_socket;
    console_is_the_controlling_terminal;
    console_is_dev_console;
    console_message_is_the_name_of_a_terminal;
    console_has_the_configured_size;
    console_that_is_resized_tells_the_process;
    console_belongs_to_the_user;
    console_is_of_the_container_s_own_devpts;
    console_passes_control_c;
    console_is_hung_up_when_the_process_ends;
    preserved_descriptors_arrive;
    descriptors_that_are_not_preserved_do_not_arrive;
    descriptors_of_socket_activation_arrive (Crun: "1.8 drops LISTEN_FDS");
    more_descriptors_than_there_are_is_refused (Crun: "does not look");
}

/// A container with a terminal, created and started.
fn with_terminal<'g>(g: &'g Ground, bundle: Bundle<'g>) -> (Bundle<'g>, crate::harness::console::Terminal) {
    let bundle = bundle.set("/process/terminal", true);
    let socket = Socket::bind(g.dir.join("console"));
    bundle.create_with(&["--console-socket", socket.text()]).ok();
    let terminal = socket.terminal();
    bundle.start().ok();
    (bundle, terminal)
}

fn console_comes_over_the_socket(g: &Ground) {
    let (_bundle, mut terminal) = with_terminal(g, g.bundle().sh("read line; echo got:$line"));
    terminal.write("hello\n");
    terminal.read_until("got:hello");
}

fn console_is_the_controlling_terminal(g: &Ground) {
    let script = "exec 3</dev/tty && echo controlled:$(cut -d ' ' -f 6 /proc/self/stat); sleep 1000";
    let (_bundle, mut terminal) = with_terminal(g, g.bundle().sh(script));
    terminal.read_until("controlled:1");
}

fn console_is_dev_console(g: &Ground) {
    let script = "echo over-console >/dev/console; stat -c %t:%T /dev/console /proc/self/fd/0 >/dev/null; sleep 1000";
    let (_bundle, mut terminal) = with_terminal(g, g.bundle().sh(script));
    terminal.read_until("over-console");
}

fn console_message_is_the_name_of_a_terminal(g: &Ground) {
    let bundle = g.bundle().set("/process/terminal", true);
    let socket = Socket::bind(g.dir.join("console"));
    bundle.create_with(&["--console-socket", socket.text()]).ok();
    let (name, fds) = socket.receive();
    assert_eq!(fds.len(), 1);
    assert!(!name.is_empty());
}

fn console_has_the_configured_size(g: &Ground) {
    let size = serde_json::json!({ "width": 123, "height": 45 });
    let bundle = g.bundle().set("/process/consoleSize", size).sh("stty size; sleep 1000");
    with_terminal(g, bundle).1.read_until("45 123");
}

fn console_that_is_resized_tells_the_process(g: &Ground) {
    let script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done";
    let (_bundle, mut terminal) = with_terminal(g, g.bundle().sh(script));
    terminal.read_until("ready");
    sys::tty::resize(terminal.0.as_fd(), 99, 33).expect("resize");
    terminal.read_until("33 99");
}

fn console_belongs_to_the_user(g: &Ground) {
    let user = serde_json::json!({ "uid": 1000, "gid": 1000 });
    let script = "stat -L -c owner:%u /proc/self/fd/0; sleep 1000";
    with_terminal(g, g.bundle().set("/process/user", user).sh(script)).1.read_until("owner:1000");
}

fn console_is_of_the_container_s_own_devpts(g: &Ground) {
    let (_bundle, mut terminal) = with_terminal(g, g.bundle().sh("tty; ls /dev/pts; sleep 1000"));
    terminal.read_until("/dev/pts/0");
}

fn console_passes_control_c(g: &Ground) {
    let script = "trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 0.01; done";
    let (_bundle, mut terminal) = with_terminal(g, g.bundle().sh(script));
    terminal.read_until("ready");
    terminal.write("\u{3}");
    terminal.read_until("interrupted");
}

fn console_is_hung_up_when_the_process_ends(g: &Ground) {
    let (bundle, mut terminal) = with_terminal(g, g.bundle().sh("echo last words"));
    terminal.read_until("last words");
    bundle.until_stopped();
    let mut rest = [0; 64];
    let ended = std::io::Read::read(&mut terminal.0, &mut rest);
    assert!(matches!(ended, Ok(0..=2) | Err(_)), "{ended:?}");
}

/// Runs `bundle` from a shell that has descriptors 3 and 4 open.
fn with_descriptors(g: &Ground, bundle: &Bundle, flags: &str) -> crate::harness::Outcome {
    bundle.write();
    let (dir, id) = (bundle.dir.display(), &bundle.id);
    g.script(&format!("echo three >3; echo four >4; exec 3<3 4<4; $RT run {flags} --bundle {dir} {id}"))
}

fn preserved_descriptors_arrive(g: &Ground) {
    let bundle = g.bundle().sh("cat <&3; cat <&4; ls /proc/$$/fd; true");
    with_descriptors(g, &bundle, "--preserve-fds 2").prints("three\nfour\n0\n1\n2\n3\n4");
}

fn descriptors_that_are_not_preserved_do_not_arrive(g: &Ground) {
    let bundle = g.bundle().sh("ls /proc/$$/fd; true");
    with_descriptors(g, &bundle, "").prints("0\n1\n2");
    let one = g.bundle().sh("cat <&3; ls /proc/$$/fd; true");
    with_descriptors(g, &one, "--preserve-fds 1").prints("three\n0\n1\n2\n3");
}

fn descriptors_of_socket_activation_arrive(g: &Ground) {
    let bundle = g.bundle().sh("cat <&3; echo $LISTEN_FDS");
    bundle.write();
    let (dir, id) = (bundle.dir.display(), &bundle.id);
    let script = format!("echo three >3; exec 3<3; export LISTEN_FDS=1 LISTEN_PID=$$; exec $RT run --bundle {dir} {id}");
    g.script(&script).prints("three\n1");
}

fn more_descriptors_than_there_are_is_refused(g: &Ground) {
    g.bundle().run_with(&["--preserve-fds", "7"]).refused();
    g.is_clean();
}
