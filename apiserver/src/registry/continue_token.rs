//! Where a list in pages goes on: a revision and the last key, opaque to clients.
//! A list whose revision is forgotten goes on in what is there now.

use apimachinery::Status;
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use store::Revision;

/// As lenient as Go's: odd bits at the end do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const VERSION: &str = "meta.k8s.io/v1";
/// Stands for the newest revision.
const NEWEST: i64 = -1;

#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    rv: i64,
    start: String,
}

/// `last` is the last key of the page, below the collection's prefix. Without a
/// revision the list goes on in the newest.
pub fn encode(revision: Option<Revision>, last: &str) -> String {
    let token = Token {
        v: VERSION.into(),
        rv: revision.map_or(NEWEST, |at| i64::try_from(at.0).unwrap_or(i64::MAX)),
        start: format!("{last}\0"),
    };
    BASE64.encode(serde_json::to_vec(&token).expect("strings and numbers serialize"))
}

/// Revision, if it is not the newest, and last key.
///
/// # Errors
/// 400 when the text is no token of this server.
pub fn decode(text: &str) -> Result<(Option<Revision>, String), Status> {
    let invalid = |why: String| {
        Status::bad_request(format!(
            "invalid continue token: continue key is not valid: {why}"
        ))
    };
    let bytes = BASE64.decode(text).map_err(|e| invalid(e.to_string()))?;
    let document = schema::read(&bytes).map_err(|e| invalid(e.to_string()))?;
    let token: Token =
        serde_json::from_value(document.value).map_err(|e| invalid(e.to_string()))?;
    if token.v != VERSION || token.rv == 0 || token.start.is_empty() {
        return Err(invalid(
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)".into(),
        ));
    }
    let last = token.start.strip_suffix('\0').unwrap_or(&token.start);
    Ok((u64::try_from(token.rv).ok().map(Revision), last.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_garbage_is_refused() {
        for at in [Some(Revision(480)), None] {
            let token = encode(at, "lst/cm2");
            assert_eq!(decode(&token).unwrap(), (at, "lst/cm2".to_owned()));
        }
        assert_eq!(
            decode("garbage").unwrap_err().message,
            "invalid continue token: continue key is not valid: invalid character '\\u0081' looking for beginning of value"
        );
    }
}
