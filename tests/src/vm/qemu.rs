//! QEMU: its command line, and its process.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A machine that is being put together.
pub struct Qemu(Command);

/// A machine that is switched off with this value, and with the thread that started it.
pub struct Running(Child);

impl Qemu {
    /// A machine that begins with the image's disk, whose writes are gone with it.
    pub fn new(image: &Path, cpus: u8, mebibytes: u16, kernel_flags: &str) -> Self {
        // Not even a test that is killed leaves a machine behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
        command.args(["-accel", "tcg,thread=multi", "-cpu", "max"]);
        command.args(["-smp", &cpus.to_string(), "-m", &mebibytes.to_string()]);
        command.args(["-nodefaults", "-display", "none"]);
        command.arg("-kernel").arg(image.join("vmlinuz"));
        command.arg("-initrd").arg(image.join("initrd"));
        let flags = format!("root=/dev/vda rw console=ttyS0 quiet panic=-1 {kernel_flags}");
        command.args(["-append", &flags]);
        let mut qemu = Self(command);
        qemu.disk(&image.join("disk"), "snapshot=on");
        qemu
    }

    pub fn disk(&mut self, path: &Path, options: &str) -> &mut Self {
        let drive = format!("file={},format=raw,if=virtio,{options}", path.display());
        self.0.args(["-drive", &drive]);
        self
    }

    /// The next serial line: what the machine writes goes into a file.
    pub fn line_into(&mut self, file: &Path) -> &mut Self {
        self.0
            .args(["-serial", &format!("file:{}", file.display())]);
        self
    }

    /// The next serial line: a socket that one may connect to.
    pub fn line_at(&mut self, socket: &Path) -> &mut Self {
        let line = format!("unix:{},server=on,wait=off", socket.display());
        self.0.args(["-serial", &line]);
        self
    }

    /// A network card, plugged into the tap device of that name in this network namespace.
    pub fn cable(&mut self, tap: &str, mac: &str) -> &mut Self {
        let net = format!("tap,id=net,ifname={tap},script=no,downscript=no");
        // Without a ROM to boot from, which another package has.
        let card = format!("virtio-net-pci,netdev=net,mac={mac},romfile=");
        self.0.args(["-netdev", &net, "-device", &card]);
        self
    }

    /// Switches it off instead of booting it again.
    pub fn once(&mut self) -> &mut Self {
        self.0.arg("-no-reboot");
        self
    }

    #[track_caller]
    pub fn start(mut self) -> Running {
        // Where the throw-away layer is; /tmp may be small.
        self.0.env("TMPDIR", "/var/tmp").stdin(Stdio::null());
        Running(self.0.spawn().expect("start QEMU"))
    }
}

impl Running {
    pub fn is_on(&mut self) -> bool {
        let ended = self.0.try_wait().expect("a child can be waited for");
        ended.is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
