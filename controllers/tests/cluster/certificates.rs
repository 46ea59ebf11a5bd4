use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use crate::world::{World, ask};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const NODE_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";

const WAITS: &str = "skiff.dev/waits-for-approval";

/// What a machine with a bootstrap token is.
fn machine(world: &World) -> kube::Client {
    let groups = ["system:bootstrappers", "system:authenticated"].map(str::to_owned);
    world.client_as(apiserver::User::new("system:bootstrap:abcdef", groups))
}

/// Another machine's request for a certificate of the node, each with its key.
fn named(name: &str, node: &str) -> Value {
    let common_name = format!("system:node:{node}");
    let mut request = request(NODE_CLIENT, &common_name, "system:nodes");
    request["metadata"]["name"] = name.into();
    request
}

fn request(signer: &str, common_name: &str, organization: &str) -> Value {
    let asked = pki::Request {
        common_name: common_name.into(),
        organizations: vec![organization.into()],
        ..pki::Request::default()
    };
    let (pem, _) = pki::make_csr(&asked).unwrap();
    json!({ "metadata": { "name": "r" }, "spec": { "request": STANDARD.encode(pem),
        "signerName": signer, "usages": ["digital signature", "client auth"] } })
}

impl World {
    async fn certificate(&self) -> String {
        self.certificate_of("r").await
    }

    /// Waits until the request is told why it waits for somebody.
    async fn waits(&self, name: &str) {
        let told = self.until("the reason to wait", async || {
            let request = self.find(&format!("{REQUESTS}/{name}")).await?;
            let why = request["metadata"]["annotations"][WAITS].as_str();
            why.map(|why| (why.to_owned(), request["status"].clone()))
        });
        let (why, status) = told.await;
        assert!(why.contains("kubectl delete node"), "{why}");
        assert!(status["certificate"].is_null(), "{status}");
    }

    async fn certificate_of(&self, name: &str) -> String {
        let found = self.until("a certificate", async || {
            let request = self.find(&format!("{REQUESTS}/{name}")).await?;
            request["status"]["certificate"].as_str().map(str::to_owned)
        });
        String::from_utf8(STANDARD.decode(found.await).unwrap()).unwrap()
    }
}

fn subject(pem: &str) -> String {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    block.parse_x509().unwrap().subject().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_with_a_bootstrap_token_gets_the_certificate_of_a_node() {
    let world = World::start().await;
    let groups = ["system:bootstrappers", "system:authenticated"].map(str::to_owned);
    let machine = world.client_as(apiserver::User::new("system:bootstrap:abcdef", groups));
    let body = request(NODE_CLIENT, "system:node:n9", "system:nodes");
    let made = ask(&machine, Method::POST, REQUESTS, body).await;
    assert_eq!(
        made["spec"]["username"], "system:bootstrap:abcdef",
        "{made}"
    );
    assert_eq!(
        subject(&world.certificate().await),
        "O=system:nodes, CN=system:node:n9"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_of_a_person_waits_for_approval() {
    let world = World::start().await;
    world
        .create(REQUESTS, request(CLIENT, "jane", "devs"))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let made = world.find(&format!("{REQUESTS}/r")).await.unwrap();
    assert!(made["status"]["certificate"].is_null());
    let approval = json!({ "status": { "conditions": [
        { "type": "Approved", "status": "True", "reason": "R", "message": "m" }] } });
    world
        .patch(&format!("{REQUESTS}/r/approval"), approval)
        .await;
    assert_eq!(subject(&world.certificate().await), "O=devs, CN=jane");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_certificate_for_another_group_is_not_approved_and_fails_when_it_is() {
    let world = World::start().await;
    world
        .create(
            REQUESTS,
            request(NODE_CLIENT, "system:node:n9", "system:others"),
        )
        .await;
    let approval = json!({ "status": { "conditions": [
        { "type": "Approved", "status": "True", "reason": "R", "message": "m" }] } });
    world
        .patch(&format!("{REQUESTS}/r/approval"), approval)
        .await;
    let failed = world
        .until("the failure", async || {
            let request = world.find(&format!("{REQUESTS}/r")).await?;
            let conditions = request["status"]["conditions"].as_array()?.clone();
            conditions.into_iter().find(|c| c["type"] == "Failed")
        })
        .await;
    assert_eq!(failed["reason"], "SignerValidationFailure");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_bootstrap_token_is_removed_and_a_living_one_stays() {
    let world = World::start().await;
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let token = |id: &str, expiration: &str| {
        json!({ "metadata": { "name": format!("bootstrap-token-{id}") },
            "type": "bootstrap.kubernetes.io/token",
            "stringData": { "token-id": id, "token-secret": "0123456789abcdef", "expiration": expiration } })
    };
    world
        .create(secrets, token("living", "2999-01-01T00:00:00Z"))
        .await;
    world
        .create(secrets, token("ending", "2020-01-01T00:00:00Z"))
        .await;
    world
        .until_gone(&format!("{secrets}/bootstrap-token-ending"))
        .await;
    assert!(
        world
            .find(&format!("{secrets}/bootstrap-token-living"))
            .await
            .is_some()
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_gets_a_nodes_name_once_the_node_is_deleted() {
    let world = World::start().await;
    let machine = machine(&world);
    ask(&machine, Method::POST, REQUESTS, named("first", "n9")).await;
    world.certificate_of("first").await;
    ask(&machine, Method::POST, REQUESTS, named("second", "n9")).await;
    world.waits("second").await;

    let node = json!({ "metadata": { "name": "n9" } });
    world.create("/api/v1/nodes", node).await;
    world.delete("/api/v1/nodes/n9", "Background").await;
    assert_eq!(
        subject(&world.certificate_of("second").await),
        "O=system:nodes, CN=system:node:n9"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn name_of_a_node_without_a_noted_key_is_given_by_a_person_only() {
    let world = World::start().await;
    let node = json!({ "metadata": { "name": "n9" } });
    world.create("/api/v1/nodes", node).await;
    let machine = machine(&world);
    ask(&machine, Method::POST, REQUESTS, named("first", "n9")).await;
    world.waits("first").await;
    let approval = json!({ "status": { "conditions": [
        { "type": "Approved", "status": "True", "reason": "R", "message": "m" }] } });
    world
        .patch(&format!("{REQUESTS}/first/approval"), approval)
        .await;
    world.certificate_of("first").await;
    ask(&machine, Method::POST, REQUESTS, named("second", "n9")).await;
    world.waits("second").await;
    world.stop().await;
}
