//! The file of static tokens, as kube-apiserver's `--token-auth-file` has it:
//! CSV of `token,user,uid` and, quoted, `"group1,group2"` on each line.

use std::path::Path;

use anyhow::{Context, bail};
use apiserver::{StaticToken, User};

/// Reads the file, and refuses it whole if a line of it cannot be read.
pub fn read(path: &Path) -> anyhow::Result<Vec<StaticToken>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read --token-auth-file {}", path.display()))?;
    parse(&text).with_context(|| format!("read --token-auth-file {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<StaticToken>> {
    let mut reader = csv::ReaderBuilder::new();
    reader
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All);
    let mut tokens = Vec::new();
    for record in reader.from_reader(text.as_bytes()).into_records() {
        let record = record.context("it is no CSV")?;
        let line = record.position().map_or(0, csv::Position::line);
        let Some(token) = token(&record).with_context(|| format!("line {line}"))? else {
            eprintln!("line {line} of the token file has no token and is passed over");
            continue;
        };
        tokens.push(token);
    }
    Ok(tokens)
}

/// None for a line without a token.
fn token(record: &csv::StringRecord) -> anyhow::Result<Option<StaticToken>> {
    let (Some(token), Some(name), Some(uid)) = (record.get(0), record.get(1), record.get(2)) else {
        bail!(
            "it has {} columns; a line is token,user,uid[,\"group1,group2\"]",
            record.len()
        );
    };
    if token.is_empty() {
        return Ok(None);
    }
    if name.is_empty() {
        bail!("it names no user");
    }
    let groups = record.get(3).unwrap_or_default().split(',').map(str::trim);
    let groups = groups.filter(|group| !group.is_empty()).map(str::to_owned);
    let groups = groups.chain(["system:authenticated".to_owned()]);
    let mut user = User::new(name, groups);
    uid.clone_into(&mut user.uid);
    Ok(Some(StaticToken {
        token: token.to_owned(),
        user,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_one_quoted_field() {
        let tokens = parse("secret,ann,7,\"system:masters, dev\"\n\nother,\"b,ob\",8\n").unwrap();
        assert_eq!(tokens.len(), 2);
        let ann = &tokens[0];
        assert_eq!(
            (ann.token.as_str(), ann.user.name.as_str()),
            ("secret", "ann")
        );
        let groups = ["system:masters", "dev", "system:authenticated"];
        assert_eq!(ann.user.groups, groups);
        assert_eq!(tokens[1].user.name, "b,ob");
    }

    #[test]
    fn line_without_a_uid_is_refused_by_its_number() {
        let error = parse("a,b,c\nsecret,ann\n").err().unwrap();
        assert_eq!(error.to_string(), "line 2");
    }

    #[test]
    fn line_without_a_token_is_passed_over() {
        assert!(parse(",ann,7\n").unwrap().is_empty());
    }
}
