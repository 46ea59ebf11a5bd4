use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;

fn key(dir: &Path, name: &str) -> TokenKey {
    TokenKey::load_or_create(&dir.join(name)).unwrap()
}

fn claims() -> Claims {
    Claims {
        iss: "https://issuer".into(),
        sub: "system:serviceaccount:g:sa".into(),
        aud: vec!["api".into()],
        exp: now() + 600,
        iat: now(),
        nbf: now(),
        jti: "id".into(),
        kubernetes: KubernetesClaims {
            namespace: "g".into(),
            serviceaccount: BoundObject {
                name: "sa".into(),
                uid: "u".into(),
            },
            pod: None,
            secret: None,
            node: None,
            warnafter: None,
        },
    }
}

fn api() -> Vec<String> {
    vec!["api".to_owned()]
}

/// The token's own payload under another header and signature.
fn with_header(token: &str, header: &serde_json::Value, signature: &str) -> String {
    let payload = token.split('.').nth(1).unwrap();
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    format!("{header}.{payload}.{signature}")
}

#[test]
fn a_token_is_good_for_its_audience_only() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(dir.path(), "k");
    let token = key.sign(&claims()).unwrap();
    assert_eq!(key.verify(&token, &api()).unwrap(), claims_of(&key, &token));
    let other = key.verify(&token, &["vault".to_owned()]);
    assert!(matches!(other, Err(Error::Audience { .. })));
}

fn claims_of(key: &TokenKey, token: &str) -> Claims {
    key.read(token, End::Required).unwrap()
}

#[test]
fn a_token_of_another_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let token = key(dir.path(), "other").sign(&claims()).unwrap();
    assert!(key(dir.path(), "k").verify(&token, &api()).is_err());
}

#[test]
fn a_token_cannot_choose_how_it_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(dir.path(), "k");
    let token = key.sign(&claims()).unwrap();
    let none = with_header(&token, &json!({ "alg": "none" }), "");
    assert!(key.verify(&none, &api()).is_err());
    // Signed with the public key as if that were a shared secret.
    let public = key.own.jwk()["x"].as_str().unwrap().as_bytes();
    let public = EncodingKey::from_secret(public);
    let mixed = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &public);
    assert!(key.verify(&mixed.unwrap(), &api()).is_err());
    let signature = token.rsplit('.').next().unwrap();
    let renamed = with_header(&token, &json!({ "alg": "ES384" }), signature);
    assert!(key.verify(&renamed, &api()).is_err());
}

#[test]
fn a_changed_token_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(dir.path(), "k");
    let token = key.sign(&claims()).unwrap();
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut forged = claims();
    forged.sub = "system:serviceaccount:kube-system:admin".into();
    parts[1] = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&forged).unwrap());
    assert!(key.verify(&parts.join("."), &api()).is_err());
    assert!(key.verify(&token[..token.len() - 4], &api()).is_err());
}

#[test]
fn clocks_may_be_a_little_apart_but_not_more() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(dir.path(), "k");
    let verify = |exp: u64, nbf: u64| {
        let token = key
            .sign(&Claims {
                exp,
                nbf,
                ..claims()
            })
            .unwrap();
        key.verify(&token, &api()).is_ok()
    };
    assert!(verify(now() - 5, now() - 700));
    assert!(!verify(now() - 60, now() - 700));
    assert!(verify(now() + 600, now() + 5));
    assert!(!verify(now() + 600, now() + 60));
}

#[test]
fn a_bound_token_without_an_end_is_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(dir.path(), "k");
    let mut endless = serde_json::to_value(claims()).unwrap();
    endless.as_object_mut().unwrap().remove("exp");
    let token = key.encode(&endless, "x").unwrap();
    assert!(key.verify(&token, &api()).is_err());
}

#[test]
fn a_secrets_token_is_no_bound_token_and_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(dir.path(), "k");
    let legacy = LegacyClaims {
        iss: LegacyClaims::ISSUER.into(),
        sub: "system:serviceaccount:g:sa".into(),
        namespace: "g".into(),
        secret: "s".into(),
        account: "sa".into(),
        account_uid: "u".into(),
    };
    let token = key.sign_legacy(&legacy).unwrap();
    assert_eq!(key.verify_legacy(&token).unwrap(), legacy);
    assert!(key.verify(&token, &api()).is_err());
    assert!(key.verify_legacy(&key.sign(&claims()).unwrap()).is_err());
}

/// Public keys as people bring them, made with `openssl`.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsUYKuDmnIZDByzdNISJ7
Cq9kZLl+Wo4e99L7IkznpZhRX0CXDqaRqZ4VVLyr7ybfcvpvheSINaK1g1bUjzmQ
oKxSVbe6nEmh6qi2nBeeRDc25m87hKGq/RWuOTLu5BA4hELyM7OKQYTRmo1NRG0K
9UGJGny4XKeTgeIJjKWSYwPadgTseR0VkPzlT6X0tm1fwrHAEa+yvRBIizFh8MRb
PsLR02OTyheh+WzxWMR0pmtKrV00mySMbhUtdaG45ZIZn9Nz9x5yw7pOcWCYgZJg
H0mBJtQAycKx9KhvUUWXizhPHNjsCv1pZmbLIG1CkohuEBKQHW2k9cPjaBxT9q3M
+QIDAQAB
-----END PUBLIC KEY-----
";

#[test]
fn tokens_of_before_a_rotation_hold_as_long_as_their_key_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let old = key(dir.path(), "old");
    let token = old.sign(&claims()).unwrap();
    let mut new = key(dir.path(), "new");
    assert!(new.verify(&token, &api()).is_err());
    let pem = KeyPair::from_pem(&std::fs::read_to_string(dir.path().join("old")).unwrap());
    let path = dir.path().join("old.pub");
    std::fs::write(&path, format!("{}{RSA}", pem.unwrap().public_key_pem())).unwrap();
    new.trust(PublicKey::read(&path).unwrap());
    assert_eq!(new.verify(&token, &api()).unwrap(), claims_of(&old, &token));
    assert_eq!(new.algorithms(), ["ES256", "RS256"]);
    let keys = new.jwks()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[1], old.jwks()["keys"][0]);
    assert_eq!(
        (&keys[2]["kty"], &keys[2]["e"]),
        (&json!("RSA"), &json!("AQAB"))
    );
}

#[test]
fn a_file_that_holds_no_public_key_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    key(dir.path(), "private");
    let error = PublicKey::read(&dir.path().join("private")).err().unwrap();
    assert!(error.to_string().contains("private"), "{error}");
    assert!(PublicKey::read(&dir.path().join("none")).is_err());
}
