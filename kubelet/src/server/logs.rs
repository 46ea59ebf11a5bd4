//! `containerLogs`: what a container printed.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::{Answer, query, text};
use crate::agent::{Agent, ContainerView};
use crate::logs::read::{self, Options};

/// Lines that wait for a slow reader.
const QUEUE: usize = 64;

pub async fn serve(
    agent: &Arc<Agent>,
    namespace: &str,
    pod: &str,
    container: &str,
    request: &Request<Incoming>,
) -> Answer {
    let asked = request.uri().query();
    let Some(view) = agent.pods.find(namespace, pod, None) else {
        return text(StatusCode::NOT_FOUND, format!("pod {pod:?} does not exist"));
    };
    let Some(found) = view.containers.iter().find(|c| c.name == container) else {
        return text(
            StatusCode::NOT_FOUND,
            format!("container {container:?} not found in pod {pod:?}"),
        );
    };
    let options = match options(asked) {
        Ok(options) => options,
        Err(message) => return text(StatusCode::UNPROCESSABLE_ENTITY, message),
    };
    let attempt = match attempt(found, query::flag(asked, "previous")) {
        Ok(attempt) => attempt,
        Err(message) => return text(StatusCode::BAD_REQUEST, message.replace("{pod}", pod)),
    };
    let path = agent.dirs(&view.pod).log(container, attempt);
    let running = found.running.clone().filter(|_| attempt == found.restarts);
    let (sink, lines) = mpsc::channel(QUEUE);
    let ended = ended(
        agent.clone(),
        view.pod.metadata.uid.clone().unwrap_or_default(),
        running,
    );
    tokio::spawn(async move {
        if let Err(e) = read::read(&path, &options, &sink, ended).await {
            // A container that never printed may have no file.
            let message = format!("failed to read log {}: {e}\n", path.display());
            let _ = sink.send(message.into()).await;
        }
    });
    stream(lines)
}

fn stream(lines: mpsc::Receiver<Bytes>) -> Answer {
    let frames = futures::stream::unfold(lines, |mut lines| async move {
        Some((lines.recv().await?, lines))
    });
    let body = StreamBody::new(frames.map(|bytes| Ok(Frame::data(bytes))));
    let mut response = http::Response::new(BodyExt::boxed(body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain"),
    );
    response
}

/// Which run's log is wanted.
fn attempt(container: &ContainerView, previous: bool) -> Result<u32, String> {
    let name = &container.name;
    match (container.ran, previous) {
        (false, _) => Err(format!(
            "container {name:?} in pod \"{{pod}}\" is waiting to start"
        )),
        (true, false) => Ok(container.restarts),
        // While it waits to be restarted, its latest run has ended already.
        (true, true) => container.restarts.checked_sub(1).ok_or_else(|| {
            format!("previous terminated container {name:?} in pod \"{{pod}}\" not found")
        }),
    }
}

fn options(asked: Option<&str>) -> Result<Options, String> {
    let number = |name: &str| match query::value(asked, name) {
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| format!("{name}: invalid value {text:?}")),
        None => Ok(None),
    };
    let since_time = match query::value(asked, "sinceTime") {
        Some(text) => Some(
            text.parse::<Timestamp>()
                .map_err(|e| format!("sinceTime: {e}"))?,
        ),
        None => None,
    };
    let since_seconds = number("sinceSeconds")?.and_then(|n| i64::try_from(n).ok());
    let since = since_seconds.and_then(|n| {
        Timestamp::now()
            .checked_sub(SignedDuration::from_secs(n))
            .ok()
    });
    let stream = query::value(asked, "stream")
        .map(|stream| stream.to_lowercase())
        .filter(|stream| stream != "all");
    Ok(Options {
        tail_lines: number("tailLines")?.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        since: since_time.or(since),
        timestamps: query::flag(asked, "timestamps"),
        limit_bytes: number("limitBytes")?,
        follow: query::flag(asked, "follow"),
        stream,
    })
}

/// Resolves once the run is over, as far as the pod's task has noticed.
async fn ended(agent: Arc<Agent>, uid: String, running: Option<String>) {
    let Some(id) = running else { return };
    let mut changes = agent.pods.changes();
    loop {
        let runs = agent.pods.get(&uid).is_some_and(|view| {
            view.containers
                .iter()
                .any(|c| c.running.as_ref() == Some(&id))
        });
        if !runs || changes.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(ran: bool, restarts: u32) -> ContainerView {
        ContainerView {
            name: "c".into(),
            running: None,
            restarts,
            ran,
        }
    }

    #[test]
    fn logs_are_of_the_latest_run_or_the_one_before() {
        assert_eq!(attempt(&container(true, 2), false), Ok(2));
        assert_eq!(attempt(&container(true, 2), true), Ok(1));
        assert!(
            attempt(&container(true, 0), true)
                .unwrap_err()
                .contains("previous terminated container")
        );
        assert!(
            attempt(&container(false, 0), false)
                .unwrap_err()
                .contains("waiting to start")
        );
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert!(
            options(Some("tailLines=x"))
                .unwrap_err()
                .starts_with("tailLines")
        );
        assert_eq!(
            options(Some("tailLines=3&follow=true")).unwrap().tail_lines,
            Some(3)
        );
    }
}
