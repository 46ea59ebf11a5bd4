//! The gRPC health check (`grpc.health.v1.Health/Check`), spoken by hand: one
//! request of one string, one answer of one number.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use super::{Answer, Target, connect};

const SERVING: u8 = 1;
const MAX_ANSWER: usize = 4096;

/// Asks whether `service` is serving.
pub async fn check(target: &Target, port: u16, service: &str, patience: Duration) -> Answer {
    let address = std::net::SocketAddr::new(target.ip, port).to_string();
    match timeout(patience, ask(&address, service, patience)).await {
        Err(_) => Answer::Failure(format!(
            "timeout: failed to connect service {address:?} within {}s",
            patience.as_secs()
        )),
        Ok(Err(message)) => Answer::Failure(message),
        Ok(Ok(status)) if status == SERVING => Answer::Success,
        Ok(Ok(status)) => Answer::Failure(format!(
            "service unhealthy (responded with {:?})",
            name(status)
        )),
    }
}

fn name(status: u8) -> &'static str {
    match status {
        1 => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

async fn ask(address: &str, service: &str, patience: Duration) -> Result<u8, String> {
    let stream = connect(address, patience).await?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(message(service)))
        .map_err(|e| e.to_string())?;
    let answered = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|e| e.to_string())?;
        let body = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|e| e.to_string())?;
        let trailers = body.trailers().and_then(|t| t.get("grpc-status")).cloned();
        if let Some(code) = trailers.filter(|code| code != "0") {
            return Err(format!(
                "error: health rpc failed: code = {}",
                code.to_str().unwrap_or("?")
            ));
        }
        Ok(status(&body.to_bytes()))
    };
    let status = answered.await;
    connection.abort();
    status
}

/// A length-prefixed `HealthCheckRequest { service = 1 }`.
fn message(service: &str) -> Bytes {
    let service = &service.as_bytes()[..service.len().min(127)];
    let mut body = Vec::new();
    if !service.is_empty() {
        body.extend([0x0a, service.len() as u8]);
        body.extend(service);
    }
    let mut framed = vec![0];
    framed.extend((body.len() as u32).to_be_bytes());
    framed.extend(body);
    framed.into()
}

/// The `status = 1` of a length-prefixed `HealthCheckResponse`; absent is 0.
fn status(answer: &[u8]) -> u8 {
    match answer.get(5..7) {
        Some([0x08, status]) => *status,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_one_string_and_the_answer_one_number() {
        assert_eq!(message("ab").as_ref(), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(message("").as_ref(), [0, 0, 0, 0, 0]);
        assert_eq!(
            (status(&[0, 0, 0, 0, 2, 8, 1]), status(&[0, 0, 0, 0, 0])),
            (1, 0)
        );
    }
}
