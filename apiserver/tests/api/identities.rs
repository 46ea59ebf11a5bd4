//! Users whom somebody else knows: a token webhook, an OpenID Connect provider,
//! a proxy in front.

use std::sync::{Arc, OnceLock};

use apiserver::{Access, FrontProxy, Issuer, TokenWebhook};
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{Cluster, ask_as};
use crate::extension::{Extension, answer_json, base64};
use crate::listen::over_tls;

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

fn authority(dir: &TempDir) -> pki::Authority {
    pki::Authority::load_or_create(&dir.path().join("others"), "others", "others").unwrap()
}

/// Who the server takes the bearer of a token for; None: nobody.
async fn bearer(cluster: &Cluster, token: &str) -> Option<Value> {
    who(&over_tls(cluster, json!({ "token": token })).await).await
}

async fn who(client: &Client) -> Option<Value> {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let answer = ask_as(client, Method::POST, WHO, &review).await;
    match answer["code"].as_u64() {
        None => Some(answer["status"]["userInfo"].clone()),
        Some(code) => {
            assert_eq!(code, 401, "{answer}");
            None
        }
    }
}

#[tokio::test]
async fn a_token_webhook_is_asked_once_for_what_this_server_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir);
    let webhook = Extension::signed_by(&authority, ("x", "tokens"), |asked| {
        let mut review: Value = serde_json::from_slice(asked.request.body()).unwrap();
        assert_eq!(review["kind"], "TokenReview");
        assert_eq!(asked.request.headers()["authorization"], "Bearer mine");
        let known = review["spec"]["token"] == "theirs";
        review["status"] = json!({ "authenticated": known,
            "user": { "username": "ann", "uid": "7", "groups": ["dev"] } });
        answer_json(&review)
    })
    .await;
    let config = webhook.kubeconfig(dir.path(), &authority);
    let access = Access {
        token_webhook: Some(TokenWebhook {
            config,
            cache: TokenWebhook::CACHE,
        }),
        ..Access::default()
    };
    let cluster = Cluster::start_with(dir, 0, access).await.unwrap();
    let ann = bearer(&cluster, "theirs").await.unwrap();
    assert_eq!(ann["username"], "ann");
    assert_eq!(ann["groups"], json!(["dev", "system:authenticated"]));
    assert_eq!(bearer(&cluster, "theirs").await, Some(ann));
    assert_eq!(bearer(&cluster, "nobodys").await, None);
    assert_eq!(bearer(&cluster, "nobodys").await, None);
    assert_eq!(webhook.asked().len(), 2);
}

fn claims(issuer: &str, audience: &str, lives: i64) -> pki::Claims {
    let now = jiff::Timestamp::now().as_second();
    let seconds = |at: i64| u64::try_from(at).unwrap();
    pki::Claims {
        iss: issuer.into(),
        sub: "ann".into(),
        aud: vec![audience.into()],
        exp: seconds(now + lives),
        iat: seconds(now - 1000),
        nbf: seconds(now - 1000),
        jti: String::new(),
        kubernetes: pki::KubernetesClaims {
            namespace: String::new(),
            serviceaccount: pki::BoundObject {
                name: "x".into(),
                uid: String::new(),
            },
            pod: None,
            secret: None,
            node: None,
            warnafter: None,
        },
    }
}

#[tokio::test]
async fn an_identity_token_is_held_against_its_providers_keys() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir);
    let key = pki::TokenKey::load_or_create(&dir.path().join("provider.key")).unwrap();
    let stranger = pki::TokenKey::load_or_create(&dir.path().join("stranger.key")).unwrap();
    let (url, keys) = (Arc::new(OnceLock::<String>::new()), key.jwks());
    let own = url.clone();
    let provider = Extension::signed_by(&authority, ("x", "oidc"), move |asked| {
        let url = own.get().unwrap();
        match asked.request.uri().path() {
            "/.well-known/openid-configuration" => {
                answer_json(&json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }))
            }
            _ => answer_json(&keys),
        }
    })
    .await;
    let url = url.get_or_init(|| format!("https://localhost:{}", provider.address.port()));
    let mut issuer = Issuer::new(url.clone(), "skiff".into());
    issuer.ca_pem = Some(authority.cert_pem().to_owned());
    issuer.allow(&["ES256".to_owned()]).unwrap();
    let access = Access {
        oidc: Some(issuer),
        ..Access::default()
    };
    let cluster = Cluster::start_with(dir, 0, access).await.unwrap();
    let sign = |key: &pki::TokenKey, claims| key.sign(&claims).unwrap();
    let ann = bearer(&cluster, &sign(&key, claims(url, "skiff", 600))).await;
    assert_eq!(ann.unwrap()["username"], format!("{url}#ann"));
    for refused in [
        sign(&key, claims(url, "others", 600)),
        sign(&key, claims(url, "skiff", -600)),
        sign(&key, claims("https://elsewhere", "skiff", 600)),
        sign(&stranger, claims(url, "skiff", 600)),
    ] {
        assert_eq!(bearer(&cluster, &refused).await, None);
    }
}

