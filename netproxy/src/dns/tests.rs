use std::net::UdpSocket;

use hickory_proto::op::{Edns, Query};

use super::*;
use crate::cluster::{Endpoint, ObjectName, Readiness, Service, Slice, Target, TrafficPolicy};

fn resolver(upstream: Option<&str>, dir: &std::path::Path) -> Resolver {
    let path = dir.join("resolv.conf");
    if let Some(upstream) = upstream {
        std::fs::write(&path, format!("nameserver {upstream}\n")).unwrap();
    }
    Resolver {
        zone: Zone::new("cluster.local").unwrap(),
        state: State::new(),
        upstream: Upstream::new(path, "10.96.0.10:53".parse().unwrap()),
        turn: std::sync::atomic::AtomicUsize::new(0),
    }
}

fn put(state: &State, name: &str, target: Target, endpoints: u16) {
    let service = Service {
        target,
        ports: Vec::new(),
        balanced_at: Vec::new(),
        affinity: None,
        publishes_not_ready: false,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
    };
    state.put_service(ObjectName::new("default", name), service);
    let endpoint = |n: u16| Endpoint {
        ip: [10, 244, n.to_be_bytes()[0], n.to_be_bytes()[1]].into(),
        readiness: Readiness::Ready,
        node: None,
        hostname: None,
    };
    let endpoints = (1..=endpoints).map(endpoint).collect();
    let slice = Slice {
        service: name.into(),
        ports: Vec::new(),
        endpoints,
    };
    state.put_slice(ObjectName::new("default", &format!("{name}-1")), slice);
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    question
}

fn at_once(resolver: &Resolver, question: &Message, transport: Transport) -> Message {
    match resolver.at_once(&question.to_vec().unwrap(), transport) {
        Verdict::Answer(answer) => Message::from_vec(&answer).unwrap(),
        _ => panic!("not answered at once"),
    }
}

#[test]
fn answer_carries_the_questions_id_and_flags() {
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(None, dir.path());
    put(
        &resolver.state,
        "web",
        Target::ClusterIps(vec![[10, 96, 0, 7].into()]),
        0,
    );
    let asked = question("web.default.svc.cluster.local.", RecordType::A);
    let answer = at_once(&resolver, &asked, Transport::Udp);
    assert_eq!(answer.metadata.id, asked.metadata.id);
    assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
    assert_eq!(answer.queries, asked.queries);
    assert_eq!(answer.answers.len(), 1);
}

#[test]
fn negative_answer_says_how_long_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(None, dir.path());
    let asked = question("gone.default.svc.cluster.local.", RecordType::A);
    let answer = at_once(&resolver, &asked, Transport::Udp);
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(answer.authorities.len(), 1);
    assert_eq!(answer.authorities[0].record_type(), RecordType::SOA);
}

#[test]
fn many_endpoints_are_cut_over_udp_and_whole_over_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(None, dir.path());
    put(&resolver.state, "db", Target::Headless, 300);
    let mut asked = question("db.default.svc.cluster.local.", RecordType::A);
    let plain = at_once(&resolver, &asked, Transport::Udp);
    assert!(plain.metadata.truncation);
    assert!(plain.to_vec().unwrap().len() <= 512 && !plain.answers.is_empty());
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    asked.set_edns(edns);
    let larger = at_once(&resolver, &asked, Transport::Udp);
    assert!(larger.metadata.truncation && larger.answers.len() > plain.answers.len());
    assert!(larger.edns.is_some());
    let whole = at_once(&resolver, &asked, Transport::Tcp);
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 300);
}

#[test]
fn addresses_take_turns_in_coming_first() {
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(None, dir.path());
    put(&resolver.state, "db", Target::Headless, 2);
    let asked = question("db.default.svc.cluster.local.", RecordType::A);
    let first = at_once(&resolver, &asked, Transport::Udp).answers[0].clone();
    let second = at_once(&resolver, &asked, Transport::Udp).answers[0].clone();
    assert_ne!(first, second);
}

