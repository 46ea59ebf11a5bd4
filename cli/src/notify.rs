//! What systemd is told: that skiff is ready, what it does, that it lives.
//!
//! Each of these is nothing where no service manager listens ($NOTIFY_SOCKET).

use std::time::Duration;

use sd_notify::NotifyState;

/// Ready to serve; from here on systemd watches ([`Watch`]).
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping; containers go on running"),
    ]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told how skiff is");
    }
}

/// Pings systemd's watchdog for as long as this process does its work, and this value is kept.
///
/// A ping proves that tasks are run, that threads for blocking work are to be
/// had, and what `is_alive` asks. Without one, systemd kills this process and
/// starts it again, which no container notices.
pub struct Watch(Option<tokio::task::JoinHandle<()>>);

impl Watch {
    pub fn start<F>(is_alive: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        // A period of nothing would be a busy loop.
        let patience = sd_notify::watchdog_enabled().filter(|wait| !wait.is_zero());
        Self(patience.map(|patience| tokio::spawn(ping(patience / 3, is_alive))))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

async fn ping<F: Future<Output = bool> + Send>(third: Duration, is_alive: impl Fn() -> F + Send) {
    loop {
        match tokio::time::timeout(third, works(is_alive())).await {
            Ok(true) => tell(&[NotifyState::Watchdog]),
            Ok(false) => {
                tracing::error!("skiff does not answer itself; the watchdog is not pinged")
            }
            Err(_) => tracing::error!("skiff answers itself too late; the watchdog is not pinged"),
        }
        tokio::time::sleep(third).await;
    }
}

async fn works(is_alive: impl Future<Output = bool>) -> bool {
    let task = tokio::spawn(async { tokio::task::spawn_blocking(|| ()).await });
    matches!(task.await, Ok(Ok(()))) && is_alive.await
}
