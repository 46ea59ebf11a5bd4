//! What a Service costs, and a pod's network: the same traffic pod to pod, straight and through the
//! proxy, in network namespaces of its own. Needs root, `iperf3` and `wrk`.
//!
//! `cargo run -p netproxy --example forward [seconds a round]`

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use netproxy::cluster::{
    Endpoint, ObjectName, Protocol, Readiness, Service, ServicePort, Slice, SlicePort, State,
    Target, TrafficPolicy,
};
use netproxy::{NetworkConfig, PodNetwork};
use nix::sched::{CloneFlags, setns, unshare};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 7);
const ROUNDS: usize = 5;
const STREAM_PORT: u16 = 5201;
const HTTP_PORT: u16 = 8080;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn main() -> Result<()> {
    let seconds = std::env::args().nth(1).unwrap_or_else(|| "1".to_owned());
    // The thread becomes the node; all it starts is in there with it.
    unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace; run this as root")?;
    run("ip", &["link", "set", "lo", "up"])?;
    let dir = tempfile::tempdir()?;
    tokio::runtime::Runtime::new()?.block_on(compare(dir.path(), &seconds))
}

async fn compare(dir: &std::path::Path, seconds: &str) -> Result<()> {
    let network = PodNetwork::open(NetworkConfig {
        bridge: "skb0".to_owned(),
        pod_cidr: "10.244.1.0/24".parse()?,
        cluster_cidr: "10.244.0.0/16".parse()?,
        node_ip: Ipv4Addr::new(192, 168, 77, 1),
        mtu: None,
        state_dir: dir.to_owned(),
    })
    .await?;
    time_attach(&network).await?;
    let (server, client) = (namespace()?, namespace()?);
    let server_ip = network.attach("server", server.as_fd()).await?.ip;
    network.attach("client", client.as_fd()).await?;
    serve_http(&server)?;
    let mut iperf = inside(&server, || {
        Command::new("iperf3")
            .args(["-s", "-p", "5201"])
            .stdout(std::process::Stdio::null())
            .spawn()
    })?
    .context("start iperf3")?;

    let config = netproxy::Config::new("here", Ipv4Addr::new(192, 168, 77, 1));
    netproxy::route_services(&config).await?;
    let stop = CancellationToken::new();
    let state = State::new();
    put_service(&state, server_ip);
    let (its_state, its_stop) = (state.clone(), stop.clone());
    let proxy =
        tokio::spawn(async move { netproxy::proxy::run(&config, its_state, its_stop).await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;

    let measured = tokio::task::block_in_place(|| measure(&client, server_ip, seconds));
    iperf.kill()?;
    iperf.wait()?;
    stop.cancel();
    proxy.await??;
    measured
}

async fn time_attach(network: &PodNetwork) -> Result<()> {
    const PODS: u32 = 20;
    let pods = (0..PODS).map(|_| namespace()).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    for (n, pod) in pods.iter().enumerate() {
        network.attach(&format!("pod-{n}"), pod.as_fd()).await?;
    }
    let attached = start.elapsed() / PODS;
    for n in 0..PODS {
        network.detach(&format!("pod-{n}")).await?;
    }
    let detached = start.elapsed() / PODS - attached;
    println!("a pod's network: attached in {attached:.1?}, detached in {detached:.1?}");
    Ok(())
}

fn measure(client: &OwnedFd, server: Ipv4Addr, seconds: &str) -> Result<()> {
    println!("{:<34}{:>12}{:>12}{:>8}", "", "direct", "Service", "ratio");
    type Measure = fn(&OwnedFd, Ipv4Addr, &str) -> Result<f64>;
    let rows: [(&str, Measure); 3] = [
        ("one TCP stream, Gb/s", one_stream),
        ("HTTP keep-alive, 32 connections, /s", keep_alive),
        ("HTTP, a new connection each, /s", new_connections),
    ];
    for (what, measure) in rows {
        // In turns and the best of each: what else runs here only slows.
        let (mut direct, mut service) = (0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            direct = direct.max(measure(client, server, seconds)?);
            service = service.max(measure(client, VIP, seconds)?);
        }
        println!(
            "{what:<36}{direct:>10.1}{service:>12.1}{:>8.2}",
            service / direct
        );
    }
    Ok(())
}

fn one_stream(client: &OwnedFd, to: Ipv4Addr, seconds: &str) -> Result<f64> {
    let output = output(
        client,
        &format!("iperf3 -J -c {to} -p {STREAM_PORT} -t {seconds}"),
    )?;
    let report: serde_json::Value = serde_json::from_str(&output)?;
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
    Ok(rate.with_context(|| format!("iperf3 to {to}: {}", report["error"]))? / 1e9)
}

fn keep_alive(client: &OwnedFd, to: Ipv4Addr, seconds: &str) -> Result<f64> {
    requests(
        client,
        &format!("wrk -t1 -c32 -d{seconds}s http://{to}:{HTTP_PORT}/"),
    )
}

fn new_connections(client: &OwnedFd, to: Ipv4Addr, seconds: &str) -> Result<f64> {
    let url = format!("http://{to}:{HTTP_PORT}/close");
    requests(
        client,
        &format!("wrk -t1 -c32 -d{seconds}s -H Connection:close {url}"),
    )
}

fn requests(client: &OwnedFd, command: &str) -> Result<f64> {
    let output = output(client, command)?;
    let rate = output
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(rate
        .with_context(|| format!("wrk said: {output}"))?
        .trim()
        .parse()?)
}

fn output(netns: &OwnedFd, command: &str) -> Result<String> {
    let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
    let output = inside(netns, move || {
        Command::new(&words[0]).args(&words[1..]).output()
    })?;
    Ok(String::from_utf8(
        output.with_context(|| command.to_owned())?.stdout,
    )?)
}

/// A server of the least work, so that what is between shows.
fn serve_http(netns: &OwnedFd) -> Result<()> {
    let listener = inside(netns, || {
        std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, HTTP_PORT))
    })??;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                let (client, _) = listener.accept().await?;
                tokio::spawn(answer(client));
            }
            #[expect(unreachable_code, reason = "names the type of the errors above")]
            Ok::<(), std::io::Error>(())
        })
    });
    Ok(())
}

