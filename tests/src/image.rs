//! Images made on the spot from Debian packages.
//!
//! An image is made once a machine and kept ([`crate::cache`]).

use std::path::PathBuf;
use std::process::Command;

use crate::cache::cached;
use crate::run;

/// A docker-archive of `docker.io/library/busybox:1`.
pub fn busybox() -> PathBuf {
    cached("busybox.tar", |out| {
        let script = r#"
set -eu
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
umoci init --layout l; umoci new --image l:1; umoci unpack --image l:1 b >/dev/null 2>&1
mkdir -p b/rootfs/bin b/rootfs/tmp b/rootfs/etc b/rootfs/root b/rootfs/home b/rootfs/var/run
chmod 1777 b/rootfs/tmp; cp /bin/busybox b/rootfs/bin/
for applet in $(/bin/busybox --list); do [ "$applet" = busybox ] || ln -sf busybox "b/rootfs/bin/$applet"; done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\nuser:x:1000:1000:user:/home:/bin/sh\n' > b/rootfs/etc/passwd
printf 'root:x:0:\nnobody:x:65534:\nuser:x:1000:\nextra:x:2000:user\n' > b/rootfs/etc/group
umoci repack --image l:1 b >/dev/null 2>&1
umoci config --image l:1 --config.cmd sh --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
skopeo copy -q oci:l:1 "docker-archive:$0:docker.io/library/busybox:1"
"#;
        run::ok(Command::new("sh").arg("-c").arg(script).arg(out));
    })
}

/// An OCI archive of a Debian root file system with `package`, running `cmd`.
pub fn debian(package: &str, cmd: &[&str], setup: &str) -> PathBuf {
    cached(&format!("{package}.oci.tar"), |out| {
        let script = r#"
set -eu
out=$0; package=$1; setup=$2; shift 2
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
mmdebstrap --quiet --variant=minbase --include="$package" bookworm root.tar
umoci init --layout l; umoci new --image l:1; umoci unpack --image l:1 b >/dev/null 2>&1
tar -C b/rootfs -xf root.tar --exclude=./dev/*; rm root.tar
chroot b/rootfs sh -c "$setup"
umoci repack --image l:1 b >/dev/null 2>&1
first=1; for word in "$@"; do [ -z "$first" ] || set --; first=; set -- "$@" "--config.cmd=$word"; done
umoci config --image l:1 --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
skopeo copy -q oci:l:1 "oci-archive:$out:1"
"#;
        run::ok(
            Command::new("sh")
                .arg("-c")
                .arg(script)
                .arg(out)
                .arg(package)
                .arg(setup)
                .args(cmd),
        );
    })
}

/// An OCI archive of Debian's nginx, in the foreground.
pub fn nginx() -> PathBuf {
    let setup =
        "ln -sf /dev/stdout /var/log/nginx/access.log; ln -sf /dev/stderr /var/log/nginx/error.log";
    debian("nginx", &["nginx", "-g", "daemon off;"], setup)
}

/// An OCI archive of Debian's redis, listening to everybody.
pub fn redis() -> PathBuf {
    debian(
        "redis-server",
        &["redis-server", "--protected-mode", "no"],
        "true",
    )
}
