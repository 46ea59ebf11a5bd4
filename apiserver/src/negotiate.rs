//! What form of an answer the client asked for.

use apimachinery::Status;
use http::{HeaderMap, header};

use crate::query::Query;

/// The form an object or list is answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub shape: Shape,
    pub encoding: Encoding,
    pub pretty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The object itself.
    Object,
    /// Rows for people (`kubectl get`).
    Table,
    /// Only `metadata`.
    Metadata,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Yaml,
}

impl Form {
    pub const PLAIN: Self = Self {
        shape: Shape::Object,
        encoding: Encoding::Json,
        pretty: false,
    };

    /// The first media type of `Accept` that the server can answer.
    pub fn of(headers: &HeaderMap, query: &Query) -> Result<Self, Status> {
        let accept = match headers.get(header::ACCEPT) {
            None => "",
            Some(value) => value.to_str().map_err(|_| Status::not_acceptable())?,
        };
        let (shape, encoding) = if accept.trim().is_empty() {
            (Shape::Object, Encoding::Json)
        } else {
            clauses(accept)
                .into_iter()
                .find_map(read_clause)
                .ok_or_else(Status::not_acceptable)?
        };
        Ok(Self {
            shape,
            encoding,
            pretty: is_pretty(headers, query),
        })
    }
}

/// The clauses of an Accept header, most wanted first.
fn clauses(accept: &str) -> Vec<&str> {
    let mut weighed: Vec<(f32, &str)> = accept
        .split(',')
        .map(|clause| (weight(clause), clause.trim()))
        .filter(|(weight, _)| *weight > 0.0)
        .collect();
    weighed.sort_by(|a, b| b.0.total_cmp(&a.0));
    weighed.into_iter().map(|(_, clause)| clause).collect()
}

fn weight(clause: &str) -> f32 {
    let given = clause
        .split(';')
        .find_map(|part| part.trim().strip_prefix("q="));
    given.and_then(|q| q.parse().ok()).unwrap_or(1.0)
}

fn read_clause(clause: &str) -> Option<(Shape, Encoding)> {
    let mut parts = clause.split(';').map(str::trim);
    let encoding = match parts.next()? {
        "application/json" | "application/*" | "*/*" => Encoding::Json,
        "application/yaml" | "application/x-yaml" | "text/yaml" => Encoding::Yaml,
        _ => return None,
    };
    let mut shape = Shape::Object;
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match (key, value) {
            ("as", "Table") => shape = Shape::Table,
            ("as", "PartialObjectMetadata" | "PartialObjectMetadataList") => {
                shape = Shape::Metadata;
            }
            ("as", _) => return None,
            ("g", group) if group != "meta.k8s.io" => return None,
            // The older v1beta1 has the same fields under another version.
            ("v", version) if version != "v1" => return None,
            _ => {}
        }
    }
    Some((shape, encoding))
}

/// People at a terminal or browser get indented JSON, programs do not.
fn is_pretty(headers: &HeaderMap, query: &Query) -> bool {
    if query.get("pretty").is_some() {
        return query.flag("pretty");
    }
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok());
    agent.is_some_and(|a| {
        ["curl", "Wget", "Mozilla/5.0"]
            .iter()
            .any(|p| a.starts_with(p))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Result<Form, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        Form::of(&headers, &Query::default())
    }

    #[test]
    fn kubectl_gets_a_table_and_falls_back_to_json() {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(form(accept).unwrap().shape, Shape::Table);
        let accept = "application/json;as=Table;v=v9;g=meta.k8s.io,application/json";
        assert_eq!(form(accept).unwrap().shape, Shape::Object);
    }

    #[test]
    fn protobuf_falls_back_to_json_and_alone_is_not_acceptable() {
        let both = form("application/vnd.kubernetes.protobuf, */*").unwrap();
        assert_eq!(both.encoding, Encoding::Json);
        assert_eq!(
            form("application/vnd.kubernetes.protobuf")
                .unwrap_err()
                .code,
            406
        );
        assert_eq!(form("text/foo").unwrap_err().code, 406);
    }

    #[test]
    fn a_heavier_clause_wins_over_an_earlier_one() {
        let got = form("application/json;q=0.5, application/yaml").unwrap();
        assert_eq!(got.encoding, Encoding::Yaml);
    }
}
