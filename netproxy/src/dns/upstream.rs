//! Questions about names outside the cluster, put to the node's resolvers.
//!
//! A question goes out as it came, from a port of its own chosen by the
//! kernel and with an id of its own, and only an answer to that very question
//! is taken.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::cache::{Cache, lifetime};
use super::reply::Transport;
use super::resolv_conf::ResolvConf;

/// Questions under way at once; more are failed, as their askers try again.
const MAX_IN_FLIGHT: usize = 1024;

/// How long one resolver is waited for; askers wait five seconds.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

const LARGEST: usize = 65_535;
const ID_LEN: usize = 2;

pub struct Upstream {
    resolvers: ResolvConf,
    cache: Cache,
    in_flight: Semaphore,
}

impl Upstream {
    pub fn new(resolv_conf: PathBuf, own_address: SocketAddr) -> Self {
        Self {
            resolvers: ResolvConf::new(resolv_conf, own_address),
            cache: Cache::default(),
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
        }
    }

    /// The answer to a question as it came, with that question's id; `None`
    /// where no resolver gives one.
    pub async fn forward(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let (id, question) = packet.split_at_checked(ID_LEN)?;
        let key = key(question, transport);
        if let Some(kept) = self.cache.get(&key) {
            return Some([id, &kept[..]].concat());
        }
        let answer = self.ask(packet, transport).await?;
        let answer = &answer[ID_LEN..];
        if let Ok(message) = Message::from_vec(&[id, answer].concat()) {
            self.cache.put(&key, answer, lifetime(&message));
        }
        Some([id, answer].concat())
    }

    /// The records of a name, for an alias to it.
    pub async fn look_up(&self, name: &Name, kind: RecordType) -> Option<Message> {
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name.clone(), kind));
        let packet = question.to_vec().ok()?;
        let answer = Message::from_vec(&self.forward(&packet, Transport::Udp).await?).ok()?;
        if !answer.metadata.truncation {
            return Some(answer);
        }
        Message::from_vec(&self.forward(&packet, Transport::Tcp).await?).ok()
    }

    async fn ask(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let _permit = self.in_flight.try_acquire().ok()?;
        let resolvers = self.resolvers.servers();
        for resolver in resolvers.iter().cycle().take(ATTEMPTS.max(resolvers.len())) {
            if resolvers.is_empty() {
                break;
            }
            // The asker's id could be guessed by others; this one cannot.
            let mut question = packet.to_vec();
            let id = Message::query().metadata.id;
            question[..ID_LEN].copy_from_slice(&id.to_be_bytes());
            let exchange = async {
                match transport {
                    Transport::Udp => ask_by_udp(*resolver, &question).await,
                    Transport::Tcp => ask_by_tcp(*resolver, &question).await,
                }
            };
            match tokio::time::timeout(PATIENCE, exchange).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%resolver, %error, "the node's resolver failed"),
                Err(_) => tracing::debug!(%resolver, "the node's resolver did not answer"),
            }
        }
        None
    }
}

fn key(question: &[u8], transport: Transport) -> Vec<u8> {
    let transport = match transport {
        Transport::Udp => b"u",
        Transport::Tcp => b"t",
    };
    [transport, question].concat()
}

async fn ask_by_udp(resolver: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match resolver {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(question).await?;
    let mut answer = Vec::with_capacity(4096);
    loop {
        answer.clear();
        socket.recv_buf(&mut answer).await?;
        if is_answer(question, &answer) {
            return Ok(answer);
        }
    }
}

async fn ask_by_tcp(resolver: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream
        .write_all(&[&length.to_be_bytes(), question].concat())
        .await?;
    let length = usize::from(stream.read_u16().await?);
    debug_assert!(length <= LARGEST);
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    if is_answer(question, &answer) {
        return Ok(answer);
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Whether `answer` answers this question: same id, and the same question
/// asked back.
fn is_answer(question: &[u8], answer: &[u8]) -> bool {
    if question.get(..ID_LEN) != answer.get(..ID_LEN) {
        return false;
    }
    let (Ok(asked), Ok(answered)) = (Message::from_vec(question), Message::from_vec(answer)) else {
        return false;
    };
    asked.queries == answered.queries
}
