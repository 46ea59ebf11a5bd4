//! The file of static tokens, as kube-apiserver's `--token-auth-file` has it:
//! `token,user,uid` and, quoted, `"group1,group2"` on each line.

use std::path::Path;

use anyhow::{Context, bail};
use apiserver::{StaticToken, User};

/// Reads the file, and refuses it whole if a line of it cannot be read.
pub fn read(path: &Path) -> anyhow::Result<Vec<StaticToken>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read --token-auth-file {}", path.display()))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty());
    lines
        .map(|(at, line)| {
            parse(line).with_context(|| format!("line {} of {}", at + 1, path.display()))
        })
        .collect()
}

fn parse(line: &str) -> anyhow::Result<StaticToken> {
    let mut fields = line.trim().splitn(4, ',');
    let mut next = || fields.next().map(str::trim).filter(|f| !f.is_empty());
    let (Some(token), Some(name), Some(uid)) = (next(), next(), next()) else {
        bail!("it is not token,user,uid[,\"group1,group2\"]");
    };
    let groups = fields.next().unwrap_or_default().trim().trim_matches('"');
    let groups = groups.split(',').map(str::trim).filter(|g| !g.is_empty());
    let groups = groups
        .map(str::to_owned)
        .chain(["system:authenticated".to_owned()]);
    let mut user = User::new(name, groups);
    uid.clone_into(&mut user.uid);
    Ok(StaticToken {
        token: token.to_owned(),
        user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_one_quoted_field() {
        let token = parse("secret,ann,7,\"system:masters,dev\"").unwrap();
        assert_eq!(
            (token.token.as_str(), token.user.name.as_str()),
            ("secret", "ann")
        );
        assert_eq!(
            token.user.groups,
            ["system:masters", "dev", "system:authenticated"]
        );
    }

    #[test]
    fn line_without_a_uid_is_refused() {
        assert!(parse("secret,ann").is_err());
    }
}
