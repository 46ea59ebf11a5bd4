//! Random and hashed name suffixes, from an alphabet that spells no words.

use rand::RngExt;

const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;
/// A generated name, suffix included, stays a DNS label.
const NAME_MAX: usize = 63;

/// `length` random characters.
pub fn string(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect()
}

/// A name for `metadata.generateName`.
pub fn name(prefix: &str) -> String {
    let mut cut = prefix.len().min(NAME_MAX - SUFFIX);
    while !prefix.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{}", &prefix[..cut], string(SUFFIX))
}

/// Rewrites text (a hash in decimal) into the same alphabet: pod-template-hash.
pub fn safe_encode(text: &str) -> String {
    text.bytes()
        .map(|b| char::from(ALPHABET[usize::from(b) % ALPHABET.len()]))
        .collect()
}

/// A random version-4 UUID: object uids. Drawn from the thread's generator, which
/// is seeded by the kernel: no system call for each.
pub fn uid() -> String {
    uuid::Builder::from_random_bytes(rand::random())
        .into_uuid()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_is_the_prefix_and_five_safe_characters() {
        let name = name("web-");
        let suffix = name.strip_prefix("web-").expect("prefix");
        assert_eq!(suffix.len(), 5);
        assert!(suffix.bytes().all(|b| ALPHABET.contains(&b)));
    }

    #[test]
    fn a_long_prefix_is_cut_to_leave_a_label() {
        assert_eq!(name(&"x".repeat(100)).len(), 63);
    }

    #[test]
    fn the_safe_encoding_maps_bytes_onto_the_alphabet() {
        assert_eq!(safe_encode("0123"), "4567");
    }
}
