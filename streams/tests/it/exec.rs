use std::time::Duration;

use streams::{
    Error, Protocol,
    exec::{Client, Outcome, Session, Size, Wanted, connect, serve},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::timeout,
};

const WEBSOCKET: [&str; 4] = [
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
];
const SPDY: [&str; 2] = ["v4.channel.k8s.io", "channel.k8s.io"];
const ALL: Wanted = Wanted {
    stdin: true,
    stdout: true,
    stderr: true,
    tty: false,
};

fn protocols() -> Vec<Protocol> {
    let websocket = WEBSOCKET
        .iter()
        .map(|name| Protocol::agreed(true, name).unwrap());
    websocket
        .chain(
            SPDY.iter()
                .map(|name| Protocol::agreed(false, name).unwrap()),
        )
        .collect()
}

async fn both(protocol: &Protocol, wanted: Wanted) -> (Session, Client) {
    let (here, there) = duplex(64 * 1024);
    let (session, client) = tokio::join!(
        serve(here, protocol, wanted),
        connect(there, protocol, wanted)
    );
    (session.unwrap(), client.unwrap())
}

#[tokio::test]
async fn output_and_exit_code_reach_the_client_by_every_protocol() {
    for protocol in protocols() {
        let (mut session, mut client) = both(&protocol, ALL).await;
        let server = tokio::spawn(async move {
            session
                .stdout
                .take()
                .unwrap()
                .write_all(b"out")
                .await
                .unwrap();
            session
                .stderr
                .take()
                .unwrap()
                .write_all(b"err")
                .await
                .unwrap();
            session.status.finish(Outcome::Exited(7)).await;
        });
        let (mut out, mut err) = (String::new(), String::new());
        client
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .await
            .unwrap();
        client
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .await
            .unwrap();
        assert_eq!(
            (out.as_str(), err.as_str()),
            ("out", "err"),
            "{}",
            protocol.name()
        );
        assert_eq!(
            client.outcome().await.unwrap(),
            Outcome::Exited(7),
            "{}",
            protocol.name()
        );
        drop(client);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn command_that_never_ran_is_told_and_ends_the_connection() {
    for protocol in protocols() {
        let (session, mut client) = both(&protocol, ALL).await;
        let failed = Outcome::Failed("no such file".to_owned());
        let told = async {
            let outcome = client.outcome().await.unwrap();
            drop(client);
            outcome
        };
        let ending = async { tokio::join!(session.finish(failed.clone()), told) };
        let ended = timeout(Duration::from_secs(5), ending).await;
        let (_, outcome) = ended.unwrap_or_else(|_| panic!("{}", protocol.name()));
        assert_eq!(outcome, failed, "{}", protocol.name());
    }
}

#[tokio::test]
async fn pongs_to_a_client_that_does_not_read_are_bounded_and_output_still_comes() {
    const LIMIT: usize = (1 << 20) + 200 * 1024;
    let protocol = Protocol::agreed(true, "v5.channel.k8s.io").unwrap();
    let (here, mut there) = duplex(64 * 1024);
    let mut session = serve(here, &protocol, ALL).await.unwrap();
    // A final ping of 125 bytes, masked with zeros: 131 bytes in all.
    let mut ping = [0; 131];
    ping[..2].copy_from_slice(&[0x89, 0x80 | 125]);
    for _ in 0..20_000 {
        there.write_all(&ping).await.unwrap();
    }
    let mut output = session.stdout.take().unwrap();
    output.write_all(b"out").await.unwrap();
    let read_all = async {
        let (mut read, mut part) = (Vec::new(), vec![0; 64 * 1024]);
        let mut seen = 0;
        // The output's frame may lie across two reads, and more pongs follow it.
        while !read[seen..].windows(6).any(|w| w == b"\x82\x04\x01out") {
            seen = read.len().saturating_sub(5);
            let count = there.read(&mut part).await.unwrap();
            assert!(count > 0, "the connection ended");
            read.extend_from_slice(&part[..count]);
        }
        read.len()
    };
    let read = timeout(Duration::from_secs(5), read_all).await.unwrap();
    assert!(read < LIMIT, "{read} bytes were kept");
}

#[tokio::test]
async fn big_message_waits_for_its_reader_chunk_by_chunk() {
    let protocol = Protocol::agreed(true, "v5.channel.k8s.io").unwrap();
    let (here, mut there) = duplex(64 * 1024);
    let mut session = serve(here, &protocol, ALL).await.unwrap();
    let length: u64 = 1 << 20;
    // A final binary message for channel 0 (the content is zeros, as is the mask).
    let mut message = vec![0x82, 0x80 | 127];
    message.extend(length.to_be_bytes());
    message.resize(message.len() + 4 + (1 << 20), 0);
    tokio::spawn(async move {
        there.write_all(&message).await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut input = session.stdin.take().unwrap();
    let mut left = length - 1;
    while left > 0 {
        let chunk = input.chunk().await.unwrap();
        assert!(chunk.len() <= 32 * 1024, "{} bytes at once", chunk.len());
        left -= chunk.len() as u64;
    }
}

#[tokio::test]
async fn megabytes_go_both_ways_at_once() {
    for protocol in protocols() {
        let (mut session, mut client) = both(&protocol, ALL).await;
        // An echo of so much input as was announced: not every protocol can tell the end of input.
        let total = 3_000_000;
        tokio::spawn(async move {
            let input = session.stdin.take().unwrap();
            let mut output = session.stdout.take().unwrap();
            tokio::io::copy(&mut input.take(total), &mut output)
                .await
                .unwrap();
            drop((output, session.stderr.take()));
            session.status.finish(Outcome::Exited(0)).await;
        });
        let sent: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
        let mut input = client.stdin.take().unwrap();
        let copy = sent.clone();
        let sending = tokio::spawn(async move {
            input.write_all(&copy).await.unwrap();
            input
        });
        let mut back = Vec::new();
        let reading = client.stdout.take().unwrap().read_to_end(&mut back).await;
        reading.unwrap();
        assert!(
            back == sent,
            "{}: {} bytes came back",
            protocol.name(),
            back.len()
        );
        sending.await.unwrap();
        assert_eq!(client.outcome().await.unwrap(), Outcome::Exited(0));
    }
}

#[tokio::test]
async fn end_of_input_is_told_where_the_protocol_can() {
    for (is_websocket, name) in [(true, "v5.channel.k8s.io"), (false, "v4.channel.k8s.io")] {
        let protocol = Protocol::agreed(is_websocket, name).unwrap();
        let (mut session, mut client) = both(&protocol, ALL).await;
        client
            .stdin
            .take()
            .unwrap()
            .write_all(b"all of it")
            .await
            .unwrap();
        let mut input = String::new();
        session
            .stdin
            .take()
            .unwrap()
            .read_to_string(&mut input)
            .await
            .unwrap();
        assert_eq!(input, "all of it");
        assert!(!session.gone.is_cancelled());
    }
}

#[tokio::test]
async fn terminal_sizes_reach_the_server_in_order() {
    let wanted = Wanted { tty: true, ..ALL };
    for protocol in [
        Protocol::agreed(true, "v4.channel.k8s.io"),
        Protocol::agreed(false, "v4.channel.k8s.io"),
    ] {
        let (mut session, client) = both(&protocol.unwrap(), wanted).await;
        assert!(session.stderr.is_none() && client.stderr.is_none());
        for width in [80, 132] {
            client
                .resize
                .send(Size { width, height: 24 })
                .await
                .unwrap();
        }
        assert_eq!(
            session.resize.recv().await.unwrap(),
            Size {
                width: 80,
                height: 24
            }
        );
        assert_eq!(
            session.resize.recv().await.unwrap(),
            Size {
                width: 132,
                height: 24
            }
        );
    }
}

#[tokio::test]
async fn server_learns_that_the_client_is_gone() {
    for protocol in protocols() {
        let (mut session, client) = both(&protocol, ALL).await;
        drop(client);
        timeout(Duration::from_secs(5), session.gone.cancelled())
            .await
            .unwrap_or_else(|_| panic!("{}", protocol.name()));
        let mut input = Vec::new();
        assert_eq!(
            session
                .stdin
                .take()
                .unwrap()
                .read_to_end(&mut input)
                .await
                .unwrap(),
            0
        );
    }
}

#[tokio::test]
async fn server_learns_that_its_writes_fail_though_the_client_is_silent() {
    let protocol = Protocol::agreed(true, "v5.channel.k8s.io").unwrap();
    let ((reads, _silent), (writes, broken)) = (duplex(64), duplex(64));
    drop(broken);
    let session = serve(tokio::io::join(reads, writes), &protocol, ALL).await;
    let session = session.unwrap();
    let told = timeout(Duration::from_secs(5), session.gone.cancelled()).await;
    told.unwrap();
}

#[tokio::test]
async fn connection_that_ends_without_an_outcome_is_no_success() {
    for protocol in [
        Protocol::agreed(true, "v5.channel.k8s.io"),
        Protocol::agreed(false, "v4.channel.k8s.io"),
    ] {
        let (session, mut client) = both(&protocol.unwrap(), ALL).await;
        drop(session);
        assert!(matches!(client.outcome().await, Err(Error::Gone)));
    }
}

#[tokio::test]
async fn client_that_stops_reading_stops_the_server() {
    for protocol in protocols() {
        let (mut session, client) = both(&protocol, ALL).await;
        let mut output = session.stdout.take().unwrap();
        let written = timeout(
            Duration::from_millis(300),
            output.write_all(&vec![0; 20_000_000]),
        )
        .await;
        assert!(
            written.is_err(),
            "{}: 20 MB were buffered somewhere",
            protocol.name()
        );
        drop(client);
    }
}

#[tokio::test(start_paused = true)]
async fn client_that_never_opens_its_streams_is_given_up() {
    let protocol = Protocol::agreed(false, "v4.channel.k8s.io").unwrap();
    let (here, _there) = duplex(1024);
    assert!(matches!(
        serve(here, &protocol, ALL).await,
        Err(Error::StreamsNotCreated)
    ));
    let (here, there) = duplex(1024);
    drop(there);
    assert!(matches!(
        serve(here, &protocol, ALL).await,
        Err(Error::Gone)
    ));
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    for protocol in protocols() {
        let (here, mut there) = duplex(1024);
        let server = tokio::spawn(async move {
            match serve(here, &protocol, ALL).await {
                Ok(session) => session.gone.cancelled().await,
                Err(error) => assert!(matches!(error, Error::Gone)),
            }
        });
        let _ = there.write_all(&[0xff; 4096]).await;
        drop(there);
        timeout(Duration::from_secs(5), server)
            .await
            .unwrap()
            .unwrap();
    }
}