async fn answer(mut client: tokio::net::TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut request = [0; 4096];
    loop {
        let length = client.read(&mut request).await?;
        if length == 0 {
            return Ok(());
        }
        client.write_all(ANSWER).await?;
        if request[..length].starts_with(b"GET /close") {
            return client.shutdown().await;
        }
    }
}

fn put_service(state: &State, server: Ipv4Addr) {
    let ports = [("stream", STREAM_PORT), ("http", HTTP_PORT)];
    let port = |(name, port): (&str, u16)| ServicePort {
        name: name.into(),
        protocol: Protocol::Tcp,
        port,
        node_port: None,
    };
    let service = Service {
        target: Target::ClusterIps(vec![VIP]),
        ports: ports.map(port).to_vec(),
        balanced_at: Vec::new(),
        affinity: None,
        publishes_not_ready: false,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
    };
    state.put_service(ObjectName::new("default", "server"), service);
    let port = |(name, port): (&str, u16)| SlicePort {
        name: name.into(),
        protocol: Protocol::Tcp,
        port,
    };
    let endpoint = Endpoint {
        ip: server,
        readiness: Readiness::Ready,
        node: None,
        hostname: None,
    };
    let slice = Slice {
        service: "server".into(),
        ports: ports.map(port).to_vec(),
        endpoints: vec![endpoint],
    };
    state.put_slice(ObjectName::new("default", "server-1"), slice);
}

fn namespace() -> Result<OwnedFd> {
    let made = thread::spawn(|| -> Result<OwnedFd> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(std::fs::File::open("/proc/thread-self/ns/net")?.into())
    });
    made.join()
        .map_err(|_| anyhow::anyhow!("the thread that makes a namespace panicked"))?
}

/// Runs `work` in a namespace, on a thread of its own.
fn inside<T: Send + 'static>(
    netns: &OwnedFd,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let netns = netns.try_clone()?;
    let done = thread::spawn(move || -> Result<T> {
        setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    });
    done.join()
        .map_err(|_| anyhow::anyhow!("the thread in a namespace panicked"))?
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    if !status.success() {
        bail!("{program} {arguments:?}: {status}");
    }
    Ok(())
}
