//! The algorithms: one secret key each, a fresh nonce for every value.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::consts::U12;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use crypto_secretbox::XSalsa20Poly1305;
use sha2::{Digest, Sha256};

type Aes192Gcm = AesGcm<Aes192, U12>;

const GCM_NONCE: usize = 12;
const CBC_IV: usize = 16;
const BOX_NONCE: usize = 24;
const DIGEST: usize = 32;

pub enum Cipher {
    /// AES-GCM: the store's key is its associated data.
    Gcm(Gcm),
    /// AES-CBC with PKCS#7 padding. Hides, but does not authenticate.
    Cbc(Vec<u8>),
    /// XSalsa20 and Poly1305.
    Secretbox(Box<XSalsa20Poly1305>),
}

pub enum Gcm {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<Aes192Gcm>),
    Aes256(Box<Aes256Gcm>),
}

impl Cipher {
    /// None when the secret has no length that the algorithm takes.
    pub fn gcm(secret: &[u8]) -> Option<Self> {
        Some(Self::Gcm(match secret.len() {
            16 => Gcm::Aes128(Box::new(Aes128Gcm::new_from_slice(secret).ok()?)),
            24 => Gcm::Aes192(Box::new(Aes192Gcm::new_from_slice(secret).ok()?)),
            32 => Gcm::Aes256(Box::new(Aes256Gcm::new_from_slice(secret).ok()?)),
            _ => return None,
        }))
    }

    pub fn cbc(secret: &[u8]) -> Option<Self> {
        matches!(secret.len(), 16 | 24 | 32).then(|| Self::Cbc(secret.to_owned()))
    }

    pub fn secretbox(secret: &[u8]) -> Option<Self> {
        use crypto_secretbox::aead::KeyInit as _;
        let cipher = XSalsa20Poly1305::new_from_slice(secret).ok()?;
        Some(Self::Secretbox(Box::new(cipher)))
    }

    /// Appends nonce and ciphertext of `plain`, bound to `place`, to `out`.
    pub fn seal(&self, place: &[u8], plain: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Gcm(gcm) => {
                let nonce: [u8; GCM_NONCE] = rand::random();
                out.extend_from_slice(&nonce);
                out.extend_from_slice(&gcm.encrypt(nonce, place, plain));
            }
            Self::Cbc(secret) => {
                let iv: [u8; CBC_IV] = rand::random();
                out.extend_from_slice(&iv);
                out.extend_from_slice(&cbc_encrypt(secret, &iv, &with_digest(place, plain)));
            }
            Self::Secretbox(cipher) => {
                use crypto_secretbox::aead::Aead as _;
                let nonce: [u8; BOX_NONCE] = rand::random();
                out.extend_from_slice(&nonce);
                let sealed = cipher.encrypt(&nonce.into(), with_digest(place, plain).as_slice());
                out.extend_from_slice(&sealed.expect("a value is far below 256 GiB"));
            }
        }
    }

    /// None when the key, the place or the bytes are not those of the seal.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Gcm(gcm) => {
                let (nonce, rest) = sealed.split_first_chunk::<GCM_NONCE>()?;
                gcm.decrypt(*nonce, place, rest)
            }
            Self::Cbc(secret) => {
                let (iv, rest) = sealed.split_first_chunk::<CBC_IV>()?;
                without_digest(place, cbc_decrypt(secret, iv, rest)?)
            }
            Self::Secretbox(cipher) => {
                use crypto_secretbox::aead::Aead as _;
                let (nonce, rest) = sealed.split_first_chunk::<BOX_NONCE>()?;
                without_digest(place, cipher.decrypt(&(*nonce).into(), rest).ok()?)
            }
        }
    }
}

impl Gcm {
    fn encrypt(&self, nonce: [u8; GCM_NONCE], aad: &[u8], msg: &[u8]) -> Vec<u8> {
        let (nonce, payload) = (nonce.into(), Payload { msg, aad });
        let sealed = match self {
            Self::Aes128(cipher) => cipher.encrypt(&nonce, payload),
            Self::Aes192(cipher) => cipher.encrypt(&nonce, payload),
            Self::Aes256(cipher) => cipher.encrypt(&nonce, payload),
        };
        sealed.expect("a value is far below 64 GiB")
    }

