//! Root file systems of containers: busybox and a few files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const APPLETS: &str = "[ awk basename cat chgrp chmod chown chroot cp cut date dd df dmesg echo env expr \
    false find free getopt grep head hexdump hostname id ionice ip kill killall ln ls mkdir mkfifo mknod \
    mktemp mount mountpoint mv nproc nsenter od pidof ping ps pwd readlink realpath renice rm rmdir sed seq setpriv \
    setsid sh sleep sort stat stty su sync sysctl tail taskset tee test timeout top touch tr true tty ulimit \
    umount uname uniq unshare uptime usleep wc which who whoami xargs yes";

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n";
const GROUP: &str = "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n";

/// Makes one at `root`. The binary is a link to `busybox`, which is the tests' own copy.
pub fn make(root: &Path, busybox: &Path) {
    for dir in [
        "bin",
        "dev",
        "etc",
        "home/user",
        "proc",
        "root",
        "sys",
        "tmp",
        "run",
    ] {
        fs::create_dir_all(root.join(dir)).expect("create a directory of a root");
    }
    fs::hard_link(busybox, root.join("bin/busybox")).expect("link busybox");
    for applet in APPLETS.split_whitespace() {
        symlink("busybox", root.join("bin").join(applet)).expect("link an applet");
    }
    fs::write(root.join("etc/passwd"), PASSWD).expect("write passwd");
    fs::write(root.join("etc/group"), GROUP).expect("write group");
}
