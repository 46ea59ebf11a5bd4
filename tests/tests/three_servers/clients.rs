//! A client that knows all servers: it asks one at random, and leaves one that
//! does not answer alone for a while.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Error};

use crate::dice::Dice;

/// How long a request may take; servers themselves give up after ten seconds.
const REQUEST: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(2);
/// How long one that failed is not asked, if another can be.
const REST: Duration = Duration::from_secs(3);

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The server said so, with this code.
    Told(u16, String),
    /// Nobody knows what came of the request.
    Lost,
}

#[derive(Clone)]
pub struct Clients {
    servers: Rc<Vec<Client>>,
    failed: Rc<RefCell<Vec<Option<Instant>>>>,
    dice: Rc<RefCell<Dice>>,
    pub pauses: Rc<Pauses>,
}

/// How long this client did without an answer, at worst.
pub struct Pauses {
    last: Cell<Instant>,
    longest: Cell<Duration>,
    answers: Cell<u64>,
}

impl Clients {
    pub async fn new(kubeconfig: &Path, urls: &[String], dice: Dice) -> Self {
        let mut servers = Vec::new();
        for url in urls {
            servers.push(client(kubeconfig, url).await);
        }
        Self {
            failed: Rc::new(RefCell::new(vec![None; servers.len()])),
            servers: Rc::new(servers),
            dice: Rc::new(RefCell::new(dice)),
            pauses: Rc::new(Pauses::new()),
        }
    }

    /// Another one, who asks other servers at other times.
    pub fn another(&self, seed: u64) -> Self {
        Self {
            servers: self.servers.clone(),
            failed: Rc::new(RefCell::new(vec![None; self.servers.len()])),
            dice: Rc::new(RefCell::new(Dice::new(seed))),
            pauses: Rc::new(Pauses::new()),
        }
    }

    pub fn dice(&self) -> std::cell::RefMut<'_, Dice> {
        self.dice.borrow_mut()
    }

    pub fn server(&self, at: usize) -> Client {
        self.servers[at % self.servers.len()].clone()
    }

    /// Asks one server once.
    pub async fn ask<T>(
        &self,
        request: impl AsyncFnOnce(Client) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let at = self.pick();
        let answer = tokio::time::timeout(REQUEST, request(self.server(at))).await;
        let failure = match answer {
            Ok(Ok(answer)) => {
                self.pauses.answered();
                return Ok(answer);
            }
            Ok(Err(Error::Api(status))) => Failure::Told(status.code, status.message.clone()),
            Ok(Err(_)) | Err(_) => Failure::Lost,
        };
        match failure {
            Failure::Told(code, _) if code < 500 => self.pauses.answered(),
            _ => self.failed.borrow_mut()[at] = Some(Instant::now()),
        }
        Err(failure)
    }

    fn pick(&self) -> usize {
        let failed = self.failed.borrow();
        let is_fit = |at: &usize| failed[*at].is_none_or(|since| since.elapsed() > REST);
        let fit: Vec<usize> = (0..failed.len()).filter(is_fit).collect();
        let mut dice = self.dice.borrow_mut();
        match fit.as_slice() {
            [] => dice.below(failed.len()),
            fit => fit[dice.below(fit.len())],
        }
    }
}

impl Failure {
    /// The server says that it did nothing: it refused, or reached no etcd.
    pub fn refusal(&self) -> Option<u16> {
        match self {
            Self::Told(code, _) if *code < 500 || *code == 503 => Some(*code),
            _ => None,
        }
    }
}

impl Pauses {
    fn new() -> Self {
        Self {
            last: Cell::new(Instant::now()),
            longest: Cell::new(Duration::ZERO),
            answers: Cell::new(0),
        }
    }

    fn answered(&self) {
        let now = Instant::now();
        let pause = now - self.last.replace(now);
        self.longest.set(self.longest.get().max(pause));
        self.answers.set(self.answers.get() + 1);
    }

    pub fn longest(&self) -> Duration {
        self.longest.get()
    }

    pub fn answers(&self) -> u64 {
        self.answers.get()
    }
}

async fn client(kubeconfig: &Path, url: &str) -> Client {
    let mut file = Kubeconfig::read_from(kubeconfig).expect("read the kubeconfig");
    for cluster in file.clusters.iter_mut().filter_map(|c| c.cluster.as_mut()) {
        cluster.server = Some(url.to_owned());
    }
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    let mut config = config.expect("understand the kubeconfig");
    config.connect_timeout = Some(CONNECT);
    // It would send a write again whose answer says that it may have been made.
    config.default_retry = false;
    Client::try_from(config).expect("make a client")
}
