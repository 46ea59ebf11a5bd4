use std::time::Duration;

use streams::{
    Protocol,
    port_forward::{Client, Forwards, connect, serve},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::timeout,
};

async fn both(is_websocket: bool, name: &str) -> (Forwards, Client) {
    let protocol = Protocol::agreed(is_websocket, name).unwrap();
    let (here, there) = duplex(64 * 1024);
    let (server, client) = tokio::join!(serve(here, &protocol, &[]), connect(there, &protocol));
    (server.unwrap(), client.unwrap())
}

const PROTOCOLS: [(bool, &str); 2] = [
    (false, "portforward.k8s.io"),
    (true, "SPDY/3.1+portforward.k8s.io"),
];

#[tokio::test]
async fn many_connections_share_one_and_each_carries_its_own_bytes() {
    for (is_websocket, name) in PROTOCOLS {
        let (mut server, client) = both(is_websocket, name).await;
        tokio::spawn(async move {
            while let Some(mut forward) = server.next().await {
                tokio::spawn(async move {
                    let port = forward.port.to_string();
                    forward
                        .data
                        .writer
                        .write_all(port.as_bytes())
                        .await
                        .unwrap();
                    tokio::io::copy(&mut forward.data.reader, &mut forward.data.writer)
                        .await
                        .unwrap();
                });
            }
        });
        for port in 8000..8050 {
            let mut connected = client.open(port).await.unwrap();
            connected
                .data
                .writer
                .write_all(&[b'x'; 200_000])
                .await
                .unwrap();
            connected.data.writer.shutdown().await.unwrap();
            let mut back = String::new();
            connected
                .data
                .reader
                .read_to_string(&mut back)
                .await
                .unwrap();
            assert!(
                back.starts_with(&port.to_string()) && back.len() == 200_004,
                "{name}"
            );
            assert_eq!(connected.error().await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn refused_connection_is_told_and_the_others_live_on() {
    for (is_websocket, name) in PROTOCOLS {
        let (mut server, client) = both(is_websocket, name).await;
        let mut refused = client.open(1).await.unwrap();
        server
            .next()
            .await
            .unwrap()
            .error
            .fail("connection refused")
            .await;
        assert_eq!(
            refused.error().await.unwrap().as_deref(),
            Some("connection refused")
        );
        let mut end = Vec::new();
        assert_eq!(refused.data.read_to_end(&mut end).await.unwrap(), 0);
        client.open(2).await.unwrap();
        assert_eq!(server.next().await.unwrap().port, 2);
    }
}

#[tokio::test]
async fn client_that_is_gone_ends_the_forwarding() {
    for (is_websocket, name) in PROTOCOLS {
        let (mut server, client) = both(is_websocket, name).await;
        drop(client);
        assert!(
            timeout(Duration::from_secs(5), server.next())
                .await
                .unwrap()
                .is_none()
        );
    }
}

#[tokio::test]
async fn plain_websocket_needs_ports() {
    let protocol = Protocol::agreed(true, "v4.channel.k8s.io").unwrap();
    assert!(serve(duplex(64).0, &protocol, &[]).await.is_err());
    assert!(serve(duplex(64).0, &protocol, &[0]).await.is_err());
    assert!(serve(duplex(64).0, &protocol, &[80; 128]).await.is_err());
    let mut server = serve(duplex(64).0, &protocol, &[80, 81]).await.unwrap();
    assert_eq!(
        (
            server.next().await.unwrap().port,
            server.next().await.unwrap().port
        ),
        (80, 81)
    );
}

#[tokio::test]
async fn plain_websocket_is_closed_after_its_last_connection() {
    let protocol = Protocol::agreed(true, "v4.channel.k8s.io").unwrap();
    let (here, mut there) = duplex(64 * 1024);
    let mut server = serve(here, &protocol, &[80]).await.unwrap();
    let mut forward = server.next().await.unwrap();
    forward.data.write_all(b"bye").await.unwrap();
    drop(forward);
    let read_all = async {
        let mut read = Vec::new();
        let mut part = [0; 512];
        // Close frame: 0x88; the peer answers with a masked one.
        while !read.windows(4).any(|w| w == [0x88, 2, 0x03, 0xe8]) {
            let n = there.read(&mut part).await.unwrap();
            assert!(n > 0, "{read:?}");
            read.extend_from_slice(&part[..n]);
        }
        there.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        read
    };
    let ended = timeout(Duration::from_secs(5), async {
        tokio::join!(server.next(), read_all)
    });
    let (next, read) = ended.await.unwrap();
    assert!(next.is_none());
    assert!(read.windows(3).any(|w| w == b"bye"), "{read:?}");
}
