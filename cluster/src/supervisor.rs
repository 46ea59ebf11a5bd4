//! The process that runs a cluster: the room its machines stand in.
//!
//! It holds the network that joins the nodes ([`hub`]), starts and stops the
//! nodes ([`machine`]), leads this machine's ports to theirs ([`forward`]) and what they
//! ask of the world to the world ([`outside`]), and does what it is asked over the
//! cluster's socket. When it ends, for whatever
//! reason, the kernel ends its nodes.

mod forward;
mod hub;
mod machine;
mod outside;
mod ports;
mod room;
mod server;

use std::fs::File;
use std::io::ErrorKind;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::Place;
use crate::error::{Error, Result, file, kernel};
use crate::groups::Groups;
use hub::Hub;
use ports::Ports;
use room::Room;

/// Runs the cluster at `place` until it is asked to stop or signalled; `ready` is
/// called once all nodes were started.
pub async fn run(place: Place, ready: impl FnOnce()) -> Result<()> {
    let _lock = lock(&place)?;
    more_files();
    let mut plan = place.read()?;
    // What a supervisor that was killed could not take away.
    remove_groups(&place)?;
    let ports = Ports::listen(&mut plan)?;
    place.write(&plan)?;
    let hub = Hub::open(&place.network_dir(), plan.node_range()).await?;
    outside::open(&hub, &plan).await;
    let control = listen(&place)?;
    let shutdown = CancellationToken::new();
    let room = Room::new(place, plan, hub);
    let asked = tokio::spawn(server::serve(control, room.clone(), shutdown.clone()));
    let worked = match room.start_all(ports).await {
        Ok(()) => {
            ready();
            until_end(&shutdown).await
        }
        failed => failed,
    };
    room.stop_all().await;
    let removed = remove_groups(room.place());
    let _ = std::fs::remove_file(room.place().socket());
    // Who asked for the end is answered last.
    shutdown.cancel();
    let _ = asked.await;
    worked.and(removed)
}

/// Removes what a cluster that does not run has left in control groups.
pub fn remove_groups(place: &Place) -> Result<()> {
    let group = place.group();
    // One by one: each may have been paused by itself.
    if let Ok(plan) = place.read() {
        for node in &plan.nodes {
            Groups::at(&group.join(&node.name))?.remove()?;
        }
    }
    Groups::at(&group)?.remove()
}

/// Held by whoever works on a cluster that does not run, or runs it.
pub fn lock(place: &Place) -> Result<Flock<File>> {
    let path = place.lock();
    let opened = File::create(&path).map_err(file("open", &path))?;
    match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(Error::Running {
            name: place.name().to_owned(),
        }),
        Err((_, error)) => Err(file("lock", &path)(error.into())),
    }
}

/// The same, once nobody holds it any more.
pub async fn lock_when_free(place: &Place) -> Result<Flock<File>> {
    let place = place.clone();
    let locked = tokio::task::spawn_blocking(move || {
        let path = place.lock();
        let opened = File::create(&path).map_err(file("open", &path))?;
        Flock::lock(opened, FlockArg::LockExclusive)
            .map_err(|(_, error)| file("lock", &path)(error.into()))
    });
    locked
        .await
        .map_err(|error| kernel("wait for the cluster's end")(std::io::Error::other(error)))?
}

fn listen(place: &Place) -> Result<UnixListener> {
    let path = place.socket();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(file("remove", &path)(error));
        }
        _ => {}
    }
    UnixListener::bind(&path).map_err(file("listen on", &path))
}

/// A connection through a port takes two.
fn more_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

async fn until_end(shutdown: &CancellationToken) -> Result<()> {
    let listen = |kind| signal(kind).map_err(kernel("listen for signals"));
    let (mut term, mut int) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    tokio::select! {
        () = shutdown.cancelled() => {}
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