#[test]
fn alias_to_itself_ends_in_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(None, dir.path());
    let own_name = "loop.default.svc.cluster.local";
    put(
        &resolver.state,
        "loop",
        Target::ExternalName(own_name.to_owned()),
        0,
    );
    let answer = at_once(
        &resolver,
        &question(own_name, RecordType::A),
        Transport::Udp,
    );
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn what_is_no_question_gets_an_error_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(None, dir.path());
    assert!(matches!(
        resolver.at_once(b"short", Transport::Udp),
        Verdict::Ignore
    ));
    let garbage = [0xff, 0xee, 0x01, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1];
    let Verdict::Answer(answer) = resolver.at_once(&garbage, Transport::Udp) else {
        panic!("no answer");
    };
    assert_eq!(&answer[..2], [0xff, 0xee]);
    let mut asked = question("web.default.svc.cluster.local.", RecordType::A);
    asked.metadata.op_code = OpCode::Status;
    let answer = at_once(&resolver, &asked, Transport::Udp);
    assert_eq!(answer.metadata.response_code, ResponseCode::NotImp);
    // An answer is never answered: two servers could go on for ever.
    asked.metadata.message_type = MessageType::Response;
    let packet = asked.to_vec().unwrap();
    assert!(matches!(
        resolver.at_once(&packet, Transport::Udp),
        Verdict::Ignore
    ));
}

/// Every cut and every flipped bit of a question: none may panic.
#[test]
fn damaged_questions_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(None, dir.path());
    let mut asked = question("web.default.svc.cluster.local.", RecordType::A);
    asked.set_edns(Edns::new());
    let packet = asked.to_vec().unwrap();
    for length in 0..packet.len() {
        let _ = resolver.at_once(&packet[..length], Transport::Udp);
    }
    for bit in 0..packet.len() * 8 {
        let mut damaged = packet.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let _ = resolver.at_once(&damaged, Transport::Tcp);
    }
}

async fn outside(resolver: &Resolver, asked: &Message) -> Message {
    let packet = asked.to_vec().unwrap();
    let verdict = resolver.at_once(&packet, Transport::Udp);
    let answer = resolver
        .later(&packet, Transport::Udp, verdict)
        .await
        .unwrap();
    Message::from_vec(&answer).unwrap()
}

#[tokio::test]
async fn outside_name_fails_where_the_node_has_no_resolver() {
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(None, dir.path());
    let asked = question("example.com.", RecordType::A);
    let answer = outside(&resolver, &asked).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(answer.metadata.id, asked.metadata.id);
    assert_eq!(answer.queries, asked.queries);
}

/// A resolver on an address of its own in 127/8, on port 53 as the file can
/// name no other; it answers every question with one address, once.
fn fake_resolver(ip: &str) -> Option<std::thread::JoinHandle<()>> {
    let socket = match UdpSocket::bind((ip, 53)) {
        Ok(socket) => socket,
        Err(error) => {
            println!("skipped: cannot listen on port 53 of {ip}: {error}");
            return None;
        }
    };
    Some(std::thread::spawn(move || {
        let mut packet = [0; 512];
        let (length, from) = socket.recv_from(&mut packet).unwrap();
        let question = Message::from_vec(&packet[..length]).unwrap();
        let name = question.queries[0].name().clone();
        let mut answer = reply::begin(&question);
        let ip = RData::A(hickory_proto::rr::rdata::A([192, 0, 2, 55].into()));
        answer.add_answer(Record::from_rdata(name, 60, ip));
        let bytes = answer.to_vec().unwrap();
        // First an answer to a question that was not asked.
        let mut forged = bytes.clone();
        forged[1] ^= 1;
        socket.send_to(&forged, from).unwrap();
        socket.send_to(&bytes, from).unwrap();
    }))
}

#[tokio::test]
async fn outside_name_is_asked_once_and_kept() {
    let Some(server) = fake_resolver("127.53.0.1") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(Some("127.53.0.1"), dir.path());
    for _ in 0..2 {
        let answer = outside(&resolver, &question("example.com.", RecordType::A)).await;
        assert_eq!(answer.answers[0].data.to_string(), "192.0.2.55");
    }
    server.join().unwrap();
}

#[tokio::test]
async fn external_name_is_followed_outside() {
    let Some(server) = fake_resolver("127.53.0.2") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let resolver = resolver(Some("127.53.0.2"), dir.path());
    put(
        &resolver.state,
        "out",
        Target::ExternalName("example.com".to_owned()),
        0,
    );
    let asked = question("out.default.svc.cluster.local.", RecordType::A);
    let answer = outside(&resolver, &asked).await;
    let data: Vec<String> = answer.answers.iter().map(|r| r.data.to_string()).collect();
    assert_eq!(data, ["example.com.", "192.0.2.55"]);
    server.join().unwrap();
}
