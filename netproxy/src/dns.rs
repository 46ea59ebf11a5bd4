//! Cluster DNS: Services and pods from memory, all other names from the
//! node's resolver.
//!
//! Served on the address of the `kube-dns` Service, which is local to every
//! node, so a pod is always answered by its own node. That Service object is
//! made by whoever starts the cluster; the proxy leaves its port alone.

mod cache;
mod reply;
mod resolv_conf;
mod server;
mod upstream;
mod zone;

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use tokio_util::sync::CancellationToken;

use crate::cluster::State;
use crate::{Config, Result, metrics};
use reply::Transport;
use upstream::Upstream;
use zone::{Answer, Zone};

/// How long an address that something else holds is left before it is tried
/// again.
const RETRY: Duration = Duration::from_secs(30);

/// Aliases followed before a question is given up.
const MAX_ALIASES: usize = 8;

/// Serves until `shutdown`. [`crate::route_services`] comes first, if the
/// address is a Service's.
///
/// # Errors
/// Where the cluster's domain is no DNS name. An address held by another
/// program is logged and tried again.
pub async fn run(config: &Config, state: Arc<State>, shutdown: CancellationToken) -> Result<()> {
    let resolver = Arc::new(Resolver {
        zone: Zone::new(&config.cluster_domain)?,
        state,
        upstream: Upstream::new(config.resolv_conf.clone(), config.dns_listen),
        turn: std::sync::atomic::AtomicUsize::new(0),
    });
    let serve = async {
        let mut is_first = true;
        loop {
            match server::Sockets::bind(config.dns_listen) {
                Ok(sockets) => sockets.serve(resolver.clone()).await,
                Err(error) if std::mem::take(&mut is_first) => tracing::warn!(
                    %error, cause = ?std::error::Error::source(&error).map(ToString::to_string),
                    "cluster DNS is not served; free port 53 of that address for it"
                ),
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.cancelled() => {}
    }
    Ok(())
}

/// Answers questions, whatever they came by.
struct Resolver {
    zone: Zone,
    state: Arc<State>,
    upstream: Upstream,
    /// Which of several addresses comes first: each in turn.
    turn: std::sync::atomic::AtomicUsize,
}

/// What can be said at once about a question.
enum Verdict {
    Answer(Vec<u8>),
    /// It must be asked outside, as it is.
    AskOutside,
    /// The reply so far ends in a name outside.
    Follow {
        reply: Box<Message>,
        target: Name,
    },
    /// Not even a reply is due.
    Ignore,
}

impl Resolver {
    /// The part that never waits.
    fn at_once(&self, packet: &[u8], transport: Transport) -> Verdict {
        let Ok(question) = Message::from_vec(packet) else {
            return reply::format_error(packet).map_or(Verdict::Ignore, Verdict::Answer);
        };
        if question.metadata.message_type == MessageType::Response {
            return Verdict::Ignore;
        }
        let mut reply = reply::begin(&question);
        let refusal = refusal(&question);
        let [query] = question.queries.as_slice() else {
            reply.metadata.response_code = refusal.unwrap_or(ResponseCode::FormErr);
            return Verdict::Answer(reply::encode(reply, &question, transport));
        };
        metrics::asked(transport.as_str(), query.query_type().into());
        if let Some(refusal) = refusal {
            reply.metadata.response_code = refusal;
            return Verdict::Answer(reply::encode(reply, &question, transport));
        }
        match self.fill(&mut reply, query.name(), query.query_type()) {
            Filled::Whole => Verdict::Answer(reply::encode(reply, &question, transport)),
            Filled::Outside(target) if reply.answers.is_empty() => {
                debug_assert_eq!(&target, query.name());
                Verdict::AskOutside
            }
            Filled::Outside(target) => Verdict::Follow {
                reply: Box::new(reply),
                target,
            },
        }
    }

    /// Answers from the zone, following aliases in it.
    fn fill(&self, reply: &mut Message, name: &Name, kind: RecordType) -> Filled {
        let index = self.state.read();
        let mut name = name.clone();
        reply.metadata.authoritative = true;
        for _ in 0..MAX_ALIASES {
            match self.zone.answer(&index, &name, kind) {
                Answer::Records {
                    mut answers,
                    additionals,
                } => {
                    let turn = self.turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let length = answers.len();
                    answers.rotate_left(turn % length.max(1));
                    reply.answers.extend(answers);
                    reply.additionals.extend(additionals);
                    return Filled::Whole;
                }
                Answer::Alias(target) => {
                    reply.answers.push(alias(&name, &target));
                    if kind == RecordType::CNAME {
                        return Filled::Whole;
                    }
                    name = target;
                }
                Answer::NoData => {
                    reply.authorities.push(self.zone.soa());
                    return Filled::Whole;
                }
                Answer::NoSuchName => {
                    reply.metadata.response_code = ResponseCode::NXDomain;
                    reply.authorities.push(self.zone.soa());
                    return Filled::Whole;
                }
                Answer::NotOurs => {
                    reply.metadata.authoritative = !reply.answers.is_empty();
                    return Filled::Outside(name);
                }
            }
        }
        reply.metadata.response_code = ResponseCode::ServFail;
        Filled::Whole
    }

    /// The rest, which asks the node's resolver.
    async fn later(
        &self,
        packet: &[u8],
        transport: Transport,
        verdict: Verdict,
    ) -> Option<Vec<u8>> {
        match verdict {
            Verdict::Ignore => None,
            Verdict::Answer(answer) => Some(answer),
            Verdict::AskOutside => match self.upstream.forward(packet, transport).await {
                Some(answer) => Some(answer),
                None => reply::server_failure(packet),
            },
            Verdict::Follow { mut reply, target } => {
                let question = Message::from_vec(packet).ok()?;
                let kind = question.queries.first()?.query_type();
                match self.upstream.look_up(&target, kind).await {
                    Some(found) => {
                        reply.metadata.response_code = found.metadata.response_code;
                        reply.answers.extend(found.answers);
                        reply.authorities.extend(found.authorities);
                    }
                    None => reply.metadata.response_code = ResponseCode::ServFail,
                }
                Some(reply::encode(*reply, &question, transport))
            }
        }
    }
}

/// How far the zone could answer.
enum Filled {
    Whole,
    /// This name is to be asked outside.
    Outside(Name),
}

/// What is not answered whatever the name.
fn refusal(question: &Message) -> Option<ResponseCode> {
    if question.metadata.op_code != OpCode::Query {
        return Some(ResponseCode::NotImp);
    }
    if question
        .edns
        .as_ref()
        .is_some_and(|edns| edns.version() > 0)
    {
        return Some(ResponseCode::BADVERS);
    }
    let query = question.queries.first()?;
    let is_transfer = matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR);
    (is_transfer || query.query_class() != DNSClass::IN).then_some(ResponseCode::Refused)
}

fn alias(name: &Name, target: &Name) -> Record {
    Record::from_rdata(name.clone(), zone::TTL, RData::CNAME(CNAME(target.clone())))
}

#[cfg(test)]
mod tests;
