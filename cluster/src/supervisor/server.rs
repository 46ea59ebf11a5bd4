//! Doing what is asked over the cluster's socket.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::room::Room;
use crate::Error;
use crate::control::{Reply, Request, read_line};

/// Serves until `shutdown`, and then until those that asked were answered.
pub async fn serve(listener: UnixListener, room: Arc<Room>, shutdown: CancellationToken) {
    let mut answers = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = room.ended() => break,
        };
        if let Ok((stream, _)) = accepted {
            answers.spawn(answer(stream, room.clone(), shutdown.clone()));
        }
        while answers.try_join_next().is_some() {}
    }
    drop(listener);
    while answers.join_next().await.is_some() {}
}

async fn answer(mut stream: UnixStream, room: Arc<Room>, shutdown: CancellationToken) {
    let Ok(line) = read_line(&mut stream).await else {
        return;
    };
    let reply = match serde_json::from_str(&line) {
        Ok(request) => done(&room, request, &shutdown).await,
        Err(error) => Reply::Refused(format!("not understood: {error}")),
    };
    let mut bytes = serde_json::to_vec(&reply).expect("a reply is JSON");
    bytes.push(b'\n');
    let _ = stream.write_all(&bytes).await;
}

async fn done(room: &Room, request: Request, shutdown: &CancellationToken) -> Reply {
    let worked: Result<(), Error> = match request {
        Request::Status => Ok(()),
        Request::Node { name, action } => room.act(&name, action).await,
        Request::Stop => {
            shutdown.cancel();
            room.ended().await;
            Ok(())
        }
    };
    match worked {
        Ok(()) => Reply::Done(room.status().await),
        Err(error) => Reply::Refused(error.chain()),
    }
}
