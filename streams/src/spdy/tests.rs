use tokio::io::{AsyncWriteExt, duplex};

use super::{
    frame::{Frame, FrameReader},
    *,
};

/// SETTINGS with an initial window of ten bytes, SYN_STREAM 1, and later credit of five.
const SETTINGS: [u8; 20] = [
    0x80, 3, 0, 4, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 10,
];
const CREDIT: [u8; 16] = [0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5];

#[tokio::test]
async fn announced_window_limits_what_is_sent_until_there_is_credit() {
    let (here, there) = duplex(64 * 1024);
    let mut connection = Connection::new(here, Side::Server, CancellationToken::new());
    let (read, mut write) = tokio::io::split(there);
    let (mut out, mut encoder) = (bytes::BytesMut::new(), header_block::Encoder::new());
    frame::open(&mut out, &mut encoder, 1, &Headers::new());
    write
        .write_all(&[&SETTINGS[..], &out].concat())
        .await
        .unwrap();
    let mut stream = connection.accept().await.unwrap();
    tokio::spawn(async move { stream.writer.write_all(&[7; 15]).await.unwrap() });
    let mut frames = FrameReader::new(read);
    let mut sent = Vec::new();
    while sent.len() < 15 {
        if sent.len() == 10 {
            let more = tokio::time::timeout(Duration::from_millis(100), frames.next()).await;
            assert!(more.is_err(), "sent beyond the window");
            write.write_all(&CREDIT).await.unwrap();
        }
        if let Some(Frame::Data { bytes, .. }) = frames.next().await.unwrap() {
            sent.extend(bytes);
        }
    }
}

#[tokio::test]
async fn ping_is_answered_and_stream_of_the_wrong_side_ends_the_connection() {
    let (here, there) = duplex(1024);
    let gone = CancellationToken::new();
    let _connection = Connection::new(here, Side::Server, gone.clone());
    let (read, mut write) = tokio::io::split(there);
    let (mut out, mut encoder) = (bytes::BytesMut::new(), header_block::Encoder::new());
    frame::ping(&mut out, 5);
    write.write_all(&out).await.unwrap();
    assert_eq!(
        FrameReader::new(read).next().await.unwrap(),
        Some(Frame::Ping { id: 5 })
    );
    out.clear();
    frame::open(&mut out, &mut encoder, 2, &Headers::new());
    write.write_all(&out).await.unwrap();
    gone.cancelled().await;
}
