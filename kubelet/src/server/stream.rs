//! `exec`, `attach` and `portForward`: an upgraded connection joined to a
//! container.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use runtime::{ContainerId, Exec, Sandbox};
use streams::exec::{Outcome, Session, Wanted};
use streams::{Protocol, Purpose, negotiate};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_util::task::AbortOnDropHandle;

use super::{Answer, query, text};
use crate::agent::{Agent, PodView};

mod forward;

/// A running container, found by the request's path.
struct Found {
    sandbox: Sandbox,
    id: ContainerId,
    has_tty: bool,
}

/// What the path names is not here.
struct Missing(String);

impl Missing {
    fn answer(self) -> Answer {
        text(StatusCode::NOT_FOUND, self.0)
    }
}

/// `namespace/pod/container` or `namespace/pod/uid/container`.
fn find(agent: &Agent, path: &[&str]) -> Result<Found, Missing> {
    let (namespace, pod, uid, container) = match path {
        [namespace, pod, container] => (namespace, pod, None, container),
        [namespace, pod, uid, container] => (namespace, pod, Some(*uid), container),
        _ => return Err(Missing("404 page not found".to_owned())),
    };
    let view = view(agent, namespace, pod, uid)?;
    let missing = || Missing(format!("container not found (\"{container}\")"));
    let known = view
        .containers
        .iter()
        .find(|c| c.name == *container)
        .ok_or_else(missing)?;
    let (sandbox, id) = view
        .sandbox
        .clone()
        .zip(known.running.clone())
        .ok_or_else(missing)?;
    let spec = view.pod.spec.as_ref();
    let has_tty = spec
        .and_then(|spec| crate::record::find_container(spec, container))
        .and_then(|c| c.tty)
        .unwrap_or_default();
    Ok(Found {
        sandbox,
        id: ContainerId::new(id).map_err(|_| missing())?,
        has_tty,
    })
}

fn view(
    agent: &Agent,
    namespace: &str,
    pod: &str,
    uid: Option<&str>,
) -> Result<Arc<PodView>, Missing> {
    agent
        .pods
        .find(namespace, pod, uid)
        .ok_or_else(|| Missing("pod does not exist".to_owned()))
}

fn wanted(asked: Option<&str>) -> Wanted {
    let flag = |long: &str, short: &str| query::flag(asked, long) || query::flag(asked, short);
    let tty = query::flag(asked, "tty");
    Wanted {
        stdin: flag("stdin", "input"),
        stdout: flag("stdout", "output"),
        stderr: flag("stderr", "error") && !tty,
        tty,
    }
}

pub async fn exec(agent: &Arc<Agent>, path: &[&str], request: Request<Incoming>) -> Answer {
    let found = match find(agent, path) {
        Ok(found) => found,
        Err(missing) => return missing.answer(),
    };
    let asked = request.uri().query();
    let (wanted, args) = (wanted(asked), query::values(asked, "command"));
    if args.is_empty() {
        return text(
            StatusCode::BAD_REQUEST,
            "you must specify at least 1 command",
        );
    }
    if !(wanted.stdin || wanted.stdout || wanted.stderr) {
        return text(
            StatusCode::BAD_REQUEST,
            "you must specify at least 1 of stdin, stdout, stderr",
        );
    }
    upgrade(
        request,
        Purpose::RemoteCommand,
        move |io, protocol| async move {
            let session = streams::exec::serve(io, &protocol, wanted).await?;
            run_exec(&found, args, wanted, session).await;
            Ok(())
        },
    )
}

async fn run_exec(found: &Found, args: Vec<String>, wanted: Wanted, mut session: Session) {
    let exec = Exec {
        stdin: wanted.stdin,
        stdout: wanted.stdout,
        stderr: wanted.stderr,
        tty: wanted.tty,
        ..Exec::new(args)
    };
    let mut running = match found.sandbox.exec(&found.id, exec).await {
        Ok(running) => running,
        Err(e) => {
            let why = format!("error executing command in container: {e}");
            return session.finish(Outcome::Failed(why)).await;
        }
    };
    let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
    let mut pumps = Pumps::start(&mut session, running.stdin.take(), stdout, stderr);
    let outcome = loop {
        tokio::select! {
            ended = running.wait() => break match ended {
                Ok(code) => Outcome::Exited(code),
                Err(e) => Outcome::Failed(e.to_string()),
            },
            Some(size) = session.resize.recv() => {
                if let Err(e) = running.resize(size.width, size.height) {
                    tracing::debug!("resize a terminal: {e}");
                }
            }
            // Dropping the process kills it: nobody reads it any more.
            () = session.gone.cancelled() => return,
        }
    };
    // All it printed is delivered before its end is told. What it left running may
    // hold its output open for long after it.
    tokio::select! {
        _ = &mut pumps.output => {}
        () = session.gone.cancelled() => return,
    }
    drop(pumps);
    session.status.finish(outcome).await;
}

/// The copying between a client and a command; dropped, it stops.
struct Pumps {
    _input: AbortOnDropHandle<()>,
    /// Ends after all that is printed.
    output: AbortOnDropHandle<()>,
}

impl Pumps {
    fn start<I, O>(
        session: &mut Session,
        stdin: Option<I>,
        stdout: Option<O>,
        stderr: Option<O>,
    ) -> Self
    where
        I: AsyncWrite + Send + Unpin + 'static,
        O: AsyncRead + Send + Unpin + 'static,
    {
        let input = pump_input(session.stdin.take(), stdin);
        let output = pump_output(stdout, session.stdout.take());
        let errors = pump_output(stderr, session.stderr.take());
        let output = async move {
            tokio::join!(output, errors);
        };
        Self {
            _input: AbortOnDropHandle::new(tokio::spawn(input)),
            output: AbortOnDropHandle::new(tokio::spawn(output)),
        }
    }
}

