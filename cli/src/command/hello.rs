use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use http::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

/// `skiff hello`: a small web server to try a cluster with.
///
/// skiff is one static file, so an image that holds nothing else can run it:
/// a demo needs no registry and no network.
#[derive(Args)]
pub struct Hello {
    /// Port to answer HTTP on
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

impl Hello {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let listen = SocketAddr::from(([0, 0, 0, 0], self.port));
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("listen on {listen}"))?;
        let name = nix::unistd::gethostname().context("read the host's name")?;
        let text = Bytes::from(format!("hello from {}\n", name.to_string_lossy()));
        println!("answering on {listen}");
        let shutdown = crate::shutdown::on_signal()?;
        while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
            let (stream, _) = accepted.context("accept a connection")?;
            tokio::spawn(answer(stream, text.clone()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn answer(stream: TcpStream, text: Bytes) {
    let hello = service_fn(move |_| {
        let answer = Response::new(Full::new(text.clone()));
        async move { Ok::<_, Infallible>(answer) }
    });
    // A client that breaks off is its own affair.
    let _ = hyper::server::conn::http1::Builder::new()
        // With a timer, hyper drops a client that is silent for half a minute.
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), hello)
        .await;
}
