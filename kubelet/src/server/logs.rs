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
    let path = match agent.dirs(&view.pod) {
        Ok(dirs) => dirs.log(container, attempt),
        Err(e) => return text(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    };
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

/// Which run's log is wanted: while a container waits to be started again, its
/// latest run is both the present and the previous one.
fn attempt(container: &ContainerView, previous: bool) -> Result<u32, String> {
    let name = &container.name;
    match (previous, &container.waiting, container.ran) {
        (false, _, true) | (true, Some(_), true) => Ok(container.restarts),
        (true, None, true) if container.restarts > 0 => Ok(container.restarts - 1),
        (true, _, _) => Err(format!(
            "previous terminated container {name:?} in pod \"{{pod}}\" not found"
        )),
        (false, waiting, false) => {
            let why = match waiting.as_deref().unwrap_or_default() {
                "ErrImagePull" => "image can't be pulled",
                "ImagePullBackOff" => "trying and failing to pull image",
                "" => "ContainerCreating",
                reason => reason,
            };
            Err(format!(
                "container {name:?} in pod \"{{pod}}\" is waiting to start: {why}"
            ))
        }
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

    fn container(ran: bool, restarts: u32, waiting: Option<&str>) -> ContainerView {
        let (running, waiting) = (None, waiting.map(str::to_owned));
        ContainerView {
            name: "c".into(),
            running,
            restarts,
            ran,
            waiting,
        }
    }

    #[test]
    fn logs_are_of_the_latest_run_or_the_one_before() {
        assert_eq!(attempt(&container(true, 2, None), false), Ok(2));
        assert_eq!(attempt(&container(true, 2, None), true), Ok(1));
        let missing = attempt(&container(true, 0, None), true).unwrap_err();
        assert!(missing.contains("previous terminated container"));
    }

    #[test]
    fn a_container_that_crashed_shows_its_latest_run_either_way() {
        let crashed = container(true, 1, Some("CrashLoopBackOff"));
        assert_eq!(
            (attempt(&crashed, false), attempt(&crashed, true)),
            (Ok(1), Ok(1))
        );
    }

    #[test]
    fn a_container_that_never_ran_says_why() {
        let new = container(false, 0, Some("ImagePullBackOff"));
        let message = attempt(&new, false).unwrap_err();
        assert!(message.ends_with("is waiting to start: trying and failing to pull image"));
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
