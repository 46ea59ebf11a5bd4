//! What a machine of the manual finds outside of itself: names, `docker.io`, and a company's own registry.
//!
//! All of it is on another machine of the same network. `docker.io` holds busybox and nginx and is trusted like the
//! real one; `registry.lan:5000` is empty, wants the user `skiff` with the password `secret`, and is signed by the company.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use e2e::{Machine, Network, cache, image, run, until};

const PUBLIC: [&str; 3] = ["docker.io", "registry-1.docker.io", "index.docker.io"];
const PRIVATE: &str = "registry.lan";
/// `secret`, by bcrypt.
const USERS: &str = "skiff:$2b$04$OT/BeXaJ2lrhT.vwm2LDRePdkbtahnZrdjgEnEsYgr1vXR1BDo46y\n";

/// The machine with the registries and the name server; all ends with this value.
pub struct Internet {
    registries: Vec<Child>,
    is_over: Arc<AtomicBool>,
    names: Option<JoinHandle<()>>,
    pub ip: Ipv4Addr,
    machine: Machine,
}

impl Internet {
    /// `dir` holds certificates and the company's images, for all machines of a page.
    #[track_caller]
    pub fn start(network: &mut Network, dir: &Path, is_offline: bool) -> Self {
        let machine = network.machine();
        let ip = machine.ip;
        let mut internet = Self {
            registries: Vec::new(),
            is_over: Arc::default(),
            names: None,
            ip,
            machine,
        };
        std::fs::create_dir_all(dir.join("company")).expect("make the company's registry");
        std::fs::write(dir.join("users"), USERS).expect("write its users");
        let auth = format!(
            "auth: {{htpasswd: {{realm: company, path: {}/users}}}}\n",
            dir.display()
        );
        internet.serve(
            dir,
            "lan",
            5000,
            &storage(&dir.join("company"), false),
            &auth,
        );
        if !is_offline {
            internet.serve(dir, "public", 443, &storage(&public_images(), true), "");
        }
        internet.answer_names(is_offline);
        internet
    }

    #[track_caller]
    fn serve(&mut self, dir: &Path, name: &str, port: u16, storage: &str, auth: &str) {
        let (ip, at) = (self.ip, dir.display());
        let config = dir.join(format!("{name}.yml"));
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\n{storage}{auth}http:\n  addr: {ip}:{port}\n  \
             tls: {{certificate: {at}/{name}.pem, key: {at}/{name}.key}}\n"
        );
        std::fs::write(&config, text).expect("write a registry's configuration");
        self.registries.push(registry(&self.machine, &config));
        wait_listening(&self.machine, ip, port);
    }

    fn answer_names(&mut self, is_offline: bool) {
        let mut socket = None;
        let ip = self.ip;
        self.machine
            .enter(|| socket = Some(UdpSocket::bind((ip, 53)).expect("serve names")));
        let socket = socket.expect("the thread made it");
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("change a socket");
        let is_over = Arc::clone(&self.is_over);
        self.names = Some(std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while !is_over.load(Ordering::Relaxed) {
                match socket.recv_from(&mut buffer) {
                    Ok((size, from)) => {
                        let answer = answer(&buffer[..size], ip, is_offline);
                        let _ = answer.map(|answer| socket.send_to(&answer, from));
                    }
                    Err(error) => match error.kind() {
                        // Nobody asked, a signal came, or who asked is gone.
                        ErrorKind::WouldBlock
                        | ErrorKind::TimedOut
                        | ErrorKind::Interrupted
                        | ErrorKind::ConnectionRefused => {}
                        _ => panic!("names: {error}"),
                    },
                }
            }
        }));
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for child in &mut self.registries {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.names.take().map(JoinHandle::join);
    }
}

/// Certificates of both registries, and who signed them: `public-ca.pem` and `lan-ca.pem`.
#[track_caller]
pub fn certificates(dir: &Path) {
    let public: Vec<String> = PUBLIC.iter().map(|name| format!("DNS:{name}")).collect();
    for (name, alternative) in [
        ("public", public.join(",")),
        ("lan", format!("DNS:{PRIVATE}")),
    ] {
        let script = r#"
set -eu
cd "$0"; name=$1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$name authority" \
    -addext basicConstraints=critical,CA:true -keyout $name-ca.key -out $name-ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout $name.key -out $name.csr
printf 'subjectAltName=%s\nbasicConstraints=CA:false\nextendedKeyUsage=serverAuth\n' "$2" >$name.ext
openssl x509 -req -days 3650 -in $name.csr -CA $name-ca.pem -CAkey $name-ca.key -CAcreateserial -extfile $name.ext -out $name.pem
"#;
        run::ok(
            Command::new("sh")
                .args(["-c", script])
                .arg(dir)
                .args([name, &alternative]),
        );
    }
}

fn storage(dir: &Path, is_readonly: bool) -> String {
    format!(
        "storage: {{filesystem: {{rootdirectory: {}}}, maintenance: {{readonly: {{enabled: {is_readonly}}}}}}}\n",
        dir.display()
    )
}

fn registry(machine: &Machine, config: &Path) -> Child {
    let mut command = machine.command("docker-registry");
    command.arg("serve").arg(config);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("nsenter is installed")
}

#[track_caller]
fn wait_listening(machine: &Machine, ip: Ipv4Addr, port: u16) {
    until("a registry listens", Duration::from_secs(60), || {
        let mut is_there = false;
        machine.enter(|| is_there = std::net::TcpStream::connect((ip, port)).is_ok());
        is_there.then_some(())
    });
}

/// A registry's directory with what the pages pull; made once a machine.
fn public_images() -> PathBuf {
    let images = [
        ("docker-archive", image::busybox(), ""),
        ("oci-archive", image::nginx(), ":1"),
    ];
    cache::cached("docs-registry-1", |out| {
        let (_network, machine) = Machine::alone();
        let config = out.with_extension("yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\n{}http: {{addr: '127.0.0.1:5000'}}\n",
            storage(out, false)
        );
        std::fs::write(&config, text).expect("write a registry's configuration");
        let mut child = registry(&machine, &config);
        wait_listening(&machine, Ipv4Addr::LOCALHOST, 5000);
        for ((kind, archive, tag), name) in images.iter().zip(["busybox", "nginx"]) {
            for version in ["1", "latest"] {
                let mut copy = machine.command("skopeo");
                copy.args(["copy", "-q", "--dest-tls-verify=false"]);
                copy.arg(format!("{kind}:{}{tag}", archive.display()));
                run::ok(copy.arg(format!("docker://127.0.0.1:5000/library/{name}:{version}")));
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        std::fs::remove_file(config).expect("remove a file");
    })
}

/// An answer to a query for one name (RFC 1035, 4.1), none to what is no query.
fn answer(query: &[u8], ip: Ipv4Addr, is_offline: bool) -> Option<Vec<u8>> {
    let (mut at, mut name) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let question = query.get(12..at + 4)?;
    let is_address = query.get(at..at + 2)? == [0, 1];
    let name = name.join(".");
    let is_known = name == PRIVATE || (!is_offline && PUBLIC.contains(&name.as_str()));
    let answers = u8::from(is_known && is_address);
    // An answer, with authority; no error, or no such name.
    let mut reply = vec![
        query[0],
        query[1],
        0x84 | (query[2] & 1),
        if is_known { 0 } else { 3 },
    ];
    reply.extend([0, 1, 0, answers, 0, 0, 0, 0]);
    reply.extend(question);
    if answers > 0 {
        // The name of byte 12, type A, class IN, a minute, four bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(ip.octets());
    }
    Some(reply)
}
