//! One collection: its list, and the watches that follow it.

use std::fmt::Debug;
use std::time::Duration;

use futures::Stream;
use http_body_util::BodyExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::client::Body;
use kube::core::{Request, Status};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::error::Error;
use crate::event::Event;
use crate::lines::{Broken, LONGEST, Lines};
use crate::text;

/// A page of a list.
const PAGE: u32 = 500;
/// How long the server lets a watch be open.
const WATCH_SECONDS: u32 = 290;
/// How much longer a watch may be silent: then its server is not there any more.
const PATIENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);
/// How long an answer may take to begin, and a page to come; a server gives up
/// after a minute by itself.
const LONGEST_ANSWER: Duration = Duration::from_secs(90);

/// The objects that the field selector selects (all, where it is empty), and
/// each change of them. After an error it goes on with longer and longer pauses.
pub fn objects<K>(
    api: Api<K>,
    fields: &str,
) -> impl Stream<Item = Result<Event<K>, Error>> + Send + use<K>
where
    K: Resource + DeserializeOwned + Clone + Debug + Send + 'static,
{
    let followed = Box::new(Followed::new(api, fields));
    futures::stream::unfold(followed, |mut followed| async move {
        let event = followed.paced().await;
        Some((event, followed))
    })
}

struct Followed<K> {
    client: Client,
    path: String,
    fields: Option<String>,
    state: State<K>,
    pauses: DefaultBackoff,
    /// Comes before the next step.
    pause: Option<Duration>,
    /// A change was told since the last error: it is not the same one again.
    has_told: bool,
}

enum State<K> {
    /// Nothing is known that could be gone on with.
    Unlisted,
    /// A page was read, and `rest` is not told yet.
    Listing {
        rest: std::vec::IntoIter<K>,
        then: Then,
    },
    /// Everything up to `version` was told.
    Known { version: String },
    /// Everything up to `version` was told, and what follows is coming in.
    Watching { version: String, lines: Lines },
}

/// What follows a page.
#[derive(Clone)]
enum Then {
    /// The page after this token; the first, without one.
    Page(Option<String>),
    /// Changes after this version.
    Changes(String),
}

/// Go writes a list of nothing as null.
#[derive(Deserialize)]
struct Page<K> {
    metadata: Option<ListMeta>,
    items: Option<Vec<K>>,
}

impl<K: Resource + DeserializeOwned> Followed<K> {
    fn new(api: Api<K>, fields: &str) -> Self {
        Self {
            path: api.resource_url().to_owned(),
            client: api.into_client(),
            fields: (!fields.is_empty()).then(|| fields.to_owned()),
            state: State::Unlisted,
            pauses: DefaultBackoff::default(),
            pause: None,
            has_told: false,
        }
    }

    /// The next event, after a pause if the last was an error. That something
    /// could be listed does not make pauses short again: what is wrong may be
    /// in the list, or come right after it.
    async fn paced(&mut self) -> Result<Event<K>, Error> {
        if let Some(pause) = self.pause.take() {
            tokio::time::sleep(pause).await;
        }
        let told = self.next().await;
        if told.is_err() {
            if std::mem::take(&mut self.has_told) {
                self.pauses.reset();
            }
            self.pause = self.pauses.next();
        }
        told
    }

    async fn next(&mut self) -> Result<Event<K>, Error> {
        // A long list is ready at once, all of it; others want to run too.
        tokio::task::consume_budget().await;
        loop {
            let told = match &mut self.state {
                State::Unlisted => {
                    self.state = State::listing(Vec::new(), Then::Page(None));
                    Some(Event::Init)
                }
                State::Listing { rest, then } => match rest.next() {
                    Some(object) => Some(Event::InitApply(object)),
                    None => {
                        let then = then.clone();
                        self.after_page(then).await?
                    }
                },
                State::Known { version } => {
                    let version = version.clone();
                    self.watch(version).await?;
                    None
                }
                State::Watching { lines, .. } => match lines.next().await {
                    Some(Ok(line)) => self.understand(&line)?,
                    Some(Err(why)) => return Err(self.broken(why)),
                    None => {
                        let came_to_nothing = lines.came_to_nothing();
                        self.stop_watching();
                        if came_to_nothing {
                            return Err(self.short());
                        }
                        None
                    }
                },
            };
            if let Some(event) = told {
                return Ok(event);
            }
        }
    }

    async fn after_page(&mut self, then: Then) -> Result<Option<Event<K>>, Error> {
        match then {
            Then::Changes(version) => {
                self.state = State::Known {
                    version: version.clone(),
                };
                Ok(Some(Event::InitDone { version }))
            }
            Then::Page(token) => {
                // A list that fails is begun anew.
                self.state = State::Unlisted;
                self.state = self.page(token).await?;
                Ok(None)
            }
        }
    }

