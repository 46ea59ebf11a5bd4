//! Objects from files: YAML or JSON, from a file, a directory, a URL or stdin.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;

/// A manifest larger than this is a mistake.
const LARGEST: usize = 64 << 20;

/// An object, and where it was read.
#[derive(Debug)]
pub struct Found {
    pub object: Value,
    pub source: String,
}

/// Reads the objects of all `sources`; `-` is stdin.
pub async fn read(sources: &[String], recursive: bool) -> anyhow::Result<Vec<Found>> {
    if sources.is_empty() {
        bail!("must specify one of -f and a file, a directory, a URL or - for stdin");
    }
    let mut objects = Vec::new();
    for source in sources {
        if source == "-" {
            let mut text = String::new();
            let mut stdin = std::io::stdin().take(LARGEST as u64);
            stdin.read_to_string(&mut text).context("read stdin")?;
            parse(&text, "stdin", &mut objects)?;
        } else if source.starts_with("http://") || source.starts_with("https://") {
            parse(&fetch(source).await?, source, &mut objects)?;
        } else {
            for path in files(Path::new(source), recursive)? {
                let name = path.display().to_string();
                let text =
                    std::fs::read_to_string(&path).with_context(|| format!("read {name}"))?;
                parse(&text, &name, &mut objects)?;
            }
        }
    }
    Ok(objects)
}

/// Adds the objects of `text` to `objects`.
pub fn parse(text: &str, source: &str, objects: &mut Vec<Found>) -> anyhow::Result<()> {
    for document in serde_yaml::Deserializer::from_str(text) {
        let object =
            Value::deserialize(document).with_context(|| format!("error parsing {source}"))?;
        if object.is_null() {
            continue;
        }
        let found = |object| Found {
            object,
            source: source.to_owned(),
        };
        if object["kind"] == "List"
            || (object["kind"].as_str().is_some_and(|k| k.ends_with("List"))
                && object["items"].is_array())
        {
            let items = object["items"].as_array().cloned().unwrap_or_default();
            objects.extend(items.into_iter().map(found));
            continue;
        }
        for field in ["apiVersion", "kind"] {
            if !object[field].is_string() {
                bail!("error validating {source:?}: {field} not set");
            }
        }
        objects.push(found(object));
    }
    Ok(())
}

fn files(path: &Path, recursive: bool) -> anyhow::Result<Vec<PathBuf>> {
    if !path.exists() {
        bail!("the path {:?} does not exist", path.display().to_string());
    }
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let directory = path;
    let entries = std::fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|e| Ok(e?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        let is_manifest = path
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if path.is_dir() && recursive {
            files.extend(below(&path)?);
        } else if path.is_file() && is_manifest {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!(
            "error reading {}: no files there end in .json, .yaml or .yml",
            directory.display()
        );
    }
    Ok(files)
}

/// The manifests of a directory within one, where having none is no mistake.
fn below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_empty = std::fs::read_dir(directory)?.next().is_none();
    if is_empty {
        Ok(Vec::new())
    } else {
        files(directory, true)
    }
}

async fn fetch(url: &str) -> anyhow::Result<String> {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()
        .context("load this machine's certificate authorities")?
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let answer = client
        .get(url.parse().with_context(|| format!("{url} is not a URL"))?)
        .await;
    let answer = answer.with_context(|| format!("fetch {url}"))?;
    if !answer.status().is_success() {
        bail!(
            "unable to read URL {url:?}, server reported {}",
            answer.status()
        );
    }
    let body = Limited::new(answer.into_body(), LARGEST).collect().await;
    let body = body
        .map_err(|error| anyhow::anyhow!("fetch {url}: {error}"))?
        .to_bytes();
    String::from_utf8(body.to_vec()).with_context(|| format!("{url} is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_are_taken_apart_and_empty_ones_left_out() {
        let text = "---\napiVersion: v1\nkind: A\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: B}]\n";
        let mut objects = Vec::new();
        parse(text, "test", &mut objects).unwrap();
        let kinds: Vec<_> = objects
            .iter()
            .map(|o| o.object["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["A", "B"]);
    }

    #[test]
    fn broken_manifest_names_its_file_and_what_is_missing() {
        let mut objects = Vec::new();
        let broken = parse("a: [", "x.yaml", &mut objects).unwrap_err();
        assert!(format!("{broken:#}").contains("x.yaml"));
        let kindless = parse("apiVersion: v1", "x.yaml", &mut objects).unwrap_err();
        assert_eq!(
            kindless.to_string(),
            "error validating \"x.yaml\": kind not set"
        );
    }
}
