//! Keeps a [`State`] current: one watch of Services, one of EndpointSlices.

use std::pin::pin;

use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;

use super::object::{ServiceObject, SliceObject};
use super::{ObjectName, Service, Slice, State};
use crate::metrics;

/// Watches until `shutdown`; raises `listed` once Services and slices were
/// both listed whole. An API server out of reach is waited for.
pub async fn run(
    state: &State,
    client: Client,
    listed: &Sender<bool>,
    shutdown: &CancellationToken,
) {
    let services = watcher::watcher(Api::all(client.clone()), watcher::Config::default());
    let slices = watcher::watcher(Api::all(client), watcher::Config::default());
    let both = Countdown {
        remaining: std::sync::atomic::AtomicU8::new(2),
        listed,
    };
    let (to_services, to_slices) = (Services(state), Slices(state));
    let follow = async {
        tokio::join!(
            follow(services.default_backoff(), &to_services, &both),
            follow(slices.default_backoff(), &to_slices, &both),
        );
    };
    tokio::select! {
        () = follow => {}
        () = shutdown.cancelled() => {}
    }
}

/// Raises `listed` when both lists are complete.
struct Countdown<'a> {
    remaining: std::sync::atomic::AtomicU8,
    listed: &'a Sender<bool>,
}

impl Countdown<'_> {
    fn one_is_listed(&self) {
        if self
            .remaining
            .fetch_sub(1, std::sync::atomic::Ordering::AcqRel)
            == 1
        {
            self.listed.send_replace(true);
        }
    }
}

/// Where one kind of object goes.
trait Sink {
    type Object;
    type Entry;
    /// The name, and the entry unless the object is none of ours.
    fn read(object: Self::Object) -> Option<(ObjectName, Option<Self::Entry>)>;
    fn put(&self, name: ObjectName, entry: Self::Entry);
    fn delete(&self, name: &ObjectName);
    fn replace(&self, all: Vec<(ObjectName, Self::Entry)>);
    /// The object is about to be put or deleted.
    fn note(&self, object: &Self::Object);
}

async fn follow<S: Sink>(
    events: impl Stream<Item = watcher::Result<Event<S::Object>>>,
    sink: &S,
    both: &Countdown<'_>,
) {
    let mut events = pin!(events);
    let mut listing = Vec::new();
    let mut is_first = true;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listing.clear(),
            Ok(Event::InitApply(object)) => {
                if let Some((name, Some(entry))) = S::read(object) {
                    listing.push((name, entry));
                }
            }
            Ok(Event::InitDone) => {
                sink.replace(std::mem::take(&mut listing));
                if std::mem::take(&mut is_first) {
                    both.one_is_listed();
                }
            }
            Ok(Event::Apply(object)) => {
                sink.note(&object);
                match S::read(object) {
                    Some((name, Some(entry))) => sink.put(name, entry),
                    Some((name, None)) => sink.delete(&name),
                    None => {}
                }
            }
            Ok(Event::Delete(object)) => {
                sink.note(&object);
                if let Some((name, _)) = S::read(object) {
                    sink.delete(&name);
                }
            }
            // The watcher starts over by itself, after a pause.
            Err(error) => tracing::debug!(%error, "watch of Services or endpoints was interrupted"),
        }
    }
}

struct Services<'a>(&'a State);

impl Sink for Services<'_> {
    type Object = ServiceObject;
    type Entry = Service;

    fn read(object: ServiceObject) -> Option<(ObjectName, Option<Service>)> {
        Some((object.name()?, Some(object.into_service())))
    }
    fn put(&self, name: ObjectName, service: Service) {
        self.0.put_service(name, service);
    }
    fn delete(&self, name: &ObjectName) {
        self.0.delete_service(name);
    }
    fn replace(&self, all: Vec<(ObjectName, Service)>) {
        metrics::services_changed(all.len());
        self.0.replace_services(all);
    }
    fn note(&self, _: &ServiceObject) {
        metrics::services_changed(1);
    }
}

struct Slices<'a>(&'a State);

impl Sink for Slices<'_> {
    type Object = SliceObject;
    type Entry = Slice;

    fn read(object: SliceObject) -> Option<(ObjectName, Option<Slice>)> {
        Some((object.name()?, object.into_slice()))
    }
    fn put(&self, name: ObjectName, slice: Slice) {
        self.0.put_slice(name, slice);
    }
    fn delete(&self, name: &ObjectName) {
        self.0.delete_slice(name);
    }
    fn replace(&self, all: Vec<(ObjectName, Slice)>) {
        metrics::endpoints_changed(all.len());
        self.0.replace_slices(all);
    }
    fn note(&self, object: &SliceObject) {
        metrics::endpoints_changed(1);
        if let Some(at) = object.triggered() {
            self.0.triggered(at);
        }
    }
}