async fn pump_input(from: Option<impl AsyncRead + Unpin>, to: Option<impl AsyncWrite + Unpin>) {
    if let (Some(mut from), Some(mut to)) = (from, to) {
        // Either end may close first; both are the end of the copying.
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    }
}

async fn pump_output(from: Option<impl AsyncRead + Unpin>, to: Option<impl AsyncWrite + Unpin>) {
    if let (Some(mut from), Some(mut to)) = (from, to) {
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    }
}

pub async fn attach(agent: &Arc<Agent>, path: &[&str], request: Request<Incoming>) -> Answer {
    let found = match find(agent, path) {
        Ok(found) => found,
        Err(missing) => return missing.answer(),
    };
    let wanted = Wanted {
        tty: found.has_tty,
        ..wanted(request.uri().query())
    };
    let wanted = Wanted {
        stderr: wanted.stderr && !wanted.tty,
        ..wanted
    };
    let agent = agent.clone();
    upgrade(
        request,
        Purpose::RemoteCommand,
        move |io, protocol| async move {
            let session = streams::exec::serve(io, &protocol, wanted).await?;
            run_attach(&agent, &found, wanted, session).await;
            Ok(())
        },
    )
}

async fn run_attach(agent: &Agent, found: &Found, wanted: Wanted, mut session: Session) {
    let attached = found
        .sandbox
        .attach(&found.id, wanted.stdin, wanted.stdout, wanted.stderr)
        .await;
    let attached = match attached {
        Ok(attached) => attached,
        Err(e) => {
            let why = format!("error attaching to container: {e}");
            return session.finish(Outcome::Failed(why)).await;
        }
    };
    let (stdin, stdout, stderr) = (attached.stdin, attached.stdout, attached.stderr);
    let mut pumps = Pumps::start(&mut session, stdin, stdout, stderr);
    loop {
        tokio::select! {
            _ = &mut pumps.output, if wanted.stdout || wanted.stderr => break,
            Some(size) = session.resize.recv() => {
                if let Err(e) = found.sandbox.resize(&found.id, size.width, size.height).await {
                    tracing::debug!("resize a terminal: {e}");
                }
            }
            () = session.gone.cancelled() => return,
            () = agent.shutdown.cancelled() => break,
        }
    }
    // Of a container that still runs, the pumps hold what `finish` waits for.
    drop(pumps);
    session.status.finish(Outcome::Exited(0)).await;
}

/// `run`: a command without streams, its output as the answer.
pub async fn run(agent: &Arc<Agent>, path: &[&str], request: &Request<Incoming>) -> Answer {
    let found = match find(agent, path) {
        Ok(found) => found,
        Err(missing) => return missing.answer(),
    };
    let command = query::value(request.uri().query(), "cmd").unwrap_or_default();
    let args: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    match output(&found, args).await {
        Ok(output) => text(StatusCode::OK, output),
        Err(e) => text(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

async fn output(found: &Found, args: Vec<String>) -> runtime::Result<String> {
    let mut running = found.sandbox.exec(&found.id, Exec::new(args)).await?;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
    tokio::join!(
        pump_output(stdout, Some(&mut output)),
        pump_output(stderr, Some(&mut errors))
    );
    running.wait().await?;
    output.extend(errors);
    Ok(String::from_utf8_lossy(&output).into_owned())
}

pub async fn port_forward(agent: &Arc<Agent>, path: &[&str], request: Request<Incoming>) -> Answer {
    let (namespace, pod, uid) = match path {
        [namespace, pod] => (namespace, pod, None),
        [namespace, pod, uid] => (namespace, pod, Some(*uid)),
        _ => return text(StatusCode::NOT_FOUND, "404 page not found"),
    };
    let view = match view(agent, namespace, pod, uid) {
        Ok(view) => view,
        Err(missing) => return missing.answer(),
    };
    let Some(sandbox) = view.sandbox.clone() else {
        return text(
            StatusCode::BAD_REQUEST,
            "unable to forward port because pod is not running",
        );
    };
    let values = query::values(request.uri().query(), "port");
    let ports: Vec<u16> = values
        .iter()
        .chain(&query::values(request.uri().query(), "ports"))
        .flat_map(|list| list.split(','))
        .filter_map(|port| port.parse().ok())
        .collect();
    upgrade(
        request,
        Purpose::PortForward,
        move |io, protocol| async move {
            let forwards = streams::port_forward::serve(io, &protocol, &ports).await?;
            forward::run(forwards, sandbox.netns()).await;
            Ok(())
        },
    )
}

/// Answers 101, then runs `serve` over the raw connection.
fn upgrade<F, Fut>(mut request: Request<Incoming>, purpose: Purpose, serve: F) -> Answer
where
    F: FnOnce(TokioIo<hyper::upgrade::Upgraded>, Protocol) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), streams::Error>> + Send,
{
    let protocol = match negotiate(request.headers(), purpose) {
        Ok(protocol) => protocol,
        Err(refusal) => return text(refusal.status, refusal.message),
    };
    let response: Response<()> = protocol.response();
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let io = match upgraded.await {
            Ok(io) => TokioIo::new(io),
            Err(e) => return tracing::debug!("upgrade a connection: {e}"),
        };
        if let Err(e) = serve(io, protocol).await {
            tracing::debug!("a stream ended: {e}");
        }
    });
    response.map(|()| Empty::new().map_err(|never| match never {}).boxed())
}

#[cfg(test)]
mod tests;