    async fn page(&mut self, token: Option<String>) -> Result<State<K>, Error> {
        let params = ListParams {
            field_selector: self.fields.clone(),
            limit: Some(PAGE),
            continue_token: token,
            ..ListParams::default()
        };
        let failed = |source| Error::List {
            path: self.path.clone(),
            source,
        };
        let request = Request::new(self.path.as_str()).list(&params);
        let request = request.map_err(|error| failed(kube::Error::BuildRequest(error)))?;
        let answer = timeout(LONGEST_ANSWER, self.client.request_text(request)).await;
        let answer = answer.map_err(|_| self.silent())?.map_err(failed)?;
        let page: Page<K> = text::read(answer.as_bytes()).map_err(|e| self.unreadable(e))?;
        let metadata = page.metadata.unwrap_or_default();
        let is_told = |text: &String| !text.is_empty();
        let more = metadata.continue_.filter(is_told);
        let then = match (more, metadata.resource_version.filter(is_told)) {
            (Some(token), _) => Then::Page(Some(token)),
            (None, Some(version)) => Then::Changes(version),
            (None, None) => return Err(self.no_version()),
        };
        Ok(State::listing(page.items.unwrap_or_default(), then))
    }

    async fn watch(&mut self, version: String) -> Result<(), Error> {
        let opened = timeout(LONGEST_ANSWER, self.open(&version)).await;
        match opened.map_err(|_| self.silent())? {
            Ok(body) => {
                let lines = Lines::new(body, PATIENCE);
                self.state = State::Watching { version, lines };
                Ok(())
            }
            Err(source) => {
                if matches!(&source, kube::Error::Api(status) if is_too_old(status)) {
                    self.state = State::Unlisted;
                }
                Err(Error::Watch {
                    path: self.path.clone(),
                    source,
                })
            }
        }
    }

    async fn open(&mut self, version: &str) -> Result<Body, kube::Error> {
        let params = WatchParams {
            field_selector: self.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            ..WatchParams::default()
        };
        let request = Request::new(self.path.as_str()).watch(&params, version);
        let request = request.map_err(kube::Error::BuildRequest)?;
        let answer = self.client.send(request.map(Body::from)).await?;
        let code = answer.status();
        if code.is_success() {
            return Ok(answer.into_body());
        }
        let why = answer.into_body().collect().await?.to_bytes();
        let status = serde_json::from_slice(&why).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&why);
            Status::failure(text.trim(), "Unknown")
        });
        let status = status.with_code(code.as_u16());
        Err(kube::Error::Api(Box::new(status)))
    }

    fn understand(&mut self, line: &[u8]) -> Result<Option<Event<K>>, Error> {
        match text::read::<WatchEvent<K>>(line).map_err(|error| self.unreadable(error))? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                self.know(object.meta().resource_version.as_deref())?;
                Ok(Some(Event::Apply(object)))
            }
            WatchEvent::Deleted(object) => {
                self.know(object.meta().resource_version.as_deref())?;
                Ok(Some(Event::Delete(object)))
            }
            WatchEvent::Bookmark(bookmark) => {
                self.know(Some(&bookmark.metadata.resource_version))?;
                Ok(None)
            }
            WatchEvent::Error(status) => {
                if is_too_old(&status) {
                    self.state = State::Unlisted;
                } else {
                    self.stop_watching();
                }
                Err(Error::Ended {
                    path: self.path.clone(),
                    status,
                })
            }
        }
    }

    /// Everything up to `newest` was told.
    fn know(&mut self, newest: Option<&str>) -> Result<(), Error> {
        let newest = newest.filter(|newest| !newest.is_empty());
        match (newest, &mut self.state) {
            (Some(newest), State::Watching { version, .. }) => {
                version.clear();
                version.push_str(newest);
                self.has_told = true;
                Ok(())
            }
            _ => {
                self.state = State::Unlisted;
                Err(self.no_version())
            }
        }
    }

    /// The next watch goes on where this one ended.
    fn stop_watching(&mut self) {
        if let State::Watching { version, .. } = &mut self.state {
            let version = std::mem::take(version);
            self.state = State::Known { version };
        }
    }

    fn broken(&mut self, why: Broken) -> Error {
        self.stop_watching();
        let path = self.path.clone();
        match why {
            Broken::Connection(source) => Error::Broken { path, source },
            Broken::TooLong => Error::TooLong {
                path,
                limit: LONGEST,
            },
        }
    }

    fn short(&self) -> Error {
        Error::Short {
            path: self.path.clone(),
        }
    }

    fn silent(&self) -> Error {
        Error::Silent {
            path: self.path.clone(),
            longest: LONGEST_ANSWER,
        }
    }

    fn unreadable(&self, source: text::Error) -> Error {
        Error::Unreadable {
            path: self.path.clone(),
            source,
        }
    }

    fn no_version(&self) -> Error {
        Error::NoVersion {
            path: self.path.clone(),
        }
    }
}

impl<K> State<K> {
    fn listing(objects: Vec<K>, then: Then) -> Self {
        Self::Listing {
            rest: objects.into_iter(),
            then,
        }
    }
}

/// What was known is too old to be gone on with.
fn is_too_old(status: &Status) -> bool {
    status.code == 410 || matches!(&*status.reason, "Expired" | "Gone")
}

#[cfg(test)]
mod tests;