#[tokio::test]
async fn a_proxy_is_believed_for_its_certificate_and_nobody_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir);
    let issue = |authority: &pki::Authority, name: &str| {
        let request = pki::Request {
            common_name: name.into(),
            usages: vec![pki::Usage::Client],
            ..pki::Request::default()
        };
        let issued = authority.issue(&request).unwrap();
        json!({ "client-certificate-data": base64(issued.cert_pem.as_bytes()),
            "client-key-data": base64(issued.key_pem.as_bytes()) })
    };
    let mut proxy = FrontProxy::new(authority.cert_pem().to_owned());
    proxy.allowed_names = vec!["front".into()];
    let (front, other) = (issue(&authority, "front"), issue(&authority, "other"));
    let access = Access {
        front_proxy: Some(proxy),
        ..Access::default()
    };
    let cluster = Cluster::start_with(dir, 0, access).await.unwrap();
    let user = issue(&cluster.authority, "bob");
    let named = async |credentials: &Value| {
        let client = over_tls(&cluster, credentials.clone()).await;
        let review =
            json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
        let request = Request::post(WHO)
            .header("content-type", "application/json")
            .header("x-remote-user", "ann")
            .header("x-remote-group", "dev")
            .body(review.to_string().into_bytes())
            .unwrap();
        match client.request::<Value>(request).await {
            Ok(answer) => answer["status"]["userInfo"]["username"].clone(),
            Err(kube::Error::Api(status)) => json!(status.code),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(named(&front).await, "ann");
    assert_eq!(named(&other).await, 401);
    assert_eq!(
        named(&user).await,
        "bob",
        "a user's own certificate names the user"
    );
    assert_eq!(who(&over_tls(&cluster, front).await).await, None);
}

#[tokio::test]
async fn requests_without_credentials_are_refused_where_nobody_may_be_anonymous() {
    let access = Access {
        anonymous: false,
        ..Access::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_with(dir, 0, access).await.unwrap();
    let nobody = over_tls(&cluster, json!({})).await;
    let answer = ask_as(&nobody, Method::GET, "/readyz", &Value::Null).await;
    assert_eq!(answer["code"], 401);
}

#[tokio::test]
async fn a_node_that_comes_back_proves_itself_by_the_key_that_is_noted() {
    let cluster = Cluster::start().await;
    let key = pki::NodeKey::load_or_create(&cluster.dir.path().join("node.key")).unwrap();
    let fingerprint = cluster.authority.fingerprint().unwrap();
    let proof = key.proof("n1", &fingerprint).unwrap();
    assert_eq!(bearer(&cluster, &proof).await, None, "no key is noted");

    let note = |public: String| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": pki::node_key::note_of("n1") },
            "data": { pki::node_key::NOTE_FIELD: public } })
    };
    let notes = "/api/v1/namespaces/kube-system/configmaps";
    let made = cluster
        .ask(Method::POST, notes, &note(key.public_pem()))
        .await;
    assert_eq!(made["kind"], "ConfigMap", "{made}");
    let proof = key.proof("n1", &fingerprint).unwrap();
    let node = bearer(&cluster, &proof).await.unwrap();
    assert_eq!(node["username"], "system:node:n1");
    assert_eq!(
        node["groups"],
        json!(["system:skiff:returning-nodes", "system:authenticated"])
    );
    let elsewhere = key.proof("n1", "sha256:00").unwrap();
    assert_eq!(bearer(&cluster, &elsewhere).await, None);
    let another = key.proof("n2", &fingerprint).unwrap();
    assert_eq!(bearer(&cluster, &another).await, None);
}
