use base64::Engine as _;
use serde_json::Value;

use super::page::{Page, fields, show, string};

pub fn describe(map: &Value) -> Page {
    let mut page = head(map);
    page.line(0, "\nData\n====");
    for (key, value) in fields(&map["data"]) {
        page.line(0, &format!("{key}:\n----\n{}\n", show(value)));
    }
    page.line(0, "\nBinaryData\n====");
    for (key, value) in fields(&map["binaryData"]) {
        page.line(0, &format!("{key}: {} bytes", size(value)));
    }
    page.line(0, "");
    page
}

/// A Secret's values are not shown, only how long they are.
pub fn secret(secret: &Value) -> Page {
    let mut page = head(secret);
    page.line(0, "");
    page.field(0, "Type", string(secret, "/type"));
    page.line(0, "\nData\n====");
    for (key, value) in fields(&secret["data"]) {
        page.field(0, key, &format!("{} bytes", size(value)));
    }
    page
}

fn head(object: &Value) -> Page {
    let mut page = Page::default();
    page.field(0, "Name", string(object, "/metadata/name"));
    page.field(0, "Namespace", string(object, "/metadata/namespace"));
    page.labels(0, "Labels", &object["metadata"]["labels"]);
    page.annotations(&object["metadata"]["annotations"]);
    page
}

fn size(encoded: &Value) -> usize {
    let text = encoded.as_str().unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes.map_or(0, |bytes| bytes.len())
}
