use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            header::HeaderName::try_from(*name).unwrap(),
            HeaderValue::try_from(*value).unwrap(),
        );
    }
    map
}

const WS: [(&str, &str); 3] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[test]
fn websocket_accept_key_is_that_of_rfc_6455() {
    let mut request = headers(&WS);
    request.insert(
        "sec-websocket-protocol",
        HeaderValue::from_static("v5.channel.k8s.io"),
    );
    let response = negotiate(&request, Purpose::RemoteCommand)
        .unwrap()
        .response();
    assert_eq!(response.status(), 101);
    assert_eq!(
        response.headers()["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(
        response.headers()["sec-websocket-protocol"],
        "v5.channel.k8s.io"
    );
}

#[test]
fn first_protocol_of_the_client_that_is_known_wins() {
    let mut request = headers(&[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "SPDY/3.1"),
    ]);
    for name in [
        "v9.channel.k8s.io",
        "v4.channel.k8s.io",
        "v3.channel.k8s.io",
    ] {
        request.append("x-stream-protocol-version", HeaderValue::from_static(name));
    }
    let protocol = negotiate(&request, Purpose::RemoteCommand).unwrap();
    assert_eq!(
        protocol.response().headers()["x-stream-protocol-version"],
        "v4.channel.k8s.io"
    );
    assert!(protocol.ends_with_status());
}

#[test]
fn websocket_client_that_names_no_protocol_is_answered_without_one() {
    let protocol = negotiate(&headers(&WS), Purpose::RemoteCommand).unwrap();
    assert!(
        !protocol
            .response()
            .headers()
            .contains_key("sec-websocket-protocol")
    );
    assert!(!protocol.ends_with_status());
}

#[test]
fn port_forward_tunnels_spdy_when_asked_to() {
    let mut request = headers(&WS);
    request.insert(
        "sec-websocket-protocol",
        HeaderValue::from_static("SPDY/3.1+portforward.k8s.io"),
    );
    let protocol = negotiate(&request, Purpose::PortForward).unwrap();
    assert_eq!(protocol.transport, Transport::SpdyInWebSocket);
}

#[test]
fn unknown_protocol_is_forbidden_and_plain_request_is_bad() {
    let mut request = headers(&WS);
    request.insert("sec-websocket-protocol", HeaderValue::from_static("chat"));
    assert_eq!(
        negotiate(&request, Purpose::RemoteCommand)
            .unwrap_err()
            .status,
        403
    );
    assert_eq!(
        negotiate(&HeaderMap::new(), Purpose::RemoteCommand)
            .unwrap_err()
            .status,
        400
    );
}
