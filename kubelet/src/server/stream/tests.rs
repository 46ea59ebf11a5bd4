use std::time::Duration;

use streams::exec::{Client, connect, serve};
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(5);
const WANTED: Wanted = Wanted {
    stdin: true,
    stdout: true,
    stderr: true,
    tty: false,
};

async fn both(is_websocket: bool) -> (Session, Client) {
    let protocol = Protocol::agreed(is_websocket, "v4.channel.k8s.io").unwrap();
    let (here, there) = duplex(64 * 1024);
    let (session, client) = tokio::join!(
        serve(here, &protocol, WANTED),
        connect(there, &protocol, WANTED)
    );
    (session.unwrap(), client.unwrap())
}

#[tokio::test]
async fn session_over_a_quiet_container_finishes_once_its_pumps_are_dropped() {
    for is_websocket in [true, false] {
        let (mut session, mut client) = both(is_websocket).await;
        let (mut container, output) = duplex(64);
        let pumps = Pumps::start(&mut session, None::<DuplexStream>, Some(output), None);
        container.write_all(b"up").await.unwrap();
        let stdout = client.stdout.as_mut().unwrap();
        let printed = timeout(SOON, stdout.read_exact(&mut [0; 2])).await;
        printed.unwrap().unwrap();
        drop(pumps);
        let finish = session.status.finish(Outcome::Exited(0));
        let told = async {
            let outcome = client.outcome().await.unwrap();
            drop(client);
            outcome
        };
        let ended = timeout(SOON, async { tokio::join!(finish, told) }).await;
        assert_eq!(ended.unwrap().1, Outcome::Exited(0));
        // The container's end is free as well.
        let read = timeout(SOON, container.read(&mut [0])).await;
        assert_eq!(read.unwrap().unwrap(), 0);
    }
}