    fn decrypt(&self, nonce: [u8; GCM_NONCE], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
        let (nonce, payload) = (nonce.into(), Payload { msg, aad });
        match self {
            Self::Aes128(cipher) => cipher.decrypt(&nonce, payload),
            Self::Aes192(cipher) => cipher.decrypt(&nonce, payload),
            Self::Aes256(cipher) => cipher.decrypt(&nonce, payload),
        }
        .ok()
    }
}

fn cbc_encrypt(secret: &[u8], iv: &[u8], plain: &[u8]) -> Vec<u8> {
    const FITS: &str = "Cipher::cbc took the secret's length, and the IV has its own";
    match secret.len() {
        16 => cbc::Encryptor::<Aes128>::new_from_slices(secret, iv)
            .expect(FITS)
            .encrypt_padded_vec::<Pkcs7>(plain),
        24 => cbc::Encryptor::<Aes192>::new_from_slices(secret, iv)
            .expect(FITS)
            .encrypt_padded_vec::<Pkcs7>(plain),
        _ => cbc::Encryptor::<Aes256>::new_from_slices(secret, iv)
            .expect(FITS)
            .encrypt_padded_vec::<Pkcs7>(plain),
    }
}

fn cbc_decrypt(secret: &[u8], iv: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    match secret.len() {
        16 => cbc::Decryptor::<Aes128>::new_from_slices(secret, iv)
            .ok()?
            .decrypt_padded_vec::<Pkcs7>(sealed)
            .ok(),
        24 => cbc::Decryptor::<Aes192>::new_from_slices(secret, iv)
            .ok()?
            .decrypt_padded_vec::<Pkcs7>(sealed)
            .ok(),
        _ => cbc::Decryptor::<Aes256>::new_from_slices(secret, iv)
            .ok()?
            .decrypt_padded_vec::<Pkcs7>(sealed)
            .ok(),
    }
}

/// Algorithms without associated data carry the place's digest inside.
fn with_digest(place: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(DIGEST + plain.len());
    out.extend_from_slice(&Sha256::digest(place));
    out.extend_from_slice(plain);
    out
}

fn without_digest(place: &[u8], mut opened: Vec<u8>) -> Option<Vec<u8>> {
    let (digest, _) = opened.split_first_chunk::<DIGEST>()?;
    if digest[..] != Sha256::digest(place)[..] {
        return None;
    }
    opened.drain(..DIGEST);
    Some(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Cipher> {
        let secret = |length: u8| (0..length).collect::<Vec<u8>>();
        [16, 24, 32]
            .into_iter()
            .flat_map(|length| [Cipher::gcm(&secret(length)), Cipher::cbc(&secret(length))])
            .chain([Cipher::secretbox(&secret(32))])
            .map(Option::unwrap)
            .collect()
    }

    fn sealed(cipher: &Cipher, place: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        cipher.seal(place, plain, &mut out);
        out
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_and_nowhere_else() {
        for cipher in all() {
            let box_ = sealed(&cipher, b"/registry/secrets/a/x", b"plain");
            assert!(!box_.windows(5).any(|part| part == b"plain"));
            let opened = cipher.open(b"/registry/secrets/a/x", &box_);
            assert_eq!(opened.as_deref(), Some(&b"plain"[..]));
            assert!(cipher.open(b"/registry/secrets/b/x", &box_).is_none());
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_the_same_twice() {
        for cipher in all() {
            assert_ne!(sealed(&cipher, b"k", b"v"), sealed(&cipher, b"k", b"v"));
        }
    }

    #[test]
    fn cut_or_changed_bytes_do_not_open_and_do_not_panic() {
        for cipher in all() {
            let whole = sealed(&cipher, b"k", b"a value of some length");
            for length in 0..whole.len() {
                assert!(cipher.open(b"k", &whole[..length]).is_none());
            }
            let mut changed = whole.clone();
            changed[20] ^= 1;
            assert!(cipher.open(b"k", &changed).is_none());
        }
    }

    #[test]
    fn secrets_of_other_lengths_are_no_keys() {
        assert!(Cipher::gcm(&[0; 20]).is_none());
        assert!(Cipher::cbc(&[0; 33]).is_none());
        assert!(Cipher::secretbox(&[0; 16]).is_none());
    }

    /// NaCl's own test vector layout: the tag comes before the ciphertext.
    #[test]
    fn a_box_is_as_long_as_nonce_tag_digest_and_value() {
        let cipher = Cipher::secretbox(&[7; 32]).unwrap();
        assert_eq!(sealed(&cipher, b"k", b"abc").len(), 24 + 16 + 32 + 3);
    }
}
