//! Real kubectl, with each of its protocols, against a server of only what it asks for.

use std::{
    convert::Infallible,
    net::SocketAddr,
    process::{Output, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use streams::{
    Purpose,
    exec::{self, Outcome, Wanted},
    negotiate, port_forward,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};

const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","namespace":"default"},
    "spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}]}]},"status":{"phase":"Running"}}"#;

/// An API server whose one pod is called p, echoes its input, and exits with 3.
async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .with_upgrades()
                    .await;
            });
        }
    });
    address
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let purpose = match path.rsplit('/').next() {
        Some("exec") => Purpose::RemoteCommand,
        Some("portforward") => Purpose::PortForward,
        _ => return Ok(rest(&path)),
    };
    let protocol = match negotiate(request.headers(), purpose) {
        Ok(protocol) => protocol,
        Err(refusal) => {
            let mut response = Response::new(Full::from(refusal.message));
            *response.status_mut() = refusal.status;
            return Ok(response);
        }
    };
    let response = protocol.response().map(|()| Full::default());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let io = TokioIo::new(upgrade.await.unwrap());
        match purpose {
            Purpose::RemoteCommand => {
                echo(exec::serve(io, &protocol, wanted(&query)).await.unwrap()).await
            }
            Purpose::PortForward => {
                greet(port_forward::serve(io, &protocol, &[]).await.unwrap()).await
            }
        }
    });
    Ok(response)
}

fn rest(path: &str) -> Response<Full<Bytes>> {
    let (status, body) = match path {
        "/api/v1/namespaces/default/pods/p" => (StatusCode::OK, POD),
        "/api" => (
            StatusCode::OK,
            r#"{"kind":"APIVersions","versions":["v1"]}"#,
        ),
        "/apis" => (
            StatusCode::OK,
            r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[]}"#,
        ),
        "/api/v1" => (
            StatusCode::OK,
            r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"pods","singularName":"pod",
                "namespaced":true,"kind":"Pod","verbs":["get"],"shortNames":["po"]}]}"#,
        ),
        _ => (StatusCode::NOT_FOUND, "{}"),
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    response.body(Full::from(body)).unwrap()
}

fn wanted(query: &str) -> Wanted {
    let has = |name: &str| query.split('&').any(|pair| pair == format!("{name}=true"));
    Wanted {
        stdin: has("stdin"),
        stdout: has("stdout"),
        stderr: has("stderr"),
        tty: has("tty"),
    }
}

async fn echo(mut session: exec::Session) {
    let mut output = session.stdout.take().unwrap();
    if let Some(mut input) = session.stdin.take() {
        tokio::io::copy(&mut input, &mut output).await.unwrap();
    }
    output.write_all(b"the end").await.unwrap();
    session
        .stderr
        .take()
        .unwrap()
        .write_all(b"a warning")
        .await
        .unwrap();
    drop(output);
    session.status.finish(Outcome::Exited(3)).await;
}

async fn greet(mut forwards: port_forward::Forwards) {
    while let Some(mut forward) = forwards.next().await {
        tokio::spawn(async move {
            let text = format!("port {} says: ", forward.port);
            forward
                .data
                .writer
                .write_all(text.as_bytes())
                .await
                .unwrap();
            tokio::io::copy(&mut forward.data.reader, &mut forward.data.writer)
                .await
                .unwrap();
        });
    }
}

fn kubectl(server: SocketAddr, websockets: bool, args: &[&str]) -> Option<Command> {
    let paths = std::env::var("PATH").unwrap_or_default();
    if !paths
        .split(':')
        .any(|dir| std::path::Path::new(dir).join("kubectl").exists())
    {
        eprintln!("SKIPPED: kubectl is not installed");
        return None;
    }
    let mut command = Command::new("kubectl");
    let home = std::env::temp_dir().join("skiff-streams-test");
    command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets.to_string());
    command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets.to_string());
    command
        .env("HOME", home)
        .env("KUBECONFIG", "/dev/null")
        .env_remove("HTTP_PROXY");
    command
        .args(["--server", &format!("http://{server}")])
        .args(args)
        .kill_on_drop(true);
    Some(command)
}

async fn run(mut command: Command, input: Vec<u8>) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = tokio::spawn(async move {
        let _ = stdin.write_all(&input).await;
    });
    let output = timeout(Duration::from_secs(60), child.wait_with_output())
        .await
        .expect("kubectl ends")
        .unwrap();
    feeding.await.unwrap();
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_exec_gets_output_and_exit_code() {
    let server = start().await;
    for websockets in [true, false] {
        let Some(command) = kubectl(server, websockets, &["exec", "p", "--", "x"]) else {
            return;
        };
        let output = run(command, Vec::new()).await;
        let text = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert_eq!(text.0, "the end", "websockets {websockets}: {}", text.1);
        assert!(text.1.contains("a warning"), "{}", text.1);
        assert_eq!(
            output.status.code(),
            Some(3),
            "websockets {websockets}: {}",
            text.1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_exec_sends_megabytes_of_input_and_gets_them_back() {
    let server = start().await;
    for websockets in [true, false] {
        let Some(command) = kubectl(server, websockets, &["exec", "-i", "p", "--", "x"]) else {
            return;
        };
        let input = b"0123456789abcdef".repeat(200_000);
        let output = run(command, input.clone()).await;
        let expected = [input.as_slice(), b"the end"].concat();
        assert!(
            output.stdout == expected,
            "websockets {websockets}: {} bytes",
            output.stdout.len()
        );
        assert_eq!(output.status.code(), Some(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_port_forward_carries_connections() {
    let server = start().await;
    for websockets in [true, false] {
        let Some(mut command) = kubectl(server, websockets, &["port-forward", "pod/p", ":80"])
        else {
            return;
        };
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(Duration::from_secs(60), lines.next_line())
            .await
            .unwrap()
            .unwrap();
        let Some(line) = line else {
            let mut text = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut text)
                .await
                .unwrap();
            panic!("websockets {websockets}: {text}");
        };
        let port: u16 = line
            .split([':', ' '])
            .find_map(|word| word.parse().ok())
            .unwrap();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(&[b'x'; 300_000]).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut back = String::new();
            let reading = stream.read_to_string(&mut back);
            timeout(Duration::from_secs(60), reading)
                .await
                .expect("the connection ends")
                .unwrap();
            assert!(
                back.starts_with("port 80 says: x") && back.len() == 300_014,
                "websockets {websockets}"
            );
        }
        child.kill().await.unwrap();
    }
}
