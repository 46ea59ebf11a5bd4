//! The query of a request.

/// The values of `name`, decoded, in their order.
pub fn values(query: Option<&str>, name: &str) -> Vec<String> {
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    decoded
        .filter(|(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value))
        .collect()
}

pub fn value(query: Option<&str>, name: &str) -> Option<String> {
    values(query, name).into_iter().next()
}

/// `true` and `1`.
pub fn flag(query: Option<&str>, name: &str) -> bool {
    matches!(value(query, name).as_deref(), Some("true" | "1"))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, tail @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = tail;
                continue;
            }
            (byte, _) => bytes.push(byte),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_may_repeat() {
        let query = Some("command=ls&command=%2Ftmp%20x&tty=true&input=1&b=a+b&bad=%zz");
        assert_eq!(values(query, "command"), ["ls", "/tmp x"]);
        assert!(flag(query, "tty") && flag(query, "input") && !flag(query, "output"));
        assert_eq!(value(query, "b").unwrap(), "a b");
        assert_eq!(value(query, "bad").unwrap(), "%zz");
    }
}
