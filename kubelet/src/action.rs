//! What probes and lifecycle hooks do to a container: run a command in it,
//! connect to it, ask it over HTTP or gRPC.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use runtime::{ContainerId, Exec, Sandbox};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

mod grpc;
mod http;

pub use grpc::check as grpc;

/// Output of a command that is kept, in bytes.
const MAX_OUTPUT: u64 = 10 * 1024;

/// The container an action is about.
#[derive(Clone)]
pub struct Target {
    pub sandbox: Sandbox,
    pub id: ContainerId,
    pub ip: IpAddr,
    pub container: Container,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Success,
    /// The container answered, and said no.
    Failure(String),
    /// It could not be asked.
    Error(String),
}

/// Runs `command`; failure is any exit code but 0.
pub async fn exec(target: &Target, command: &[String], patience: Duration) -> Answer {
    match timeout(patience, run(target, command)).await {
        Err(_) => Answer::Failure(format!(
            "command timed out: {:?} timed out after {}s",
            command.join(" "),
            patience.as_secs()
        )),
        Ok(Err(e)) => Answer::Error(e.to_string()),
        Ok(Ok((0, _))) => Answer::Success,
        Ok(Ok((_, output))) => Answer::Failure(output),
    }
}

/// Runs `command` to its end, and gives back exit code and output.
pub async fn run(target: &Target, command: &[String]) -> runtime::Result<(i32, String)> {
    let mut running = target
        .sandbox
        .exec(&target.id, Exec::new(command.iter().cloned()))
        .await?;
    let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
    let (mut output, errors) = tokio::join!(read(stdout), read(stderr));
    let code = running.wait().await?;
    output.push_str(&errors);
    Ok((code, output))
}

/// Reads all, and keeps the beginning.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else {
        return String::new();
    };
    let mut kept = Vec::new();
    // An output that breaks off is what there is of it.
    let _ = (&mut stream).take(MAX_OUTPUT).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).into_owned()
}

/// Connects to a port, and no more.
pub async fn tcp(
    target: &Target,
    host: Option<&str>,
    port: &IntOrString,
    patience: Duration,
) -> Answer {
    let address = match address(target, host, port) {
        Ok(address) => address,
        Err(message) => return Answer::Error(message),
    };
    match connect(&address, patience).await {
        Ok(_) => Answer::Success,
        Err(message) => Answer::Failure(message),
    }
}

/// Asks for a page; failure is any status but 200 to 399.
pub async fn http_get(
    target: &Target,
    get: &HTTPGetAction,
    agent: &str,
    patience: Duration,
) -> Answer {
    let host = get.host.as_deref().filter(|host| !host.is_empty());
    let address = match address(target, host, &get.port) {
        Ok(address) => address,
        Err(message) => return Answer::Error(message),
    };
    http::get(&address, get, agent, patience).await
}

async fn connect(address: &str, patience: Duration) -> Result<TcpStream, String> {
    match timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) => Err(format!("dial tcp {address}: connect: {}", in_go_words(&e))),
        Err(_) => Err(format!("dial tcp {address}: i/o timeout")),
    }
}

fn in_go_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::HostUnreachable => "no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

/// `host:port` to dial: a host named by the pod, or the pod itself.
fn address(target: &Target, host: Option<&str>, port: &IntOrString) -> Result<String, String> {
    let port = port_number(&target.container, port)?;
    Ok(match host.filter(|host| !host.is_empty()) {
        Some(host) => format!("{host}:{port}"),
        None => SocketAddr::new(target.ip, port).to_string(),
    })
}

/// A port given by number, or by its name in the container.
pub fn port_number(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container
                .ports
                .iter()
                .flatten()
                .find(|p| p.name.as_ref() == Some(name));
            named
                .map(|p| p.container_port)
                .or_else(|| name.parse().ok())
        }
    };
    let number = number.ok_or_else(|| format!("couldn't find port: {port:?}"))?;
    u16::try_from(number)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| format!("invalid port number: {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// CVE-2022-31030: what a probe writes is not kept without end.
    #[tokio::test]
    async fn of_a_flood_the_beginning_is_kept_and_the_rest_is_read() {
        let flood = tokio::io::repeat(b'x').take(100 << 20);
        assert_eq!(read(Some(flood)).await.len() as u64, MAX_OUTPUT);
    }

    #[test]
    fn ports_are_found_by_number_and_by_name() {
        let container: Container = serde_json::from_value(
            json!({"name": "c", "ports": [{"name": "web", "containerPort": 80}]}),
        )
        .unwrap();
        let find = |port| port_number(&container, &port);
        assert_eq!(find(IntOrString::String("web".into())), Ok(80));
        assert_eq!(find(IntOrString::Int(8080)), Ok(8080));
        assert!(find(IntOrString::String("nope".into())).is_err());
        assert!(find(IntOrString::Int(70_000)).is_err());
    }
}
