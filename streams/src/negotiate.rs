//! From an upgrade request to the protocol both sides speak.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// What the connection is for: the two speak different protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `exec` and `attach`.
    RemoteCommand,
    PortForward,
}

/// How the streams of one connection are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// One message a chunk, its first byte the channel.
    WebSocket {
        base64: bool,
    },
    Spdy,
    /// SPDY inside the messages of a WebSocket (kubectl port-forward since 1.31).
    SpdyInWebSocket,
}

/// The protocol that was agreed on.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub(crate) transport: Transport,
    /// The Kubernetes sub-protocol, `v5.channel.k8s.io`.
    pub(crate) name: &'static str,
    /// `Sec-WebSocket-Accept`.
    pub(crate) accept_key: Option<HeaderValue>,
    /// The client named no sub-protocol, so the answer names none.
    pub(crate) named: bool,
}

/// Why a request cannot become a stream connection; answer with its status and text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub status: StatusCode,
    pub message: String,
}

/// `v4` and later carry a `Status` as JSON when the command ends.
const SPDY_COMMAND: &[&str] = &[
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
];
const SPDY_FORWARD: &[&str] = &["portforward.k8s.io"];
const WEBSOCKET_COMMAND: &[&str] = &[
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
];
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const WEBSOCKET_FORWARD: &[&str] = &[TUNNEL, "v4.channel.k8s.io", "v4.base64.channel.k8s.io"];

const STREAM_PROTOCOL: &str = "x-stream-protocol-version";

/// Picks the protocol for an upgrade request.
///
/// # Errors
/// The request asks for no upgrade that is understood, or for no protocol that is.
pub fn negotiate(headers: &HeaderMap, purpose: Purpose) -> Result<Protocol, Refusal> {
    if lists(headers, &header::CONNECTION, "upgrade") {
        if lists(headers, &header::UPGRADE, "websocket") {
            return websocket(headers, purpose);
        }
        if lists(headers, &header::UPGRADE, "spdy/3.1") {
            return spdy(headers, purpose);
        }
    }
    let message = "unable to upgrade: missing upgrade headers in request: \
                   Connection: Upgrade and Upgrade: websocket or SPDY/3.1";
    Err(bad_request(message.to_owned()))
}

impl Protocol {
    /// The `101 Switching Protocols` that agrees.
    pub fn response(&self) -> Response<()> {
        let upgrade = if self.transport == Transport::Spdy {
            "SPDY/3.1"
        } else {
            "websocket"
        };
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(upgrade));
        if let Some(key) = &self.accept_key {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, key.clone());
        }
        match self.transport {
            Transport::Spdy => headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(self.name)),
            _ if self.named => headers.insert(
                header::SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(self.name),
            ),
            _ => None,
        };
        response
    }

    /// The sub-protocol's name, for logs.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The command's end is told as a `Status` in JSON, not as text.
    pub(crate) fn ends_with_status(&self) -> bool {
        self.name.starts_with("v4") || self.name.starts_with("v5")
    }

    /// A client can close its input and go on reading.
    pub(crate) fn tells_ends(&self) -> bool {
        self.name.starts_with("v5")
    }

    /// The protocol a client gets when the server's answer names `name` (see [`crate::exec::connect`]).
    pub fn agreed(websocket: bool, name: &str) -> Option<Self> {
        let all = if websocket {
            [WEBSOCKET_COMMAND, WEBSOCKET_FORWARD]
        } else {
            [SPDY_COMMAND, SPDY_FORWARD]
        };
        let name = all.into_iter().flatten().find(|known| **known == name)?;
        let transport = if websocket {
            websocket_transport(name)
        } else {
            Transport::Spdy
        };
        Some(Self {
            transport,
            name,
            accept_key: None,
            named: true,
        })
    }
}

fn websocket_transport(name: &str) -> Transport {
    match name {
        TUNNEL => Transport::SpdyInWebSocket,
        _ => Transport::WebSocket {
            base64: name.contains("base64"),
        },
    }
}

fn websocket(headers: &HeaderMap, purpose: Purpose) -> Result<Protocol, Refusal> {
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .ok_or_else(|| bad_request("unable to upgrade: Sec-WebSocket-Key is missing".to_owned()))?;
    let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
    let accept_key = HeaderValue::try_from(accept).expect("base64 is a header value");
    let asked = listed(headers, header::SEC_WEBSOCKET_PROTOCOL.as_str());
    let known = match purpose {
        Purpose::RemoteCommand => WEBSOCKET_COMMAND,
        Purpose::PortForward => WEBSOCKET_FORWARD,
    };
    let fallback = match purpose {
        Purpose::RemoteCommand => "channel.k8s.io",
        Purpose::PortForward => "v4.channel.k8s.io",
    };
    let name = choose(&asked, known, fallback)?;
    Ok(Protocol {
        transport: websocket_transport(name),
        name,
        accept_key: Some(accept_key),
        named: !asked.is_empty(),
    })
}

fn spdy(headers: &HeaderMap, purpose: Purpose) -> Result<Protocol, Refusal> {
    let asked = listed(headers, STREAM_PROTOCOL);
    let (known, fallback) = match purpose {
        Purpose::RemoteCommand => (SPDY_COMMAND, "channel.k8s.io"),
        Purpose::PortForward => (SPDY_FORWARD, "portforward.k8s.io"),
    };
    let name = choose(&asked, known, fallback)?;
    Ok(Protocol {
        transport: Transport::Spdy,
        name,
        accept_key: None,
        named: true,
    })
}

/// The client's order decides; a client that names nothing gets the oldest.
fn choose(
    asked: &[String],
    known: &[&'static str],
    fallback: &'static str,
) -> Result<&'static str, Refusal> {
    if asked.is_empty() {
        return Ok(fallback);
    }
    let find = |name: &String| known.iter().find(|known| *known == name).copied();
    asked.iter().find_map(find).ok_or_else(|| Refusal {
        status: StatusCode::FORBIDDEN,
        message: format!(
            "unable to upgrade: unable to negotiate protocol: client supports {asked:?}, server accepts {known:?}"
        ),
    })
}

fn bad_request(message: String) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        message,
    }
}

/// The values of a header that may be repeated, comma-separated, or both.
fn listed(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|item| item.trim().to_owned())
        .filter(|i| !i.is_empty())
        .collect()
}

fn lists(headers: &HeaderMap, name: &header::HeaderName, wanted: &str) -> bool {
    listed(headers, name.as_str())
        .iter()
        .any(|item| item.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests;
