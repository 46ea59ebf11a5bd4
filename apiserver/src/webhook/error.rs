//! Why a webhook gave no answer, in the words that Go's HTTP client and
//! Kubernetes' REST client have for it: operators search for them.

use std::io;

use http::StatusCode;

use super::dial;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration names no server that could be called; its owner mends it.
    #[error("{why}")]
    Config { why: String },
    /// The server could not be reached, or broke off.
    #[error("Post {url:?}: {why}")]
    Unreachable { url: String, why: String },
    /// The time the configuration gives was over.
    #[error("Post {url:?}: context deadline exceeded")]
    Timeout { url: String },
    /// The server answered, but no success.
    #[error("{}", refusal(*code, body))]
    Refused { code: StatusCode, body: String },
    /// The server answered something else than what it was asked for.
    #[error("{why}")]
    Answer { why: String },
}

/// How much of a body an error repeats.
const SHOWN: usize = 1024;

impl Error {
    pub(super) fn refused(code: StatusCode, body: &[u8]) -> Self {
        let shown = &body[..body.len().min(SHOWN)];
        Self::Refused {
            code,
            body: String::from_utf8_lossy(shown).trim_end().to_owned(),
        }
    }
}

fn refusal(code: StatusCode, body: &str) -> String {
    match code.as_u16() {
        400 => "the server rejected our request for an unknown reason".into(),
        401 => "the server has asked for the client to provide credentials".into(),
        403 => if body.is_empty() { "unknown" } else { body }.to_owned(),
        404 => "the server could not find the requested resource".into(),
        405 => "the server does not allow this method on the requested resource".into(),
        413 => "Request entity too large".into(),
        415 => "the body of the request was in an unknown format".into(),
        429 => "the server has received too many requests and has asked us to try again later".into(),
        503 => "the server is currently unable to handle the request".into(),
        504 => "the server was unable to return a response in the time allotted, but may still be processing the request".into(),
        500.. => format!(
            "an error on the server ({}) has prevented the request from succeeding",
            quoted(if body.is_empty() { "unknown" } else { body })
        ),
        other => format!("the server responded with the status code {other} but did not return more information"),
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// What is at the bottom of a failed exchange.
pub fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut next = Some(error);
    let mut last = error;
    while let Some(current) = next {
        if let Some(text) = known(current) {
            return text;
        }
        last = current;
        // An io::Error hides what it wraps from `source`.
        let wrapped = current
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    last.to_string()
}

fn known(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(dial) = error.downcast_ref::<dial::Error>() {
        return Some(dial.to_string());
    }
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_cause(tls));
    }
    if let Some(http) = error.downcast_ref::<hyper::Error>() {
        return (http.is_incomplete_message() || http.is_closed()).then(|| "EOF".to_owned());
    }
    let io = error.downcast_ref::<io::Error>()?;
    match io.kind() {
        _ if io.get_ref().is_some() => None,
        io::ErrorKind::UnexpectedEof => Some("EOF".into()),
        io::ErrorKind::ConnectionReset => Some("read: connection reset by peer".into()),
        _ => None,
    }
}

fn tls_cause(error: &rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    let why = match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => {
                "x509: certificate signed by unknown authority".to_owned()
            }
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => {
                "x509: certificate has expired or is not yet valid".to_owned()
            }
            Bad::NotValidForNameContext {
                expected,
                presented,
            } => not_for_name(&expected.to_str(), presented),
            other => format!("x509: {other}"),
        },
        rustls::Error::InvalidMessage(_) => {
            return "http: server gave HTTP response to HTTPS client".into();
        }
        other => return format!("remote error: tls: {other}"),
    };
    format!("tls: failed to verify certificate: {why}")
}

fn not_for_name(expected: &str, presented: &[String]) -> String {
    // Presented as `DnsName("a")` or `IpAddress(..)`.
    let names: Vec<&str> = presented
        .iter()
        .filter_map(|name| name.split('"').nth(1))
        .collect();
    if names.is_empty() {
        return format!(
            "x509: certificate is not valid for any names, but wanted to match {expected}"
        );
    }
    format!(
        "x509: certificate is valid for {}, not {expected}",
        names.join(", ")
    )
}
